package build

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/pkgdb"
	"firstlight/internal/sbom"
	"firstlight/internal/version"
)

// SourceDate is the time that documents of a build say they were made at:
// $SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/),
// or else now. Images hold no time at all.
func SourceDate(env string, now time.Time) (time.Time, error) {
	if env == "" {
		return now, nil
	}
	n, err := strconv.ParseInt(env, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds since 1970: %w", env, ErrConfig)
	}
	return time.Unix(n, 0), nil
}

// writeSBOM describes the finished image: what is read back out of its
// archives, so that the sums are of what is in there.
func (b *builder) writeSBOM(segments []*image.Segment) error {
	im := sbom.Image{Name: filepath.Base(b.o.Output), Kernel: b.o.Kernel, Builder: version.Version, Created: b.o.SourceDate}
	sum := sha256.New()
	var whole []byte
	for _, s := range segments {
		sum.Write(s.Frame)
		whole = append(whole, s.Frame...)
	}
	im.Sum = [32]byte(sum.Sum(nil))
	type sums struct {
		sha1   [20]byte
		sha256 [32]byte
		kind   string
	}
	found := map[int]sums{}
	view, err := image.NewViewOf(whole, image.Limits{}, func(entry int, _ *cpio.Header, body io.Reader) error {
		h1, h256, head := sha1.New(), sha256.New(), &headWriter{}
		_, err := io.Copy(io.MultiWriter(h1, h256, head), body)
		found[entry] = sums{[20]byte(h1.Sum(nil)), [32]byte(h256.Sum(nil)), head.kind()}
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	entries := map[string]*image.Entry{}
	for _, e := range b.tree.Entries() {
		entries[e.Path] = e
	}
	var from []string
	for _, v := range view.Entries() {
		if v.Header.Type() != cpio.TypeRegular {
			continue
		}
		e := entries[v.Path]
		if e == nil { // the manifest
			e = &image.Entry{Path: v.Path, Why: "what the image holds", Secret: b.tree.HasSecrets()}
		}
		if e.Secret {
			im.Hidden++
			continue
		}
		s := found[v.Entry]
		im.Files = append(im.Files, sbom.File{Path: v.Path, SHA1: s.sha1, SHA256: s.sha256, Source: e.From, Why: e.Why, Kind: s.kind})
		from = append(from, e.From)
	}
	owners, err := pkgdb.Owners(b.o.Sysroot, from)
	if err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	for i := range im.Files {
		if p, ok := owners[im.Files[i].Source]; ok {
			im.Files[i].Package = &p
		}
	}
	text, err := sbom.SPDX(im)
	if err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	if _, err := image.WriteFile(b.o.SBOM, 0o644, []*image.Segment{{Frame: text}}); err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	return nil
}

// headWriter keeps the first bytes.
type headWriter struct{ b []byte }

func (w *headWriter) Write(p []byte) (int, error) {
	if room := 512 - len(w.b); room > 0 {
		w.b = append(w.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// kind is SPDX's word for a content that begins so.
func (w *headWriter) kind() string {
	switch s := string(w.b); {
	case strings.HasPrefix(s, "\x7fELF"):
		return "BINARY"
	case strings.HasPrefix(s, "#!"):
		return "SOURCE"
	case strings.IndexByte(s, 0) >= 0, strings.IndexByte(s, 0xff) >= 0: // in no text
		return "OTHER"
	}
	return "TEXT"
}

// checkSBOM refuses a place for the document where it could not be written.
func checkSBOM(name, output string) error {
	if name == "" {
		return nil
	}
	if err := image.CheckOutput(name); err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	a, err1 := os.Stat(name)
	b, err2 := os.Stat(output)
	if absolute(name) == absolute(output) || err1 == nil && err2 == nil && os.SameFile(a, b) {
		return fmt.Errorf("sbom: %s is the image: %w", name, ErrConfig)
	}
	return nil
}
