package crypttab

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/spell"
	"firstlight/internal/timespan"
)

// argument says whether an option has a value.
type argument uint8

const (
	none     argument = iota // "discard"
	required                 // "tries=3"
	optional                 // "tmp", "tmp=ext4"
)

// option is one row of the table of what is known.
type option struct {
	name string
	arg  argument
	set  func(o *Options, value string) error
}

var (
	errNumber   = errors.New("not a number")
	errBool     = errors.New("neither yes nor no")
	errAbsolute = errors.New("not an absolute path")
	errEmpty    = errors.New("its value is empty")
)

// options calls the rows one after the other. It is a function so that the
// table costs nothing until a crypttab is read.
func optionTable() []option {
	return []option{
		{"luks", none, func(o *Options, _ string) error { o.Type = LUKS; return nil }},
		{"plain", none, func(o *Options, _ string) error { o.Type = Plain; return nil }},
		{"bitlk", none, func(o *Options, _ string) error { o.Type = BitLK; return nil }},
		{"fvault2", none, func(o *Options, _ string) error { o.Type = FVault2; return nil }},
		{"tcrypt", none, func(o *Options, _ string) error { o.Type = TCRYPT; return nil }},
		{"tcrypt-hidden", none, setHidden},
		{"tcrypthidden", none, setHidden},
		{"tcrypt-system", none, func(o *Options, _ string) error { o.Type, o.TCRYPT.System = TCRYPT, true; return nil }},
		{"tcrypt-veracrypt", none, setVera},
		{"veracrypt", none, setVera},
		{"veracrypt-pim", required, func(o *Options, v string) error {
			n, err := number(v, 32)
			o.TCRYPT.PIM = uint32(n)
			return err
		}},
		{"tcrypt-keyfile", required, func(o *Options, v string) error {
			o.Type = TCRYPT
			if !strings.HasPrefix(v, "/") {
				return errAbsolute
			}
			o.TCRYPT.KeyFiles = append(o.TCRYPT.KeyFiles, v)
			return nil
		}},
		{"swap", none, func(o *Options, _ string) error { o.Type, o.Swap = Plain, true; return nil }},
		{"tmp", optional, func(o *Options, v string) error {
			o.Type, o.Tmp = Plain, v
			if v == "" {
				o.Tmp = "ext4"
			}
			return nil
		}},

		{"cipher", required, func(o *Options, v string) error { o.Cipher = v; return nonEmpty(v) }},
		{"hash", required, func(o *Options, v string) error { o.Hash = v; return nonEmpty(v) }},
		{"size", required, func(o *Options, v string) error {
			n, err := number(v, 16)
			if err == nil && (n == 0 || n%8 != 0) {
				return errors.New("a key's size in bits is a multiple of 8")
			}
			o.KeySize = int(n)
			return err
		}},
		{"sector-size", required, func(o *Options, v string) error {
			n, err := number(v, 16)
			if err == nil && (n < 512 || n > 4096 || n&(n-1) != 0) {
				return errors.New("neither 512, 1024, 2048 nor 4096")
			}
			o.SectorSize = int(n)
			return err
		}},
		{"offset", required, func(o *Options, v string) error { return count(&o.Offset, v) }},
		{"skip", required, func(o *Options, v string) error { return count(&o.Skip, v) }},

		{"keyfile-offset", required, func(o *Options, v string) error { return count(&o.KeyFileOffset, v) }},
		{"keyfile-size", required, func(o *Options, v string) error { return count(&o.KeyFileSize, v) }},
		{"keyfile-timeout", required, func(o *Options, v string) error { return span(&o.KeyFileTimeout, v) }},
		{"keyfile-erase", optional, func(o *Options, v string) error { return flag(&o.KeyFileErase, v) }},
		{"keyscript", required, func(o *Options, v string) error { o.KeyScript = v; return nonEmpty(v) }},
		{"header", required, func(o *Options, v string) error {
			switch {
			case !strings.HasPrefix(v, "/"):
				return errAbsolute
			case o.Header != "":
				return errors.New("given twice")
			}
			o.Header = v
			return nil
		}},
		{"key-slot", required, setSlot},
		{"keyslot", required, setSlot},

		{"tries", required, func(o *Options, v string) error {
			n, err := number(v, 31)
			if err == nil {
				o.Tries, o.TriesSet = int(n), true
			}
			return err
		}},
		{"timeout", required, func(o *Options, v string) error { return spanZero(&o.Timeout, v) }},
		{"verify", none, func(o *Options, _ string) error { o.Verify = true; return nil }},
		{"password-echo", required, func(o *Options, v string) error {
			if v == "masked" {
				o.Echo = EchoMasked
				return nil
			}
			b, err := boolean(v)
			if err != nil {
				return errors.New("neither yes, no nor masked")
			}
			o.Echo = EchoNo
			if b {
				o.Echo = EchoYes
			}
			return nil
		}},
		{"password-cache", required, func(o *Options, v string) error {
			if v == "read-only" {
				o.PasswordCache = CacheReadOnly
				return nil
			}
			b, err := boolean(v)
			if err != nil {
				return errors.New("neither yes, no nor read-only")
			}
			o.PasswordCache = CacheNo
			if b {
				o.PasswordCache = CacheYes
			}
			return nil
		}},
		{"try-empty-password", optional, func(o *Options, v string) error { return flag(&o.TryEmptyPassword, v) }},
		{"headless", optional, func(o *Options, v string) error { return flag(&o.Headless, v) }},

		{"discard", none, setDiscard},
		{"allow-discards", none, setDiscard},
		{"readonly", none, setReadOnly},
		{"read-only", none, setReadOnly},
		{"same-cpu-crypt", none, func(o *Options, _ string) error { o.SameCPUCrypt = true; return nil }},
		{"submit-from-crypt-cpus", none, func(o *Options, _ string) error { o.SubmitFromCryptCPUs = true; return nil }},
		{"no-read-workqueue", none, func(o *Options, _ string) error { o.NoReadWorkqueue = true; return nil }},
		{"no-write-workqueue", none, func(o *Options, _ string) error { o.NoWriteWorkqueue = true; return nil }},

		{"auto", none, func(o *Options, _ string) error { o.NoAuto = false; return nil }},
		{"noauto", none, func(o *Options, _ string) error { o.NoAuto = true; return nil }},
		{"fail", none, func(o *Options, _ string) error { o.NoFail = false; return nil }},
		{"nofail", none, func(o *Options, _ string) error { o.NoFail = true; return nil }},
		{"_netdev", none, func(o *Options, _ string) error { o.NetDev = true; return nil }},
		{"x-initrd.attach", none, func(o *Options, _ string) error { o.InitrdAttach = true; return nil }},
		{"x-systemd.device-timeout", required, func(o *Options, v string) error { return spanZero(&o.DeviceTimeout, v) }},
		{"initramfs", none, func(o *Options, _ string) error { o.Initramfs = true; return nil }},
		{"noearly", none, func(o *Options, _ string) error { o.NoEarly = true; return nil }},
		{"loud", none, func(o *Options, _ string) error { o.Loud, o.Quiet = true, false; return nil }},
		{"quiet", none, func(o *Options, _ string) error { o.Quiet, o.Loud = true, false; return nil }},
		{"check", optional, func(o *Options, v string) error {
			if o.Check = v; v == "" {
				o.Check = "1"
			}
			return nil
		}},
		{"checkargs", required, func(o *Options, v string) error { o.CheckArgs = v; return nil }},
		{"precheck", required, func(o *Options, v string) error { o.Precheck = v; return nil }},

		{"token-timeout", required, func(o *Options, v string) error {
			err := spanZero(&o.TokenTimeout, v)
			o.TokenSet = err == nil
			return err
		}},
		{"pkcs11-uri", required, func(o *Options, v string) error {
			if v != "auto" && !strings.HasPrefix(v, "pkcs11:") {
				return errors.New("neither auto nor a PKCS#11 URI")
			}
			o.PKCS11URI = v
			return nil
		}},
		{"fido2-device", required, func(o *Options, v string) error { o.FIDO2.Device = v; return deviceOrAuto(v) }},
		{"fido2-cid", required, func(o *Options, v string) (err error) {
			if v != "auto" {
				if o.FIDO2.CID, err = base64.StdEncoding.DecodeString(v); err != nil || len(o.FIDO2.CID) == 0 {
					o.FIDO2.CID = nil
					return errors.New("not base64")
				}
			}
			if o.FIDO2.Device == "" { // a credential without a token makes no sense
				o.FIDO2.Device = "auto"
			}
			return nil
		}},
		{"fido2-rp", required, func(o *Options, v string) error { o.FIDO2.RP = v; return nonEmpty(v) }},
		{"fido2-pin", required, func(o *Options, v string) error { return ask(&o.FIDO2.PIN, v) }},
		{"fido2-up", required, func(o *Options, v string) error { return ask(&o.FIDO2.UP, v) }},
		{"fido2-uv", required, func(o *Options, v string) error { return ask(&o.FIDO2.UV, v) }},
		{"tpm2-device", required, func(o *Options, v string) error { o.TPM2.Device = v; return deviceOrAuto(v) }},
		{"tpm2-pcrs", required, setPCRs},
		{"tpm2-pin", required, func(o *Options, v string) error { return flag(&o.TPM2.PIN, v) }},
		{"tpm2-signature", required, func(o *Options, v string) error { return absolute(&o.TPM2.Signature, v) }},
		{"tpm2-pcrlock", required, func(o *Options, v string) error { return absolute(&o.TPM2.PCRLock, v) }},
		{"tpm2-measure-pcr", required, func(o *Options, v string) error {
			if n, err := number(v, 8); err == nil {
				if n > 23 {
					return errors.New("there are PCRs 0 to 23")
				}
				o.TPM2.MeasurePCR, o.TPM2.Measure = int(n), true
				return nil
			}
			b, err := boolean(v)
			if err != nil {
				return errors.New("neither a PCR, yes nor no")
			}
			o.TPM2.MeasurePCR, o.TPM2.Measure = 0, b
			if b {
				o.TPM2.MeasurePCR = 15 // the one for the system's identity
			}
			return nil
		}},
		{"tpm2-measure-bank", required, func(o *Options, v string) error {
			o.TPM2.MeasureBanks = append(o.TPM2.MeasureBanks, strings.Split(v, ":")...)
			return nonEmpty(v)
		}},
		{"tpm2-measure-keyslot-nvpcr", required, func(o *Options, v string) error {
			o.TPM2.MeasureNvPCR = v
			if b, err := boolean(v); err == nil || v == "" {
				o.TPM2.MeasureNvPCR = ""
				if b {
					o.TPM2.MeasureNvPCR = "cryptsetup"
				}
			}
			return nil
		}},
		{"link-volume-key", required, func(o *Options, v string) error {
			if !strings.Contains(v, "::") {
				return errors.New("not of the form KEYRING::KEY")
			}
			o.LinkVolumeKey = v
			return nil
		}},
		{"fixate-volume-key", required, func(o *Options, v string) error { o.FixateVolumeKey = v; return nonEmpty(v) }},
	}
}

func setHidden(o *Options, _ string) error   { o.Type, o.TCRYPT.Hidden = TCRYPT, true; return nil }
func setVera(o *Options, _ string) error     { o.Type, o.TCRYPT.VeraCrypt = TCRYPT, true; return nil }
func setDiscard(o *Options, _ string) error  { o.Discard = true; return nil }
func setReadOnly(o *Options, _ string) error { o.ReadOnly = true; return nil }

func setSlot(o *Options, v string) error {
	n, err := number(v, 16)
	if err == nil && n > 31 {
		return errors.New("there are keyslots 0 to 31")
	}
	o.slot = int(n) + 1
	if err != nil {
		o.slot = 0
	} else if o.Type == Auto {
		o.Type = LUKS
	}
	return err
}

// setPCRs reads "7", "7+11", "7,11" (the comma escaped), or names of PCRs.
func setPCRs(o *Options, v string) error {
	var mask uint32
	for part := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '+' || r == ',' }) {
		part, _, _ = strings.Cut(part, ":") // a bank and a value may follow
		n, err := number(part, 8)
		if err != nil {
			var known bool
			if n, known = pcrName(part); !known {
				return errors.New("PCR " + part + " is unknown")
			}
		}
		if n > 23 {
			return errors.New("there are PCRs 0 to 23")
		}
		mask |= 1 << n
	}
	o.TPM2.PCRs, o.TPM2.PCRsSet = mask, true
	return nil
}

// pcrName knows the names of systemd's PCR allocations.
func pcrName(s string) (uint64, bool) {
	switch s {
	case "platform-code":
		return 0, true
	case "platform-config":
		return 1, true
	case "external-code":
		return 2, true
	case "external-config":
		return 3, true
	case "boot-loader-code":
		return 4, true
	case "boot-loader-config":
		return 5, true
	case "host-platform":
		return 6, true
	case "secure-boot-policy":
		return 7, true
	case "kernel-initrd":
		return 9, true
	case "ima":
		return 10, true
	case "kernel-boot":
		return 11, true
	case "kernel-config":
		return 12, true
	case "sysexts":
		return 13, true
	case "shim-policy":
		return 14, true
	case "system-identity":
		return 15, true
	case "debug":
		return 16, true
	case "application-support":
		return 23, true
	}
	return 0, false
}

func number(v string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(v, 10, bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errors.New("number is too big")
	}
	if err != nil {
		return 0, errNumber
	}
	return n, nil
}

func count(to *uint64, v string) error {
	n, err := number(v, 63)
	if err == nil {
		*to = n
	}
	return err
}

// boolean reads what systemd takes for a boolean.
func boolean(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, errBool
}

// flag sets a boolean; no value means yes.
func flag(to *bool, v string) error {
	if v == "" {
		*to = true
		return nil
	}
	b, err := boolean(v)
	if err == nil {
		*to = b
	}
	return err
}

func ask(to **bool, v string) error {
	b, err := boolean(v)
	if err == nil {
		*to = &b
	}
	return err
}

func span(to *time.Duration, v string) error {
	d, err := timespan.Parse(v)
	if err == nil {
		*to = d
	}
	return err
}

// spanZero reads a span in which "infinity" and 0 both mean without end.
func spanZero(to *time.Duration, v string) error {
	err := span(to, v)
	if *to == timespan.Forever {
		*to = 0
	}
	return err
}

func nonEmpty(v string) error {
	if v == "" {
		return errEmpty
	}
	return nil
}

func absolute(to *string, v string) error {
	if !strings.HasPrefix(v, "/") {
		return errAbsolute
	}
	*to = v
	return nil
}

func deviceOrAuto(v string) error {
	if v == "auto" || strings.HasPrefix(v, "/") || strings.Contains(v, ":") {
		return nil
	}
	return errors.New("neither auto nor a device")
}

// options reads a list of options.
func (p *parser) options(list string) Options {
	var o Options
	if list == "" || list == "-" || list == "none" {
		return o
	}
	table := optionTable()
	for _, word := range split(list) {
		if word == "" {
			continue
		}
		o.List = append(o.List, word)
		name, value, hasValue := strings.Cut(word, "=")
		row := find(table, name)
		switch {
		case row == nil && strings.HasPrefix(name, "x-"):
			// Somebody else's, by convention.
		case row == nil:
			o.Unknown = append(o.Unknown, word)
			p.report(false, word, "unknown", nearest(table, name))
		case row.arg == none && hasValue:
			p.report(false, word, "takes no value", "")
		case row.arg == required && !hasValue:
			p.report(false, word, "needs a value", "")
		default:
			if err := row.set(&o, value); err != nil {
				p.report(false, word, err.Error(), "")
			}
		}
	}
	if (o.Offset != 0 || o.Skip != 0) && o.Type != Plain && o.Type != Auto {
		p.report(false, "", "offset= and skip= have no effect on "+o.Type.String(), "")
	}
	return o
}

func find(table []option, name string) *option {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// nearest returns the known option that is like name, or "": a third of its
// letters may differ.
func nearest(table []option, name string) string {
	if len(name) > 40 {
		return ""
	}
	best, least := "", len(name)/3+1
	lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for i := range table {
		if d := spell.Distance(lower, table[i].name); d < least {
			best, least = table[i].name, d
		}
	}
	return best
}
