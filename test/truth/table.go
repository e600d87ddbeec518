package truth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// Table writes the rows for docs/.
func Table(rows []Row) string {
	var b strings.Builder
	agree := 0
	b.WriteString("| case | kernel | check says | the boot | |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		mark := "differs"
		switch {
		case r.Problem != "":
			mark = "not compared: " + strings.ReplaceAll(host.Tail(r.Problem, 1), "|", "/")
		case r.Agree:
			mark = "same"
			agree++
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Name, r.Suite, r.Check, r.Real, mark)
	}
	fmt.Fprintf(&b, "\n%d of %d the same.\n", agree, len(rows))
	return b.String()
}
