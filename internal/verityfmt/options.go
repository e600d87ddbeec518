package verityfmt

import (
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
)

// Options is what a list as in veritytab(5) says beside the superblock.
type Options struct {
	NoSuperblock bool
	HashOffset   uint64       // in bytes
	FEC          devspec.Spec // of the error correction; zero for none
	Params       Params       // what is to be used; that of a superblock is stronger where both speak
	// Signature is root-hash-signature=, a file or "base64:…".
	Signature string
	// Problems are options that have no effect, and why.
	Problems []string
}

// ParseOptions reads a list separated by commas: veritytab(5) of systemd, with
// the names of veritysetup(8).
func ParseOptions(list string) (o Options, err error) {
	p := &o.Params
	p.HashType, p.Algorithm, p.DataBlock, p.HashBlock, p.FECRoots = 1, "sha256", 4096, 4096, 2
	for word := range strings.SplitSeq(list, ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(word), "=")
		number := func(to *uint64) {
			n, e := strconv.ParseUint(value, 10, 62)
			if *to = n; e != nil && err == nil {
				err = fmt.Errorf("option %s: not a number", word)
			}
		}
		small := func(to *int) {
			var n uint64
			if number(&n); n > 1<<30 && err == nil {
				err = fmt.Errorf("option %s: too large", word)
			}
			*to = int(n & (1<<30 - 1))
		}
		switch name {
		case "", "auto", "nofail", "_netdev", "x-initrd.attach":
		case "noauto":
		case "superblock":
			switch strings.ToLower(value) {
			case "0", "no", "false", "off", "n", "f":
				o.NoSuperblock = true
			case "", "1", "yes", "true", "on", "y", "t":
				o.NoSuperblock = false
			default:
				err = fmt.Errorf("option %s: neither yes nor no", word)
			}
		case "format":
			small(&p.HashType)
		case "data-block-size":
			small(&p.DataBlock)
		case "hash-block-size":
			small(&p.HashBlock)
		case "data-blocks":
			number(&p.Blocks)
		case "hash-offset":
			number(&o.HashOffset)
		case "salt":
			p.Salt = nil
			if value != "-" && value != "" {
				var ok bool
				if p.Salt, ok = Hex(value); !ok || len(p.Salt) > maxSalt {
					err = fmt.Errorf("option salt: not hexadecimal, or too long")
				}
			}
		case "uuid":
			p.UUID = strings.ToLower(value)
			if strings.Trim(p.UUID, "0123456789abcdef-") != "" || len(p.UUID) > 36 {
				err = fmt.Errorf("option %s: not a UUID", word)
			}
		case "hash":
			p.Algorithm = strings.ToLower(value)
		case "ignore-corruption":
			p.IgnoreCorruption = true
		case "restart-on-corruption":
			p.RestartOnCorruption = true
		case "panic-on-corruption":
			p.PanicOnCorruption = true
		case "ignore-zero-blocks":
			p.IgnoreZeroBlocks = true
		case "check-at-most-once":
			p.CheckAtMostOnce = true
		case "fec-device":
			spec, e := devspec.Parse(value)
			if o.FEC = spec; e != nil || !spec.IsDevice() {
				err = fmt.Errorf("option %s: not a device", word)
			}
		case "fec-offset":
			number(&p.FECOffset)
		case "fec-roots":
			small(&p.FECRoots)
		case "root-hash-signature":
			o.Signature = value
		case "x-systemd.device-timeout":
			o.Problems = append(o.Problems, name+": the root has its own deadline, rd.timeout=")
		default:
			if strings.HasPrefix(name, "x-") {
				continue
			}
			o.Problems = append(o.Problems, "unknown option "+word)
		}
		if err != nil {
			return o, err
		}
		if !hasValue && (name == "salt" || name == "hash" || name == "uuid" || name == "root-hash-signature") {
			return o, fmt.Errorf("option %s needs a value", word)
		}
	}
	return o, nil
}

// Hex reads hexadecimal digits.
func Hex(text string) ([]byte, bool) {
	if len(text)%2 != 0 {
		return nil, false
	}
	out := make([]byte, len(text)/2)
	for i := range out {
		n, err := strconv.ParseUint(text[2*i:2*i+2], 16, 8)
		if err != nil || text[2*i] == '+' {
			return nil, false
		}
		out[i] = byte(n)
	}
	return out, true
}

// With completes what the superblock says with the options, which say how
// errors are met.
func (o *Options) With(sb *Params) Params {
	if sb == nil {
		p := o.Params
		p.HashOffset = o.HashOffset
		return p
	}
	p := *sb
	p.IgnoreCorruption, p.RestartOnCorruption, p.PanicOnCorruption = o.Params.IgnoreCorruption, o.Params.RestartOnCorruption, o.Params.PanicOnCorruption
	p.IgnoreZeroBlocks, p.CheckAtMostOnce = o.Params.IgnoreZeroBlocks, o.Params.CheckAtMostOnce
	p.FECOffset, p.FECRoots = o.Params.FECOffset, o.Params.FECRoots
	return p
}
