package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/journal"
	"firstlight/internal/trace"
)

// Where the journals of boots are.
const (
	failureName = "failure.txt"               // beside the journal of a boot that failed: what it said
	journalFile = "/run/firstlight/journal"   // this boot's
	keptDir     = "/var/lib/firstlight/boots" // those of the last boots, each in a directory that begins with its number
)

// keptBoot is a boot that is kept. One that failed may have left its reason
// alone, and no journal.
type keptBoot struct {
	Number  int       `json:"boot"`
	File    string    `json:"file,omitempty"`
	Failure string    `json:"failure,omitempty"` // the file with the reason of a boot that failed
	Kept    time.Time `json:"kept"`              // when it was written
}

// keptBoots lists the boots kept below dir, the oldest first. Each is a
// directory whose name begins with its number, as in 000041-3f2a6c1e-…, with
// the files journal or failure.txt. Without dir there are none.
func keptBoots(dir string) ([]keptBoot, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []keptBoot
	for _, e := range entries {
		digits, _, _ := strings.Cut(e.Name(), "-")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			continue
		}
		k := keptBoot{Number: int(n)}
		for name, to := range map[string]*string{"journal": &k.File, failureName: &k.Failure} {
			file := filepath.Join(dir, e.Name(), name)
			if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() {
				*to = file
				if k.Kept.IsZero() || name == "journal" {
					k.Kept = st.ModTime()
				}
			}
		}
		if k.File != "" || k.Failure != "" {
			out = append(out, k)
		}
	}
	slices.SortStableFunc(out, func(a, b keptBoot) int { return cmp.Compare(a.Number, b.Number) })
	return out, nil
}

// journal is the file of its journal.
func (k *keptBoot) journal() (string, error) {
	if k.File == "" {
		return "", &noJournalError{k.Number, k.Failure}
	}
	return k.File, nil
}

// noJournalError says that of a boot that failed there is nothing but what it
// said.
type noJournalError struct {
	number int
	said   string // the file
}

func (e *noJournalError) Error() string {
	return fmt.Sprintf("boot %d failed and left no journal; what it said is in %s", e.number, e.said)
}

func (e *noJournalError) Unwrap() error { return fs.ErrNotExist }

// failureBeside is the file with what the boot said whose journal this is, ""
// where it did not fail.
func failureBeside(journal string) string {
	file := filepath.Join(filepath.Dir(journal), failureName)
	if _, err := os.Stat(file); err != nil || filepath.Base(journal) != "journal" {
		return ""
	}
	return file
}

// failureText is what a boot said, fit for a terminal.
func failureText(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		out.WriteString(trace.Clean(strings.TrimRight(line, "\n")) + "\n")
	}
	return out.String(), nil
}

// failureOf takes out of what a boot said the first thing that it missed, and
// the version and kernel that the first line names. Each part begins with a
// word and a colon and goes on indented.
func failureOf(file string) (reason, version, kernel string) {
	text, err := failureText(file)
	if err != nil {
		return err.Error(), "", ""
	}
	first, _, _ := strings.Cut(text, "\n")
	if v, rest, ok := strings.Cut(first, ", kernel "); ok {
		version = v
		kernel, _, _ = strings.Cut(rest, ", ")
	}
	for _, head := range []string{"Needs:", "Wanted:"} {
		for line := range strings.Lines(text) {
			rest, is := strings.CutPrefix(line, head)
			switch {
			case is:
				reason = strings.TrimSpace(rest)
			case reason != "" && strings.HasPrefix(line, "           "):
				reason += " " + strings.TrimSpace(line)
			case reason != "":
				return reason, version, kernel
			}
		}
	}
	return reason, version, kernel
}

// findJournal returns the file of a boot. boot is the number of a kept boot;
// a number below zero counts back from the newest, which is -1; "current" is
// the running system's; "" is the running system's, or else the newest that
// is kept.
func findJournal(current, kept, boot string) (string, error) {
	if boot == "current" {
		return current, nil
	}
	if boot == "" {
		if _, err := os.Stat(current); !errors.Is(err, fs.ErrNotExist) {
			return current, nil
		}
	}
	boots, err := keptBoots(kept)
	if err != nil {
		return "", err
	}
	if boot == "" {
		withJournal := slices.DeleteFunc(boots, func(k keptBoot) bool { return k.File == "" })
		if len(withJournal) == 0 {
			return "", fmt.Errorf("there is neither %s nor a boot in %s: this system was not started by Firstlight, or /run was emptied since: %w", current, kept, fs.ErrNotExist)
		}
		return withJournal[len(withJournal)-1].File, nil
	}
	n, err := strconv.Atoi(boot)
	if err != nil {
		return "", usagef("--boot %q: it is the number of a kept boot, -1 for the newest of them, -2 for the one before, or current", boot)
	}
	if n < 0 && len(boots)+n >= 0 {
		return boots[len(boots)+n].journal()
	}
	for _, b := range boots {
		if b.Number == n {
			return b.journal()
		}
	}
	return "", fmt.Errorf("boot %s is not kept in %s; %s: %w", boot, kept, describeKept(boots), fs.ErrNotExist)
}

func describeKept(boots []keptBoot) string {
	switch len(boots) {
	case 0:
		return "no boot is"
	case 1:
		return fmt.Sprintf("only boot %d is", boots[0].Number)
	}
	return fmt.Sprintf("boots %d to %d are", boots[0].Number, boots[len(boots)-1].Number)
}

// listedBoot is a line of the list of boots.
type listedBoot struct {
	keptBoot
	Current  bool          `json:"current"` // it is the running system's
	Version  string        `json:"version,omitempty"`
	Kernel   string        `json:"kernel,omitempty"`
	Switched bool          `json:"switched"`
	Total    time.Duration `json:"total_ns"`  // to the decision to start the real system, or the end
	Before   time.Duration `json:"kernel_ns"` // the kernel's part of it
	Trouble  int           `json:"trouble"`   // warnings, failures, passed deadlines
	Reason   string        `json:"reason,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// listBoots reads the boots that are kept and that of the running system.
func listBoots(current, kept string) ([]listedBoot, error) {
	boots, err := keptBoots(kept)
	if err != nil {
		return nil, err
	}
	now, _ := os.ReadFile(current)
	out := []listedBoot{}
	found := false
	for _, k := range boots {
		l := readListed(k)
		if b, err := os.ReadFile(k.File); k.File != "" && err == nil && len(now) > 0 && bytes.Equal(b, now) {
			l.Current, found = true, true
		}
		out = append(out, l)
	}
	if st, err := os.Stat(current); err == nil && !found {
		l := readListed(keptBoot{Number: -1, File: current, Kept: st.ModTime()})
		l.Current = true
		out = append(out, l)
	}
	return out, nil
}

func readListed(k keptBoot) listedBoot {
	l := listedBoot{keptBoot: k}
	if k.Failure != "" {
		l.Reason, l.Version, l.Kernel = failureOf(k.Failure)
	}
	if k.File == "" {
		return l
	}
	file, err := os.Open(k.File)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	defer file.Close()
	records, _, err := journal.Salvage(file)
	if err != nil || len(records) == 0 {
		l.Error = "it holds no record"
		if err != nil {
			l.Error = err.Error()
		}
		return l
	}
	b := trace.New(records)
	s := b.Summary(0)
	l.Version, l.Kernel = cmp.Or(s.Version, l.Version), cmp.Or(s.Kernel, l.Kernel)
	l.Switched, l.Total, l.Before, l.Trouble = s.Switched, b.CriticalPath().Total, s.Started, len(s.Trouble)+s.Deadlines
	if !l.Switched {
		l.Total = s.Ended
	}
	return l
}

// bootsText writes the list for a person.
func bootsText(boots []listedBoot, kept string) string {
	if len(boots) == 0 {
		return fmt.Sprintf("no boot is kept in %s, and the running system has no journal\n", kept)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%7s  %-16s  %9s  %9s  %-9s  %s\n", "boot", "kept", "in all", "/init", "result", "kernel")
	for i := range boots {
		l := &boots[i]
		name := strconv.Itoa(l.Number)
		if l.Number < 0 {
			name = "current"
		} else if l.Current {
			name += "*"
		}
		when := l.Kept.Local().Format("2006-01-02 15:04")
		if l.File == "" {
			fmt.Fprintf(&b, "%7s  %-16s  %9s  %9s  %-9s  %s\n", name, when, "", "", "FAILED", trace.Clean(strings.TrimSpace(l.Kernel+"  "+l.Reason)))
			continue
		}
		if l.Error != "" {
			fmt.Fprintf(&b, "%7s  %-16s  cannot be read: %s\n", name, when, trace.Clean(l.Error))
			continue
		}
		result := "started"
		if !l.Switched {
			result = "FAILED"
		}
		note := ""
		if l.Trouble > 0 {
			note = fmt.Sprintf(" (%d warnings or failures)", l.Trouble)
		}
		fmt.Fprintf(&b, "%7s  %-16s  %9s  %9s  %-9s  %s%s\n", name, when, trace.Span(l.Total), trace.Span(l.Total-l.Before), result, trace.Clean(l.Kernel), note)
		if l.Reason != "" {
			fmt.Fprintf(&b, "%60s%s\n", "", trace.Clean(l.Reason))
		}
	}
	if slices.ContainsFunc(boots, func(l listedBoot) bool { return l.Current && l.Number >= 0 }) {
		b.WriteString("* is the running system's.\n")
	}
	return b.String()
}
