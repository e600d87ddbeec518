package truth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/e2e"
	"firstlight/test/host"
)

// resultsFile has a row of JSON in each line.
const resultsFile = "results.jsonl"

// Results reads the rows of a run, sorted, of each case the last one.
func Results(dir string) ([]Row, error) {
	name := filepath.Join(dir, resultsFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	last := map[string]Row{}
	var errs []error
	for line := range strings.Lines(string(b)) {
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		last[r.Name+" "+r.Suite] = r
	}
	var rows []Row
	for _, r := range last {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Suite, b.Suite)) })
	return rows, errors.Join(errs...)
}

// Document writes docs/check-truth.md: every case with what came of it.
func Document(cases []Case, rows []Row) string {
	var good, changed, releases []string
	agree, told, done, wrong := 0, 0, 0, 0
	for _, c := range cases {
		at := slices.IndexFunc(rows, func(r Row) bool { return r.Name == c.Name && r.Suite == c.Suite })
		r, mark := Row{Check: "-", Real: "-"}, "not run"
		if at >= 0 {
			r, mark = rows[at], "differs"
			done++
			switch {
			case r.Problem != "":
				mark = "not compared: " + strings.ReplaceAll(host.Tail(r.Problem, 1), "|", "/")
			case r.Agree && r.Check == Unknown:
				mark = "said why"
				told++
			case r.Agree:
				mark = "same"
				agree++
			}
			if !slices.Contains(releases, r.Asked.Kernel) && r.Asked.Kernel != "" {
				releases = append(releases, r.Asked.Kernel)
			}
		}
		if n := len(falseWarnings(c, r.Warned)); n > 0 {
			mark += ", but warns of what is not so"
			wrong += n
		}
		if c.Change == nil {
			good = append(good, begins(c)+fmt.Sprintf("%s | %s | %s | %s |", r.Check, r.Real, mark, strings.Join(r.Warned, "; ")))
		} else {
			changed = append(changed, begins(c)+fmt.Sprintf("%s | %s | %s |", r.Check, r.Real, mark))
		}
	}
	slices.Sort(releases)
	return fmt.Sprintf(`# What a check said, and what the boot did

Made by `+"`make check-truth`"+` (test/truth); [check.md](check.md) says how. Each row is
one image, judged by `+"`firstlight check`"+` from a snapshot that was taken inside the
guest, and then really booted in QEMU on the same disks, with Debian's kernels
(%s).

**%d of %d the same**, of %d cases%s.

"boots when asked" is a boot in which a passphrase is typed; where a scenario has
nobody who types, the check is told so (`+"`--unattended`"+`). A changed image has
one thing taken away or one identity changed; not every such change breaks the
boot.

**%d warnings of good images are false**: each of those below is true of its
scenario (test/truth/warnings.go says which may be).

## The scenarios of the matrix

| scenario | kernel | check says | the boot | | warnings |
|---|---|---|---|---|---|
%s

## Changed images

| made from | change | check says | the boot | |
|---|---|---|---|---|
%s

## Not compared, or not told

%s`, strings.Join(releases, ", "), agree, done-told, len(cases), besides(told), wrong, strings.Join(good, "\n"), strings.Join(changed, "\n"), exceptions())
}

// besides are the cases in which a check cannot tell, and has to say so.
func besides(told int) string {
	if told == 0 {
		return ""
	}
	return fmt.Sprintf("; of %d the check says, as it must, that it cannot tell", told)
}

// exceptions lists the scenarios that are not compared, by why.
func exceptions() string {
	var b strings.Builder
	var reasons []string
	by := map[string][]string{}
	add := func(name, why string) {
		if by[why] == nil {
			reasons = append(reasons, why)
		}
		by[why] = append(by[why], name)
	}
	for _, s := range e2e.Matrix() {
		if why := leftOut(s); why != "" {
			add(s.Name, why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(untold)) {
		add(name, "the check says that it cannot tell, for "+untold[name])
	}
	for _, why := range reasons {
		fmt.Fprintf(&b, "- %s: %s.\n", strings.Join(by[why], ", "), why)
	}
	return b.String()
}

// begins is how the row of a case begins in the table.
func begins(c Case) string {
	if c.Change == nil {
		return fmt.Sprintf("| %s | %s | ", c.Name, c.Suite)
	}
	return fmt.Sprintf("| %s | %s | ", c.Base.Name, c.Change)
}

// Missing are the cases that a table says nothing of, or only that they were not
// run: each as what -run selects it by.
func Missing(cases []Case, table string) []string {
	said := map[string]bool{}
	for line := range strings.Lines(table) {
		if f := strings.SplitAfterN(line, "| ", 4); len(f) == 4 && !strings.HasPrefix(f[3], "- | - | not run |") {
			said[f[0]+f[1]+f[2]] = true
		}
	}
	var list []string
	for _, c := range cases {
		if !said[begins(c)] {
			list = append(list, c.Name+"/"+c.Suite)
		}
	}
	return list
}
