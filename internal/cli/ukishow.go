package cli

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/image/pe"
	"firstlight/internal/uki"
	"firstlight/internal/uki/measure"
	"firstlight/internal/uki/sign"
)

const goarch = runtime.GOARCH

func ukiSign() *cobra.Command {
	var key, certificate, output string
	var replace bool
	c := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign an EFI program for Secure Boot",
		Long: `Sign an EFI program: a unified kernel image, an addon, a kernel, a boot loader. The
signature is added behind those that the file has. No time is signed, so that the
same file, key and certificates always give the same bytes.

` + exitText,
		Example: "  firstlight uki sign --key db.key --certificate db.crt linux.efi\n  firstlight uki sign --key db.key --certificate db.crt --output vmlinuz.signed /boot/vmlinuz",
		Args:    args(1, 1, "an EFI program"),
		RunE: func(c *cobra.Command, a []string) error {
			if key == "" || certificate == "" {
				return usagef("uki sign needs --key FILE and --certificate FILE")
			}
			if output == "" {
				output = a[0]
			}
			s, err := readSigner("", key, certificate)
			if err != nil {
				return err
			}
			r := &partReader{}
			b := r.file("program", a[0])
			if err = r.err; err == nil && replace {
				b, err = sign.Strip(b)
			}
			if err == nil {
				b, err = s.Program(b)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			return writeProgram(output, b, r.private)
		},
	}
	c.Flags().StringVar(&key, "key", "", "RSA key, PEM")
	c.Flags().StringVar(&certificate, "certificate", "", "its certificate and those that lead from it, PEM")
	c.Flags().StringVarP(&output, "output", "o", "", "file to write (default the one that is signed)")
	c.Flags().BoolVar(&replace, "replace", false, "take signatures off that the file has")
	return c
}

func ukiVerify() *cobra.Command {
	var certificates []string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Say whether firmware would take an EFI program with Secure Boot",
		Long: `Verify the signatures of an EFI program. With --certificate it is said whether
firmware with these certificates in its database (db) would start it: one signature
must hold and lead to one of them. Without, every signature must hold, whoever made
it. It is not looked whether the database of revoked programs (dbx) has it.

` + exitText,
		Example: "  firstlight uki verify --certificate db.crt linux.efi",
		Args:    args(1, 1, "an EFI program"),
		RunE: func(c *cobra.Command, a []string) error {
			list, err := signaturesOf(a[0])
			if err != nil {
				return err
			}
			db, err := readCertificates(certificates)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("%s: it is not signed: %w", a[0], sign.ErrSignature)
			}
			good := 0
			var wrong []error
			for i := range list {
				s := &list[i]
				err := s.Broken
				if len(db) > 0 {
					err = s.TrustedBy(db)
				}
				if err != nil {
					wrong = append(wrong, fmt.Errorf("%s: signature %d: %w", a[0], i+1, err))
					continue
				}
				good++
				fmt.Fprintf(c.OutOrStdout(), "signature %d: by %s, holds\n", i+1, s.Signer.Subject)
			}
			if good == 0 || len(db) == 0 && len(wrong) > 0 {
				return errors.Join(wrong...)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&certificates, "certificate", nil, "certificates that are trusted, PEM or DER; may be repeated")
	return c
}

func signaturesOf(name string) ([]sign.Signature, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list, err := sign.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

func ukiShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what a unified kernel image or an addon is made of",
		Long: `List the sections of a unified kernel image, those of each profile, and its
signatures. firstlight ls and its companions look into the initramfs.

` + exitText,
		Example: "  firstlight uki show /efi/EFI/Linux/linux.efi\n  firstlight uki show --json linux.efi | jq .signatures",
		Args:    args(1, 1, "an EFI program"),
		RunE: func(c *cobra.Command, a []string) error {
			s, err := shown(a[0])
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			s.print(c.OutOrStdout(), a[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// shownImage is what show prints.
type shownImage struct {
	Machine    string           `json:"machine"`
	Stub       string           `json:"stub,omitempty"`
	Sections   []shownSection   `json:"sections"`
	Profiles   []shownProfile   `json:"profiles,omitempty"`
	Signatures []shownSignature `json:"signatures,omitempty"`
}

type shownSection struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
	Text   string `json:"text,omitempty"`
}

type shownProfile struct {
	ID       string         `json:"id"`
	Sections []shownSection `json:"sections"`
}

type shownSignature struct {
	By     string `json:"by"`
	Holds  bool   `json:"holds"`
	Digest string `json:"sha256"`
	Why    string `json:"why,omitempty"`
}

func shown(name string) (*shownImage, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	i, err := uki.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &shownImage{Machine: i.Machine.String(), Stub: stubName(b), Sections: sectionsShown(i.Base)}
	for n, p := range i.Profiles {
		s.Profiles = append(s.Profiles, shownProfile{i.Name(n), sectionsShown(p)})
	}
	list, err := sign.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, sig := range list {
		one := shownSignature{Holds: sig.Broken == nil, Digest: hex.EncodeToString(sig.Digest)}
		if sig.Signer != nil {
			one.By = sig.Signer.Subject.String()
		}
		if sig.Broken != nil {
			one.Why = sig.Broken.Error()
		}
		s.Signatures = append(s.Signatures, one)
	}
	return s, nil
}

func sectionsShown(list []uki.Section) []shownSection {
	out := []shownSection{}
	for _, s := range list {
		text, _ := s.Text()
		out = append(out, shownSection{s.Name, len(s.Data), hex.EncodeToString(s.Digest()), text})
	}
	return out
}

// stubName is what the stub says it is, in its section .sdmagic.
func stubName(b []byte) string {
	p, err := pe.Parse(b)
	if err != nil {
		return ""
	}
	for _, h := range p.Headers {
		if h.Name == ".sdmagic" {
			text := strings.TrimRight(string(h.Content(b)), "\x00")
			return strings.TrimSuffix(strings.TrimPrefix(text, "#### LoaderInfo: "), " ####")
		}
	}
	return ""
}

func (s *shownImage) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s: %s", name, s.Machine)
	if s.Stub != "" {
		fmt.Fprintf(w, ", %s", s.Stub)
	}
	fmt.Fprintln(w)
	sections := func(list []shownSection) {
		for _, one := range list {
			fmt.Fprintf(w, "  %-8s %10d  %s\n", one.Name, one.Size, one.SHA256)
			if one.Name == ".pcrsig" || one.Name == ".pcrpkey" {
				continue
			}
			for line := range strings.Lines(one.Text) {
				fmt.Fprintf(w, "           %s\n", strings.TrimRight(line, "\r\n"))
			}
		}
	}
	sections(s.Sections)
	for i, p := range s.Profiles {
		fmt.Fprintf(w, "profile @%d %s\n", i, p.ID)
		sections(p.Sections)
	}
	for i, sig := range s.Signatures {
		if sig.Holds {
			fmt.Fprintf(w, "signature %d: by %s, holds\n", i+1, sig.By)
		} else {
			fmt.Fprintf(w, "signature %d: %s\n", i+1, sig.Why)
		}
	}
	if len(s.Signatures) == 0 {
		fmt.Fprintln(w, "not signed")
	}
}

func ukiMeasure() *cobra.Command {
	var banks, phases []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "measure FILE",
		Short: "Say what PCR 11 of a TPM will be with a unified kernel image",
		Long: `Compute the values that PCR 11 has at points of the boot with this image: for each
profile, and for each device tree of which the stub chooses one. Where the image
has signatures of policies (.pcrsig) it is said which values are signed for by the
key in it (.pcrpkey). Addons are measured into PCR 12, which is not computed.

` + exitText,
		Example: "  firstlight uki measure linux.efi\n  firstlight uki measure --phase enter-initrd --bank sha256 linux.efi",
		Args:    args(1, 1, "a unified kernel image"),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := os.ReadFile(a[0])
			if err != nil {
				return err
			}
			i, err := uki.Parse(b)
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			list, err := measure.FindBanks(banks)
			if err != nil {
				return usageError{err}
			}
			paths, err := measure.ParsePaths(strings.Join(phases, ","))
			if err != nil {
				return usageError{err}
			}
			if len(phases) == 0 {
				initrd, _ := i.Section(0, ".initrd")
				paths = pathsWith([][]byte{initrd})
			}
			out, err := measured(i, list, paths)
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(out)
			}
			printMeasured(c.OutOrStdout(), out)
			return nil
		},
	}
	c.Flags().StringSliceVar(&banks, "bank", nil, "banks of the TPM (default all)")
	c.Flags().StringSliceVar(&phases, "phase", nil, "points of the boot (default those that there are with the initramfs in it, to ready)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

type measuredValue struct {
	Profile string `json:"profile,omitempty"`
	Number  int    `json:"number"`
	Tree    int    `json:"devicetree,omitempty"` // which of several, from 1
	Phase   string `json:"phase"`
	Bank    string `json:"bank"`
	PCR     int    `json:"pcr"`
	Hash    string `json:"hash"`
	Signed  bool   `json:"signed"`
}

func measured(i *uki.Image, banks []measure.Bank, paths []measure.Path) ([]measuredValue, error) {
	var out []measuredValue
	for n := range i.Count() {
		images := i.Measured(n)
		for tree, im := range images {
			values := measure.Values(im, banks, paths)
			signed, err := signedFor(i, n, values)
			if err != nil {
				return nil, err
			}
			for k, v := range values {
				m := measuredValue{Profile: i.Name(n), Number: n, Phase: string(v.Path), Bank: v.Bank.Name, PCR: measure.Register, Hash: hex.EncodeToString(v.Value), Signed: signed[k]}
				if len(images) > 1 {
					m.Tree = tree + 1
				}
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// signedFor says for each value whether the image has a signature of it.
func signedFor(i *uki.Image, profile int, values []measure.Value) ([]bool, error) {
	sigs, ok := i.Section(profile, ".pcrsig")
	pub, has := i.Section(profile, ".pcrpkey")
	if !ok || !has {
		return make([]bool, len(values)), nil
	}
	key, err := sign.ParsePublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("the key in .pcrpkey: %w", err)
	}
	return measure.Signed(sigs, values, key)
}

func printMeasured(w io.Writer, list []measuredValue) {
	before := ""
	for _, m := range list {
		head := "# " + m.Phase
		if m.Phase == "" {
			head = "# start of the kernel"
		}
		if m.Profile != "" {
			head += fmt.Sprintf(", profile @%d %s", m.Number, m.Profile)
		}
		if m.Tree > 0 {
			head += fmt.Sprintf(", device tree %d", m.Tree)
		}
		if head != before {
			fmt.Fprintln(w, head)
			before = head
		}
		signed := ""
		if m.Signed {
			signed = " signed"
		}
		fmt.Fprintf(w, "%d:%s=%s%s\n", m.PCR, m.Bank, m.Hash, signed)
	}
}

func readCertificates(names []string) (out []*x509.Certificate, err error) {
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := sign.ParseCertificates(b)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", name, err)
		}
		out = append(out, list...)
	}
	return out, nil
}
