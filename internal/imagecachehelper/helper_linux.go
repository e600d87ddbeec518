// Package imagecachehelper is the edge of package imagecache: it has the directory on
// the disk, the clock, and the program that fetches. It runs in a program of its own,
// cmd/imagecache.
//
// It writes to nothing but the directory that the plan names: every name is looked
// up below it, and what is a link there, or has another name elsewhere, is refused.
package imagecachehelper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
	"firstlight/internal/fetchrun"
	"firstlight/internal/imagecache"
	"firstlight/internal/netreport"
)

// Helper keeps one image.
type Helper struct {
	// Say reports how it goes.
	Say func(netreport.Report)
	// Root is put before the paths of files of the image, "" but in tests.
	Root string
	// Fetch is the program that fetches, "" for the image's.
	Fetch string

	plan  fetchplan.Plan
	url   fetchplan.URL
	trust fetch.Trust
	rings []string
	dir   *os.Root
	name  string // of the image
	noted int64  // bytes up to the last checkpoint
	// disk, in tests, is how much of the filesystem is free, and how large it is.
	disk func() (free, all int64, err error)
}

// Run does what the plan says. How it ended is reported; the error is about what
// nobody could report.
func (h *Helper) Run(text string) error {
	p, err := fetchplan.ParseKept(text)
	if err == nil && p.Keep == nil {
		err = errors.New("it is not said where the image is kept")
	}
	if err != nil {
		return err
	}
	h.plan = p
	if err = h.run(); err == nil {
		return nil
	}
	r := fetch.Final(err)
	if r == nil {
		r = &fetch.Refusal{Text: "the image cannot be kept on " + p.Keep.Disk + ": " + err.Error(), Try: "look at the disk and the kernel's messages (dmesg), or leave rd.firstlight.keep= out"}
	}
	h.say(fetchplan.StateRefused, "text", r.Text, "try", r.Try)
	return nil
}

func (h *Helper) say(state string, fields ...string) { h.Say(netreport.New(state, fields...)) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func (h *Helper) run() (err error) {
	if h.url, err = fetchplan.ParseURL(h.plan.URL); err != nil {
		return &fetch.Refusal{Text: "it cannot be fetched: " + err.Error(), Try: "correct the URL"}
	}
	keys, rings, sums, err := trustfiles.Read(h.Root)
	if err != nil {
		return err
	}
	h.rings = rings
	if h.trust, err = fetch.Choose(h.plan, h.url, sums, keys, len(rings) > 0); err != nil {
		return err
	}
	if err := os.MkdirAll(h.Root+fetchplan.Dir, 0o700); err != nil {
		return err
	}
	if err := h.open(); err != nil {
		return err
	}
	defer h.dir.Close()
	f, done, err := h.found()
	if err != nil {
		return err
	}
	c, err := imagecache.Choose(h.plan, h.url, f)
	if err != nil {
		return err
	}
	switch c.Step {
	case imagecache.Use:
		h.Say(done.With("kept", "yes"))
	case imagecache.Absent:
		h.say(fetchplan.StateAbsent, "text", f.Why)
	default:
		return h.get(c, f, done)
	}
	return nil
}

// open opens the directory, and makes it where it is not there. None of its parts
// may be a link.
func (h *Helper) open() error {
	dir, name, err := imagecache.Inside(h.plan.Into)
	if err != nil {
		return err
	}
	h.name = name
	at, err := os.OpenRoot(h.Root + imagecache.Dir)
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(dir, "/") {
		if part == "." {
			break
		}
		info, err := at.Lstat(part)
		if errors.Is(err, fs.ErrNotExist) {
			if err = at.Mkdir(part, 0o755); err == nil {
				info, err = at.Lstat(part)
			}
		}
		if err == nil && !info.IsDir() {
			err = errors.New("its " + dir + " is not a directory")
		}
		if err != nil {
			at.Close()
			return err
		}
		next, err := at.OpenRoot(part)
		at.Close()
		if err != nil {
			return err
		}
		at = next
	}
	h.dir = at
	return nil
}

// has says how long a file of the directory is, -1 where there is none.
func (h *Helper) has(name string) (int64, error) {
	info, err := h.dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && s.Nlink != 1 {
		return -1, &fetch.Refusal{Text: name + " on " + h.plan.Keep.Disk + " is no file of its own, but a link or something else", Try: "take it away, or name another directory with rd.firstlight.keep="}
	}
	return info.Size(), nil
}

// text is a short file of the directory, "" where there is none.
func (h *Helper) text(name string) (string, error) {
	size, err := h.has(name)
	if err != nil || size < 0 || size > netreport.MaxLine {
		return "", err
	}
	b, err := h.dir.ReadFile(name)
	return string(b), err
}

// found looks at the directory, and verifies what is kept; done is the report of it.
func (h *Helper) found() (f imagecache.Found, done netreport.Report, err error) {
	part, err := h.text(h.name + imagecache.PartEnd + imagecache.RecordEnd)
	if err != nil {
		return f, done, err
	}
	f.Part, _ = imagecache.ParseRecord(part)
	if f.PartSize, err = h.has(h.name + imagecache.PartEnd); err != nil {
		return f, done, err
	}
	kept, err := h.text(h.name + imagecache.RecordEnd)
	if err != nil {
		return f, done, err
	}
	f.Record, f.Ours = imagecache.ParseRecord(kept)
	size, err := h.has(h.name)
	if err != nil {
		return f, done, err
	}
	if f.File, f.Why = size >= 0, "it is not there yet"; !f.File {
		return f, done, nil
	}
	var signature string
	if end := imagecache.Signature(h.trust); end != "" {
		if signature, err = h.text(h.name + end); err != nil {
			return f, done, err
		}
	}
	done, f.Why, err = h.verify(h.name, size, imagecache.Evidence{Trust: h.trust, Signature: signature, Recorded: f.Record.Sum})
	f.Right = f.Why == "" && err == nil
	return f, done, err
}

// verify reads a file of the directory, and says what is wrong with it, and
// otherwise in done that it is there.
func (h *Helper) verify(name string, size int64, e imagecache.Evidence) (done netreport.Report, why string, err error) {
	f, err := h.dir.Open(name)
	if err != nil {
		return done, "", err
	}
	defer f.Close()
	sum, blake := sha256.New(), fetch.NewBlake()
	signed := imagecache.Signature(h.trust) == fetch.MinisignEnd
	buf := make([]byte, 1<<20)
	read, last := int64(0), time.Now()
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		if signed {
			blake.Write(buf[:n])
		}
		read += int64(n)
		if now := time.Now(); now.Sub(last) >= time.Second {
			h.say(fetchplan.StateVerifying, "done", decimal(read), "total", decimal(size))
			last = now
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return done, "it cannot be read: " + err.Error(), nil
		}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	by, why, later := e.Verdict(h.url, got, blake.Sum())
	if later {
		by = "a signature of OpenPGP"
		if why, err = h.gpgv(f, e.Signature); err != nil {
			return done, "", err
		}
	}
	return netreport.Report{State: fetchplan.StateFetched}.With("size", decimal(read)).With("sum", got).With("by", by), why, nil
}

// gpgv has gpgv say what is wrong with a file.
func (h *Helper) gpgv(f *os.File, signature string) (why string, err error) {
	to := h.Root + path.Join(fetchplan.Dir, h.name+fetch.GPGEnd)
	if err := os.WriteFile(to, []byte(signature), 0o600); err != nil {
		return "", err
	}
	return fetchrun.GPGV(h.Root, f, to, h.rings)
}

// put writes a short file of the directory, so that there is the old one or the new
// one whenever the power goes.
func (h *Helper) put(name, text string) error {
	if _, err := h.has(name); err != nil {
		return err
	}
	fresh := name + ".new"
	if _, err := h.has(fresh); err != nil {
		return err
	}
	f, err := h.dir.Create(fresh)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return h.dir.Rename(fresh, name)
}

// drop takes files of the directory away.
func (h *Helper) drop(names ...string) error {
	for _, name := range names {
		if err := h.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sync has the directory itself written.
func (h *Helper) sync() error {
	d, err := h.dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
