package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
)

// Every recorded boot of a real machine in testdata/cases, made by
// "firstlight bug-report --to-case", leads to the same decisions today. A
// change that is meant shows here as a difference: UPDATE=1 writes the journal
// of this build in its place, to be reviewed like any golden file.
func TestRecordedMachinesBootAsTheyDid(t *testing.T) {
	dirs, err := filepath.Glob("testdata/cases/*")
	if err != nil || len(dirs) < 2 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			rec, text := readCase(t, dir)
			want, err := journal.Read(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("UPDATE") == "1" {
				want = nil
			}
			res, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()})
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("UPDATE") == "1" {
				if err := os.WriteFile(filepath.Join(dir, "journal"), res.Journal, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !res.Equal() {
				t.Errorf("after %d records\nrecorded %+v\nreplayed %+v\nbecause of %+v", res.Compared, res.Want, res.Got, res.Chain)
			}
			if res.Compared < len(want) {
				t.Errorf("%d of %d records were compared: %q", res.Compared, len(want), res.Notes)
			}
		})
	}
}

func readCase(t *testing.T, dir string) (*inputs.Record, []byte) {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(dir, "inputs.zst"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	rec, err := inputs.Read(z)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return rec, text
}
