package keep

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/journal"
	"firstlight/internal/postmortem"
)

// note is the note of a failed boot and where it was found.
type note struct {
	text  string
	files []string // removed when it is kept; none if others wrote to them too
}

// id names a note in the list of those that were collected: the boot that left
// it, which may have done so in several places, each with room for another part
// of its journal.
func (n note) id() string {
	if id := postmortem.BootID(n.text); id != "" {
		return id
	}
	return fmt.Sprintf("%08x-%d", crc32.ChecksumIEEE([]byte(n.text)), len(n.text))
}

// collectedName is the file that lists the notes that were kept already: some
// stay where they are, longer than what was kept of them.
const (
	collectedName = ".collected"
	maxCollected  = 200
)

// keepFailures keeps the notes of boots that failed, each once.
func (o *Options) keepFailures(res *Result) error {
	list := filepath.Join(o.To, collectedName)
	b, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep: %w", err)
	}
	known := strings.Fields(string(b))
	before := len(known)
	found := o.notes(res)
	// Of several of one boot the one that says most.
	best := map[string]int{}
	for i, n := range found {
		if j, ok := best[n.id()]; !ok || len(n.text) > len(found[j].text) {
			best[n.id()] = i
		}
	}
	for i, n := range found {
		// A boot that found in the end what it had given up is no failed one.
		mine := o.BootID != "" && postmortem.BootID(n.text) == o.BootID
		if !mine && best[n.id()] == i && !slices.Contains(known, n.id()) {
			name, err := keepFailure(o.To, n)
			if err != nil {
				return err
			}
			res.Failed = append(res.Failed, name)
			known = append(known, n.id())
		}
		n.forget(res)
	}
	if len(known) == before {
		return nil
	}
	known = known[max(len(known)-maxCollected, 0):]
	tmp := filepath.Join(o.To, tempPrefix+collectedName)
	err = writeSynced(tmp, []byte(strings.Join(known, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(tmp, list)
	}
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return syncDir(o.To)
}

// keepFailure keeps the note of a boot that failed: its text, and the records
// in it as a journal.
func keepFailure(to string, n note) (string, error) {
	name, err := next(to)
	if err != nil {
		return "", err
	}
	name += failedName
	text, records := postmortem.Records(n.text)
	files := map[string][]byte{"failure.txt": []byte(text)}
	if records != "" {
		if !strings.HasPrefix(records, journal.Header) {
			records = journal.Header + records
		}
		files["journal"] = []byte(records)
	}
	return name, place(to, name, files)
}

// notes finds every note. A place that cannot be read is reported and passed
// over.
func (o *Options) notes(res *Result) []note {
	var out []note
	for _, dir := range o.Stores {
		found, err := inStore(dir)
		out = append(out, found...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			res.Problems = append(res.Problems, fmt.Errorf("the persistent store %s: %w", dir, err))
		}
	}
	files := o.ESP
	if o.Variables != "" {
		files = append(slices.Clone(files), filepath.Join(o.Variables, postmortem.Variable))
	}
	for _, f := range files {
		b, err := bounded(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			res.Problems = append(res.Problems, err)
			continue
		}
		for _, text := range postmortem.Find(b) {
			out = append(out, note{text, []string{f}})
		}
	}
	return out
}

// dump is a part of a kernel's log.
type dump struct {
	file    string
	content []byte
	at      time.Time
}

// inStore finds the notes in the persistent store, or in a copy of it: in what
// programs wrote to it (pmsg), and in the ends of the kernel's log (dmesg), of
// which a note may fill several.
func inStore(dir string) ([]note, error) {
	var out []note
	var dumps []dump
	var parts [][]byte
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(d.Name(), "pmsg") && !strings.HasPrefix(d.Name(), "dmesg") {
			return err
		}
		b, err := bounded(p)
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), "dmesg") {
			dumps, parts = append(dumps, dump{p, b, st.ModTime()}), append(parts, b)
			return nil
		}
		found := postmortem.Find(b)
		for i, text := range found {
			n := note{text: text}
			if i == len(found)-1 && onlyOurs(b, found) {
				n.files = []string{p}
			}
			out = append(out, n)
		}
		return nil
	})
	for _, text := range postmortem.Gather(parts...) {
		out = append(out, note{text: text})
	}
	if len(out) > 0 {
		out[len(out)-1].files = append(out[len(out)-1].files, ours(dumps)...)
	}
	return out, err
}

// ours are the files of the dumps that were made because of a note: those of
// a machine that was stopped, and not of a kernel that panicked.
func ours(dumps []dump) []string {
	const stopped = "Shutdown#"
	// Of one dump the parts are written one after the other.
	const together = 10 * time.Second
	var out []string
	for _, d := range dumps {
		if strings.HasPrefix(string(d.content), stopped) && slices.ContainsFunc(dumps, func(o dump) bool {
			return strings.HasPrefix(string(o.content), stopped) && postmortem.Has(o.content) && o.at.Sub(d.at).Abs() < together
		}) {
			out = append(out, d.file)
		}
	}
	return out
}

// onlyOurs says whether there is nothing in b but notes, so that it can go.
func onlyOurs(b []byte, found []string) bool {
	n := 0
	for _, t := range found {
		n += len(t)
	}
	// What is left are the first lines of the notes.
	return len(b)-n <= len(found)*64
}

// forget removes a note where it was found: what is kept need not fill the
// firmware's memory any more.
func (n note) forget(res *Result) {
	for _, file := range n.files {
		err := os.Remove(file)
		if errors.Is(err, fs.ErrPermission) {
			// efivarfs protects variables that the kernel does not know.
			if f, oerr := os.Open(file); oerr == nil {
				unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
				f.Close()
			}
			err = os.Remove(file)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			res.Problems = append(res.Problems, fmt.Errorf("the note is kept, and stays in its place: %w", err))
		}
	}
}
