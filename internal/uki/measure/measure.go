// Package measure says what systemd-stub and systemd make of PCR 11 of a TPM, and
// signs policies for those values, so that a secret can be bound to whoever may
// sign images and not to one image: what systemd-measure does.
//
// Pure. The order of the sections is that of systemd-stub(7); the policy is that
// of TPM 2.0 Part 3, TPM2_PolicyPCR; a signature is what TPM2_PolicyAuthorize
// takes: RSASSA, with the hash of the bank.
package measure

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Register is the PCR that the stub measures an image into.
const Register = 11

// Order are the sections that the stub measures, in the order in which it does:
// where they stand in the file does not matter.
func Order() []string {
	return []string{".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile", ".dtbauto", ".hwids"}
}

// Bank is one of a TPM's sets of registers.
type Bank struct {
	Name string // "sha256"
	Hash crypto.Hash
	id   uint16 // TPM_ALG_ID
}

// Banks are all that are known.
func Banks() []Bank {
	return []Bank{{"sha1", crypto.SHA1, 0x0004}, {"sha256", crypto.SHA256, 0x000b}, {"sha384", crypto.SHA384, 0x000c}, {"sha512", crypto.SHA512, 0x000d}}
}

// FindBanks returns banks by their names, all of them for none.
func FindBanks(names []string) ([]Bank, error) {
	if len(names) == 0 {
		return Banks(), nil
	}
	var out []Bank
	for _, n := range names {
		i := slices.IndexFunc(Banks(), func(b Bank) bool { return b.Name == strings.ToLower(n) })
		if i < 0 {
			return nil, fmt.Errorf("bank %q: it is sha1, sha256, sha384 or sha512", n)
		}
		if !slices.ContainsFunc(out, func(b Bank) bool { return b.Name == Banks()[i].Name }) {
			out = append(out, Banks()[i])
		}
	}
	return out, nil
}

// Path is a point of the boot: the phases up to it, with colons between them.
type Path string

// Paths are the points that are signed for by default.
func Paths() []Path {
	return []Path{"enter-initrd", "enter-initrd:leave-initrd", "enter-initrd:leave-initrd:sysinit", "enter-initrd:leave-initrd:sysinit:ready"}
}

// ParsePaths reads points, with commas or spaces between them; ":" is the moment
// at which the kernel is started.
func ParsePaths(text string) ([]Path, error) {
	var out []Path
	for _, p := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		if p == ":" {
			out = append(out, "")
			continue
		}
		for w := range strings.SplitSeq(p, ":") {
			if !slices.Contains([]string{"enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"}, w) {
				return nil, fmt.Errorf("phase %q of %q: they are enter-initrd, leave-initrd, sysinit, ready, shutdown and final", w, p)
			}
		}
		out = append(out, Path(p))
	}
	return out, nil
}

// Image is what is measured: the contents of sections by their names, those of
// one profile.
type Image map[string][]byte

func (b Bank) sum(data []byte) []byte {
	h := b.Hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// extend is what a TPM makes of a register when it measures data.
func (b Bank) extend(register, data []byte) []byte {
	return b.sum(append(bytes.Clone(register), b.sum(data)...))
}

// start is the register when the stub starts the kernel.
func (b Bank) start(image Image) []byte {
	r := make([]byte, b.Hash.Size())
	for _, name := range Order() {
		if data, ok := image[name]; ok {
			r = b.extend(b.extend(r, append([]byte(name), 0)), data)
		}
	}
	return r
}

func (b Bank) reach(register []byte, at Path) []byte {
	for w := range strings.SplitSeq(string(at), ":") {
		if w != "" {
			register = b.extend(register, []byte(w))
		}
	}
	return register
}

// Value is what the register holds at a point of the boot.
type Value struct {
	Bank  Bank
	Path  Path
	Value []byte
}

// Values returns what the register holds at each point in each bank, in the order
// of the points. An empty point is the moment at which the kernel is started.
func Values(image Image, banks []Bank, paths []Path) []Value {
	starts := make([][]byte, len(banks))
	for i, b := range banks {
		starts[i] = b.start(image)
	}
	var out []Value
	for _, at := range paths {
		for i, b := range banks {
			out = append(out, Value{b, at, b.reach(starts[i], at)})
		}
	}
	return out
}

// policy is the digest of a policy that holds while the register has the value:
// TPM2_PolicyPCR in a fresh session whose hash is SHA-256.
func (v Value) policy() []byte {
	const commandPolicyPCR = 0x17f
	be := binary.BigEndian
	registers := []byte{0, 0, 0}
	registers[Register/8] |= 1 << (Register % 8)
	sum := sha256.Sum256(v.Value)
	b := make([]byte, sha256.Size) // the digest of a policy without conditions
	b = be.AppendUint32(b, commandPolicyPCR)
	b = be.AppendUint32(b, 1) // selections
	b = be.AppendUint16(b, v.Bank.id)
	b = append(append(b, byte(len(registers))), registers...)
	digest := sha256.Sum256(append(b, sum[:]...))
	return digest[:]
}

// Signature is a policy and the signature of it.
type Signature struct {
	PCRs   []int  `json:"pcrs"`
	Key    string `json:"pkfp"` // SHA-256 of the public key (PKCS #1, DER), hexadecimal
	Policy string `json:"pol"`  // hexadecimal
	Bytes  string `json:"sig"`  // base64
}

// Signatures are the content of a section .pcrsig: those of each bank, in the
// order in which they were made.
type Signatures struct {
	banks []string
	of    map[string][]Signature
}

// Sign adds the signatures of an image by a key, those that are there already but
// once.
func (s *Signatures) Sign(image Image, key *rsa.PrivateKey, banks []Bank, paths []Path) error {
	print := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	for _, v := range Values(image, banks, paths) {
		policy := v.policy()
		sig, err := rsa.SignPKCS1v15(nil, key, v.Bank.Hash, v.Bank.sum(policy))
		if err != nil {
			return fmt.Errorf("sign the policy for PCR %d: %w", Register, err)
		}
		s.add(v.Bank.Name, Signature{PCRs: []int{Register}, Key: hex.EncodeToString(print[:]), Policy: hex.EncodeToString(policy),
			Bytes: base64.StdEncoding.EncodeToString(sig)})
	}
	return nil
}

func (s *Signatures) add(bank string, sig Signature) {
	if s.of == nil {
		s.of = map[string][]Signature{}
	}
	if s.of[bank] == nil {
		s.banks = append(s.banks, bank)
	}
	if !slices.ContainsFunc(s.of[bank], func(o Signature) bool { return o.Policy == sig.Policy && o.Key == sig.Key && o.Bytes == sig.Bytes }) {
		s.of[bank] = append(s.of[bank], sig)
	}
}

// Of returns the signatures of a bank.
func (s *Signatures) Of(bank string) []Signature { return s.of[bank] }

// Text is the section's content: JSON, as ukify writes it.
func (s *Signatures) Text() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, bank := range s.banks {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q: [", bank)
		for j, sig := range s.of[bank] {
			if j > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, `{"pcrs": [%d], "pkfp": %q, "pol": %q, "sig": %q}`, Register, sig.Key, sig.Policy, sig.Bytes)
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Signed says which of the values a section .pcrsig has signatures for that the
// key made: for each value whether there is one that holds.
func Signed(section []byte, values []Value, key *rsa.PublicKey) ([]bool, error) {
	var of map[string][]Signature
	if err := json.Unmarshal(bytes.TrimRight(section, "\x00"), &of); err != nil {
		return nil, fmt.Errorf("the signatures of .pcrsig: %w", err)
	}
	out := make([]bool, len(values))
	for i, v := range values {
		policy := v.policy()
		for _, sig := range of[v.Bank.Name] {
			raw, err := base64.StdEncoding.DecodeString(sig.Bytes)
			if err == nil && slices.Equal(sig.PCRs, []int{Register}) && sig.Policy == hex.EncodeToString(policy) && rsa.VerifyPKCS1v15(key, v.Bank.Hash, v.Bank.sum(policy), raw) == nil {
				out[i] = true
			}
		}
	}
	return out, nil
}
