// Package keep keeps the records of boots: those of the last ones that went
// well, from /run, and the reasons of those that failed, from where the failed
// boots left them (package postmortem).
//
// Each boot is a directory, named by a number that grows and, of a boot that
// went well, by the kernel's boot identifier:
//
//	000041-3f2a6c1e-…/journal, summary, inputs.zst (root alone may read it)
//	000042-failed/failure.txt, journal (the last records)
//
// A directory appears whole or not at all. Where there are more than are to be
// kept, those with the smallest numbers go.
package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Options say what is kept from where.
type Options struct {
	From      string   // the records of this boot
	To        string   // the directory of all boots; it is made
	Count     int      // how many boots are kept
	BootID    string   // of this boot
	Stores    []string // directories in which the kernel or systemd shows the persistent store
	Variables string   // where efivarfs is mounted, "" for nowhere
	ESP       []string // where the EFI system partition may be mounted
}

// Result is what was done.
type Result struct {
	Kept    string   // the directory of this boot; "" where there was nothing to keep
	Failed  []string // those of boots that failed, found now
	Removed []string // those that went
	// Problems are what could not be collected; the rest was.
	Problems []error
}

// maxRecord bounds a file that is kept, in bytes.
const maxRecord = 16 << 20

const tempPrefix = ".new-"

// failedName ends the names of boots that failed.
const failedName = "failed"

// Keep collects everything and removes what is too old.
func Keep(o Options) (Result, error) {
	var res Result
	if o.Count < 1 {
		return res, fmt.Errorf("keep: %d boots cannot be kept", o.Count)
	}
	if err := os.MkdirAll(o.To, 0o755); err != nil {
		return res, fmt.Errorf("keep: %w", err)
	}
	dir, err := os.Open(o.To)
	if err != nil {
		return res, fmt.Errorf("keep: %w", err)
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return res, fmt.Errorf("keep: lock %s: %w", o.To, err)
	}
	if err := sweep(o.To); err != nil {
		return res, err
	}
	// The failed boots came before this one.
	if err := o.keepFailures(&res); err != nil {
		return res, err
	}
	if res.Kept, err = o.keepBoot(); err != nil {
		return res, err
	}
	res.Removed, err = prune(o.To, o.Count)
	return res, err
}

// sweep removes what a crash left half made.
func sweep(to string) error {
	left, err := filepath.Glob(filepath.Join(to, tempPrefix+"*"))
	for _, l := range left {
		err = errors.Join(err, os.RemoveAll(l))
	}
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return nil
}

// boots are the names of the directories that are kept, oldest first.
func boots(to string) ([]string, error) {
	list, err := os.ReadDir(to)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	var out []string
	for _, e := range list {
		if _, ok := number(e.Name()); ok && e.IsDir() {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		x, _ := number(a)
		y, _ := number(b)
		return int(max(min(int64(x)-int64(y), 1), -1))
	})
	return out, nil
}

// number is the number in front of a name.
func number(name string) (uint32, bool) {
	n, rest, ok := strings.Cut(name, "-")
	v, err := strconv.ParseUint(n, 10, 31)
	return uint32(v), ok && err == nil && rest != "" && len(n) >= 6
}

func next(to string) (string, error) {
	names, err := boots(to)
	if err != nil {
		return "", err
	}
	n := uint32(0)
	if len(names) > 0 {
		n, _ = number(names[len(names)-1])
	}
	return fmt.Sprintf("%06d-", n+1), nil
}

// keepBoot keeps this boot. One that is kept already is replaced.
func (o *Options) keepBoot() (string, error) {
	files := map[string][]byte{}
	for _, name := range []string{"journal", "inputs", "summary"} {
		b, err := bounded(filepath.Join(o.From, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		files[name] = b
	}
	if files["journal"] == nil {
		return "", nil // this system was not started by Firstlight
	}
	if in := files["inputs"]; in != nil {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return "", fmt.Errorf("keep: %w", err)
		}
		files["inputs.zst"] = z.EncodeAll(in, nil)
		delete(files, "inputs")
	}
	if o.BootID == "" || strings.ContainsAny(o.BootID, "/\x00") || len(o.BootID) > 64 {
		return "", fmt.Errorf("keep: %q is no boot identifier", o.BootID)
	}
	names, err := boots(o.To)
	if err != nil {
		return "", err
	}
	name := ""
	for _, n := range names {
		if strings.HasSuffix(n, "-"+o.BootID) {
			name = n
		}
	}
	if name == "" {
		if name, err = next(o.To); err != nil {
			return "", err
		}
		name += o.BootID
	}
	return name, place(o.To, name, files)
}

func bounded(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxRecord {
		return nil, fmt.Errorf("keep: %s is not a file of at most %d bytes", name, maxRecord)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	return b, nil
}

// place makes a directory with files in one step.
func place(to, name string, files map[string][]byte) (err error) {
	tmp, err := os.MkdirTemp(to, tempPrefix)
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
			err = fmt.Errorf("keep: %w", err)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for f, b := range files {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(f, "inputs") {
			mode = 0o600
		}
		if err := writeSynced(filepath.Join(tmp, f), b, mode); err != nil {
			return err
		}
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	final := filepath.Join(to, name)
	if err := os.Rename(tmp, final); err != nil {
		// There is one already: rename(2) replaces only an empty directory.
		if err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, final, unix.RENAME_EXCHANGE); err != nil {
			return fmt.Errorf("replace %s: %w", final, err)
		}
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
	}
	return syncDir(to)
}

func writeSynced(name string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// prune removes the oldest boots.
func prune(to string, count int) ([]string, error) {
	names, err := boots(to)
	if err != nil {
		return nil, err
	}
	var gone []string
	for len(names) > count {
		if err := os.RemoveAll(filepath.Join(to, names[0])); err != nil {
			return gone, fmt.Errorf("keep: %w", err)
		}
		gone = append(gone, names[0])
		names = names[1:]
	}
	return gone, nil
}
