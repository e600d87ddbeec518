package ocihelper

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetchrun"
	"firstlight/internal/netreport"
)

// get fetches a file into the directory for parts.
func (h *Helper) get(url, name string, limit int64, progress bool) (*os.File, error) {
	f, err := os.OpenFile(path.Join(h.work, name), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	p := h.plan
	p.URL, p.Limit = url, limit
	_, err = fetchrun.Fetch(h.Fetch, p, f, 0, func(r *netreport.Report) error {
		if r.State != fetchplan.StateProgress {
			h.Say(*r)
			return nil
		}
		total := h.total
		if total == 0 {
			total = int64(r.Int("total"))
		}
		if progress {
			h.say(r.State, "done", decimal(h.done+int64(r.Int("done"))), "total", decimal(total), "rate", r.Get("rate"))
		}
		return nil
	})
	if r := fetch.Final(err); r != nil && r.Try == "" && limit < h.plan.Limit {
		r.Try = "look at the image: it says that this part is smaller"
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// directory is a layout that a server has as it is.
type directory struct{ h *Helper }

func (d *directory) open(name string, limit int64) (*part, error) {
	// The program that fetches takes 0 for no room at all.
	f, err := d.h.get(fetchplan.Below(d.h.plan.URL, name), "part", max(limit, 1), d.h.total > 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &part{io.NewSectionReader(f, 0, info.Size()), func() error { return errors.Join(f.Truncate(0), f.Close()) }}, nil
}

// archive is a layout in one file.
type archive struct {
	f     *os.File
	files map[string]extent
}

// extent is where a file of an archive lies in it, in bytes.
type extent struct{ from, size int64 }

// maxMembers bounds the files of an archive.
const maxMembers = 100000

// openArchive looks at what an archive has.
func openArchive(f *os.File) (*archive, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	a := &archive{f: f, files: map[string]extent{}}
	r := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return a, nil
		case err != nil:
			return nil, err
		case n == maxMembers:
			return nil, errors.New("it has too many files")
		case h.Typeflag != tar.TypeReg:
			continue
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if _, twice := a.files[name]; twice {
			return nil, errors.New("it has " + path.Base(name) + " twice")
		}
		a.files[name] = extent{at, h.Size}
	}
}

func (a *archive) open(name string, limit int64) (*part, error) {
	e, ok := a.files[name]
	switch {
	case !ok:
		return nil, errors.New("the archive has no " + name)
	case e.size > limit:
		return nil, errors.New("it is larger than it is said to be")
	}
	return &part{io.NewSectionReader(a.f, e.from, e.size), func() error { return nil }}, nil
}
