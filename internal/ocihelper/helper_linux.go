// Package ocihelper is the edge of package oci: it has the files in memory that the
// parts of an image come into, the program that fetches them, and the directory that
// its layers are unpacked into. It runs in a program of its own, cmd/oci.
//
// Nothing of a layer is looked at before its digest was found to be right, and none of
// its names leads out of the directory.
package ocihelper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
	"firstlight/internal/fetchrun"
	"firstlight/internal/imagecache"
	"firstlight/internal/netreport"
	"firstlight/internal/oci"
)

// Helper makes a root of one image.
type Helper struct {
	// Say reports how it goes.
	Say func(netreport.Report)
	// Root is put before the paths of files of the image, "" but in tests.
	Root string
	// Fetch is the program that fetches, "" for the image's.
	Fetch string

	plan     fetchplan.Plan
	url      fetchplan.URL
	trust    fetch.Trust
	rings    []string
	platform oci.Platform
	work     string // the directory for parts
	into     string // the directory that becomes the root
	parts    source
	done     int64 // bytes of layers that came, and that are to come
	total    int64
}

// source has the files of a layout. The caller closes what it opens, which is nobody
// else's.
type source interface {
	open(name string, limit int64) (*part, error)
}

// part is a file of a layout.
type part struct {
	*io.SectionReader
	close func() error
}

// Run does what the plan says. How it ended is reported; the error is about what
// nobody could report.
func (h *Helper) Run(text string) error {
	p, err := fetchplan.ParseKept(text)
	if err != nil {
		return err
	}
	h.plan = p
	syscall.Umask(0o022)
	if err = h.run(); err == nil {
		return nil
	}
	os.RemoveAll(h.work)
	os.RemoveAll(h.into) // nothing that is not known to be right is left
	r := fetch.Final(err)
	if r == nil {
		r = &fetch.Refusal{Text: h.url.String() + " cannot be used: " + err.Error(), Try: "look at the image: skopeo inspect, umoci"}
		if errors.Is(err, syscall.ENOSPC) {
			r.Text = "what is in " + h.url.String() + " does not fit into memory (" + fetch.Mebibytes(p.Limit) + " can be had)"
		}
	}
	if r.Try == "" {
		r.Try = "give the machine more memory, use a smaller image, or leave less with rd.minmem="
	}
	h.say(fetchplan.StateRefused, "text", r.Text, "try", r.Try)
	return nil
}

func (h *Helper) say(state string, fields ...string) { h.Say(netreport.New(state, fields...)) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// refused says what is wrong with a part of the image.
func (h *Helper) refused(part string, err error) error {
	if fetch.Final(err) != nil || errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return &fetch.Refusal{Text: part + " of " + h.url.String() + " cannot be used: " + err.Error(), Try: "look at the image: skopeo inspect, umoci"}
}

func (h *Helper) run() (err error) {
	if h.url, err = fetchplan.ParseURL(h.plan.URL); err != nil {
		return &fetch.Refusal{Text: "it cannot be fetched: " + err.Error(), Try: "correct the URL"}
	}
	h.into = h.Root + h.plan.Into
	h.work = path.Join(path.Dir(h.into), "parts")
	if h.platform.OS == "" {
		h.platform = oci.Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	keys, rings, sums, err := trustfiles.Read(h.Root)
	if err != nil {
		return err
	}
	h.rings = rings
	archive := strings.EqualFold(path.Ext(h.url.File()), ".tar")
	named := h.url // what a signature, or a line of sums, is of
	if !archive {
		named.Path = fetchplan.Below(h.url.Path, oci.IndexFile)
	}
	if h.trust, err = fetch.Choose(h.plan, named, sums, keys, len(rings) > 0); err != nil {
		return err
	}
	for _, dir := range []string{h.work, h.Root + fetchplan.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.Mkdir(h.into, 0o755); err != nil {
		return err
	}
	want, by, err := h.begin(archive)
	if err != nil {
		return err
	}
	m, digest, by, err := h.manifest(want, by)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(h.into)
	if err != nil {
		return err
	}
	defer root.Close()
	t := tree{root: root}
	for _, l := range m.Layers {
		h.total += l.Size
	}
	if h.total > h.plan.Limit {
		return &fetch.Refusal{Text: "the layers of " + h.url.String() + " have " + fetch.Mebibytes(h.total) + ", and " + fetch.Mebibytes(h.plan.Limit) + " can be had"}
	}
	for i, l := range m.Layers {
		name := "layer " + strconv.Itoa(i+1) + " (" + string(l.Digest) + ")"
		p, err := h.blob(l.Descriptor)
		if err == nil {
			err = errors.Join(t.layer(p, l), p.close())
		}
		if err != nil {
			return h.refused(name, err)
		}
		h.done += l.Size
	}
	if t.left > 0 {
		h.say(fetchplan.StateNote, "text", strconv.Itoa(t.left)+" devices of the image were not made: /dev is the kernel's")
	}
	if err := os.RemoveAll(h.work); err != nil {
		return err
	}
	h.say(fetchplan.StateFetched, "size", decimal(h.total), "sum", digest.Sum(), "by", by)
	return nil
}

// begin gets the archive, or nothing, and says by what it is verified: by all of it
// already, or want is the digest that the image in it has to have. Neither is that the
// index is to be verified.
func (h *Helper) begin(archive bool) (want oci.Digest, by string, err error) {
	if h.trust.Sum != "" {
		want = oci.Digest("sha256:" + h.trust.Sum)
	}
	if !archive {
		h.parts = &directory{h}
		return want, "", nil
	}
	f, err := h.get(h.plan.URL, "image.tar", h.plan.Limit, true)
	if err != nil {
		return "", "", err
	}
	sum, blake, err := sums(f)
	if err != nil {
		return "", "", err
	}
	switch {
	case h.trust.Sum == sum:
		want, by = "", h.trust.By
	case h.trust.Sum == "":
		if by, err = h.signed(h.plan.URL, f, sum, blake); err != nil {
			return "", "", err
		}
	}
	h.parts, err = openArchive(f)
	if err != nil {
		return "", "", h.refused("the archive", err)
	}
	return want, by, nil
}

// sums are SHA-256, in hexadecimal, and BLAKE2b of a file.
func sums(f *os.File) (sum string, blake []byte, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", nil, err
	}
	s, b := sha256.New(), fetch.NewBlake()
	_, err = io.Copy(io.MultiWriter(s, writer{b}), f)
	return hex.EncodeToString(s.Sum(nil)), b.Sum(), err
}

// writer makes a Blake an io.Writer.
type writer struct{ b *fetch.Blake }

func (w writer) Write(p []byte) (int, error) { w.b.Write(p); return len(p), nil }

// signed verifies what a URL had by the signature beside it, and says by what; that is
// nothing where nothing is asked for.
func (h *Helper) signed(url string, f *os.File, sum string, blake []byte) (by string, err error) {
	end := imagecache.Signature(h.trust)
	if end == "" {
		return "", nil
	}
	s, err := h.get(fetchplan.Behind(url, end), "signature"+end, fetch.MaxSignature, false)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(s)
	if err != nil {
		return "", err
	}
	u, err := fetchplan.ParseURL(url)
	if err != nil {
		return "", err
	}
	by, why, later := imagecache.Evidence{Trust: h.trust, Signature: string(text), Fresh: true}.Verdict(u, sum, blake)
	if later {
		by = "a signature of OpenPGP"
		if why, err = fetchrun.GPGV(h.Root, f, s.Name(), h.rings); err != nil {
			return "", err
		}
	}
	if why != "" {
		return "", &fetch.Refusal{Text: u.String() + " is not the right one: " + why, Try: "sign it with a key that this image knows (" + fetch.Dir + ")"}
	}
	return by, nil
}

// manifest reads the way to the image and its manifest. Each document is verified by
// the digest by which the one before names it; the first by want, or by its signature.
func (h *Helper) manifest(want oci.Digest, by string) (m oci.Manifest, digest oci.Digest, how string, err error) {
	layout, err := h.document(oci.LayoutFile, oci.MaxDocument)
	if err == nil {
		err = oci.ParseLayout(layout)
	}
	if err != nil {
		return m, "", "", h.refused(oci.LayoutFile, err)
	}
	p, err := h.parts.open(oci.IndexFile, oci.MaxDocument)
	if err != nil {
		return m, "", "", h.refused(oci.IndexFile, err)
	}
	text, err := io.ReadAll(p)
	if err = errors.Join(err, p.close()); err != nil {
		return m, "", "", err
	}
	if sum := sha256.Sum256(text); want != "" && want.Sum() == hex.EncodeToString(sum[:]) {
		want, by = "", h.trust.By
	}
	if _, dir := h.parts.(*directory); dir && h.trust.Sum == "" {
		if by, err = h.signedIndex(text); err != nil {
			return m, "", "", err
		}
	}
	list, err := oci.ParseIndex(text)
	if err != nil {
		return m, "", "", h.refused(oci.IndexFile, err)
	}
	if want != "" {
		by = h.trust.By
	}
	for depth := 0; ; depth++ {
		d, err := oci.Choose(list, h.platform, want)
		if err != nil {
			return m, "", "", h.refused(oci.IndexFile, err)
		}
		want = ""
		text, err := h.read(d)
		switch {
		case err != nil:
			return m, "", "", h.refused(string(d.Digest), err)
		case d.IsIndex() && depth == oci.IndexDepth:
			return m, "", "", h.refused(oci.IndexFile, errors.New("indexes lead to indexes without end"))
		case d.IsIndex():
			list, err = oci.ParseIndex(text)
		default:
			if m, err = oci.ParseManifest(text); err == nil {
				text, err = h.read(m.Config)
			}
			if err == nil {
				err = m.Configure(text, h.platform)
			}
			if err == nil {
				return m, d.Digest, by, nil
			}
		}
		if err != nil {
			return m, "", "", h.refused(string(d.Digest), err)
		}
	}
}

// signedIndex verifies the index of a directory.
func (h *Helper) signedIndex(text []byte) (by string, err error) {
	name := path.Join(h.work, oci.IndexFile)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, blake, err := sums(f)
	if err != nil {
		return "", err
	}
	return h.signed(fetchplan.Below(h.plan.URL, oci.IndexFile), f, sum, blake)
}

// document is a short file of the layout.
func (h *Helper) document(name string, limit int64) ([]byte, error) {
	p, err := h.parts.open(name, limit)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(p)
	return text, errors.Join(err, p.close())
}

// read is the document that a descriptor names.
func (h *Helper) read(d oci.Descriptor) ([]byte, error) {
	p, err := h.blob(d)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(p)
	return text, errors.Join(err, p.close())
}

// blob is the part that a descriptor names, after its size and digest were found to be
// right.
func (h *Helper) blob(d oci.Descriptor) (*part, error) {
	p, err := h.parts.open(d.Digest.Path(), d.Size)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, p)
	switch got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); {
	case err != nil:
	case n != d.Size:
		err = errors.New("it has " + decimal(n) + " bytes, and should have " + decimal(d.Size))
	case got != string(d.Digest):
		err = errors.New("it is not what its digest says, but " + got)
	default:
		_, err = p.Seek(0, io.SeekStart)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}
