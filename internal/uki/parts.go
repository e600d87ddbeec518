package uki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/image/pe"
	"firstlight/internal/uki/measure"
)

// Parts are what an image is made of. What is nil or empty is left out.
type Parts struct {
	Stub []byte
	// Addon makes an addon: without a kernel, and with the stub of one.
	Addon bool

	Kernel      []byte   // as firmware can start it; see Kernel
	Initrds     [][]byte // in the order in which the kernel unpacks them
	Microcode   []byte   // an uncompressed archive that the kernel looks into first
	Cmdline     []byte
	OSRelease   []byte
	Uname       []byte
	Splash      []byte   // a BMP
	DeviceTree  []byte   // for any machine
	DeviceTrees [][]byte // of which the stub chooses one by the machine
	HWIDs       []byte   // made by HWIDs
	PublicKey   []byte   // of the signatures for PCR 11, PEM
	Extra       []Section
	SBAT        []string // tables besides those of stub and kernel; none is the default

	// Profile describes the image as a profile, lines like ID=main. Without
	// Profiles it makes the image one that is to be joined to another.
	Profile  []byte
	Profiles []Profile

	Sign  []PolicyKey // signs for PCR 11
	Banks []measure.Bank
}

// Profile is another way to start an image, with sections of its own in place of
// the image's. The first is .profile.
type Profile []Section

// PolicyKey is a key that signs what PCR 11 will be, for points of the boot.
type PolicyKey struct {
	Key   *rsa.PrivateKey
	Paths []measure.Path // none is the default
}

// Build makes the image, without a signature for Secure Boot.
func Build(p Parts) ([]byte, error) {
	known, err := Known(p.Stub)
	if err != nil {
		return nil, err
	}
	sections, err := p.sections(known)
	if err != nil {
		return nil, err
	}
	if !p.Addon && len(known) == 0 {
		return nil, fmt.Errorf("the stub looks for no section: it is not systemd-stub: %w", ErrInvalid)
	}
	for _, s := range sections {
		// .sbat is for shim and other loaders, whether the stub measures it or not.
		if !p.Addon && s.Name != ".sbat" && slices.Contains(stubSections(), s.Name) && !slices.Contains(known, s.Name) {
			return nil, fmt.Errorf("the stub is too old for a section %s: it has no use for it: %w", s.Name, ErrInvalid)
		}
	}
	return Join(p.Stub, sections)
}

// stubSections are the sections that some stub looks for.
func stubSections() []string { return append(measure.Order(), ".pcrsig") }

// Known says which sections a stub looks for: those whose names are in its code.
// A stub measures all of them but .pcrsig, and is indifferent to others. The stub
// of an addon looks for none.
func Known(stub []byte) ([]string, error) {
	p, err := pe.Parse(stub)
	if err != nil {
		return nil, fmt.Errorf("the stub: %w", err)
	}
	var out []string
	for _, name := range stubSections() {
		for _, h := range p.Headers {
			if strings.HasPrefix(h.Name, ".text") || h.Name == ".rodata" || h.Name == ".data" {
				if bytes.Contains(h.Content(stub), []byte(name+"\x00")) {
					out = append(out, name)
					break
				}
			}
		}
	}
	return out, nil
}

// sections are all that are added to the stub, in their order.
func (p *Parts) sections(known []string) ([]Section, error) {
	var out []Section
	add := func(name string, data []byte) {
		if len(data) > 0 {
			out = append(out, Section{name, data})
		}
	}
	if len(p.Profiles) == 0 {
		add(".profile", p.Profile)
	}
	add(".osrel", p.OSRelease)
	add(".cmdline", p.Cmdline)
	add(".dtb", p.DeviceTree)
	for _, d := range p.DeviceTrees {
		add(".dtbauto", d)
	}
	add(".hwids", p.HWIDs)
	add(".uname", p.Uname)
	add(".splash", p.Splash)
	add(".pcrpkey", p.publicKey())
	add(".linux", p.Kernel)
	add(".initrd", joinInitrds(p.Initrds))
	add(".ucode", p.Microcode)
	out = append(out, p.Extra...)
	if len(p.Profiles) > 0 || len(p.Profile) == 0 {
		out = append(out, Section{".sbat", p.sbat()})
	}
	if len(p.Profiles) > 0 {
		profile := p.Profile
		if len(profile) == 0 {
			profile = []byte("ID=main")
		}
		add(".profile", profile)
	}
	base := out
	out, err := p.policies(out, base, nil, known)
	if err != nil {
		return nil, err
	}
	for _, own := range p.Profiles {
		if len(own) == 0 || own[0].Name != ".profile" {
			return nil, fmt.Errorf("a profile does not begin with a section .profile: %w", ErrInvalid)
		}
		if out, err = p.policies(append(out, own...), base, own, known); err != nil {
			return nil, err
		}
	}
	return out, noTwice(out)
}

// publicKey is that of the one key that signs, if it was not given.
func (p *Parts) publicKey() []byte {
	if len(p.PublicKey) > 0 || len(p.Sign) != 1 {
		return p.PublicKey
	}
	der, err := x509.MarshalPKIXPublicKey(&p.Sign[0].Key.PublicKey)
	if err != nil {
		panic(err) // every RSA key has that form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// joinInitrds puts archives one behind the other, each at a multiple of four
// bytes, where the kernel looks for the next.
func joinInitrds(list [][]byte) []byte {
	if len(list) == 1 {
		return list[0]
	}
	var out []byte
	for _, b := range list {
		out = append(out, b...)
		out = append(out, make([]byte, -len(b)&3)...)
	}
	return out
}

func (p *Parts) sbat() []byte {
	programs, texts := [][]byte{p.Stub, p.Kernel}, p.SBAT
	own := sbatImage
	if len(p.Kernel) == 0 { // the stub of an addon is not run
		programs, own = nil, sbatAddon
	}
	if len(texts) == 0 {
		texts = []string{sbatHead + "\n" + own + "\n"}
	}
	return mergeSBAT(programs, texts)
}

// policies adds the section .pcrsig of a profile: base is what all share, own
// what the profile has in place of it; nil is the first one, which is in base.
func (p *Parts) policies(out, base []Section, own Profile, known []string) ([]Section, error) {
	if len(p.Sign) == 0 {
		return out, nil
	}
	banks := p.Banks
	if len(banks) == 0 {
		banks = measure.Banks()
	}
	var sigs measure.Signatures
	for _, image := range images(base, own, known) {
		for _, k := range p.Sign {
			paths := k.Paths
			if len(paths) == 0 {
				paths = measure.Paths()
			}
			if err := sigs.Sign(image, k.Key, banks, paths); err != nil {
				return nil, err
			}
		}
	}
	return append(out, Section{".pcrsig", sigs.Text()}), nil
}

// images is what a stub that knows these sections measures of a profile: one
// image for each device tree that it may choose.
func images(base []Section, own Profile, known []string) []measure.Image {
	image := measure.Image{}
	var trees [][]byte
	for i, list := range [][]Section{base, own} {
		var mine [][]byte
		for _, s := range list {
			switch {
			case !slices.Contains(known, s.Name) || s.Name == ".pcrsig":
			case s.Name == ".profile" && i == 0 && own != nil: // that of the first
			case s.Name == ".dtbauto":
				mine = append(mine, s.Data)
			default:
				image[s.Name] = s.Data
			}
		}
		if len(mine) > 0 {
			trees = mine
		}
	}
	if len(trees) == 0 {
		return []measure.Image{image}
	}
	var out []measure.Image
	for _, t := range trees {
		one := measure.Image{".dtbauto": t}
		for name, data := range image {
			one[name] = data
		}
		out = append(out, one)
	}
	return out
}

// noTwice refuses sections that a profile has two of.
func noTwice(list []Section) error {
	seen := map[string]bool{}
	for _, s := range list {
		if s.Name == ".profile" {
			clear(seen)
		}
		if seen[s.Name] && s.Name != ".dtbauto" {
			return fmt.Errorf("two sections %s: %w", s.Name, ErrInvalid)
		}
		seen[s.Name] = true
	}
	return nil
}
