package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"firstlight/internal/boot"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
	"firstlight/internal/ueventd"
)

// Every recorded machine in testdata/cases, made by "firstlight bug-report
// --to-case", still boots with this build, and as it did. A change that is
// meant shows here as a difference: UPDATE=1 boots each machine anew and writes
// what came of it in the place of its record, to be reviewed like any golden
// file.
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
			again := bootAnew(t, rec, want, all.Handlers())
			if os.Getenv("UPDATE") == "1" {
				writeCase(t, dir, again)
				return
			}
			res, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()})
			if err != nil {
				t.Fatal(err)
			}
			if !res.Equal() || res.Compared < len(want) {
				t.Errorf("it decides otherwise after %d records (%q): if that is meant, write it with UPDATE=1\nrecorded %+v\nreplayed %+v\nbecause of %+v",
					res.Compared, res.Notes, res.Want, res.Got, res.Chain)
			}
		})
	}
}

// bootAnew fails unless the machine starts what it started, and unless the
// record of that replays equal.
func bootAnew(t *testing.T, rec *inputs.Record, want []journal.Record, handlers []boot.Register) *replay.Renewed {
	t.Helper()
	again, err := replay.Anew(rec, want, replay.Options{Handlers: handlers})
	if err != nil {
		t.Fatal(err)
	}
	if started := replay.Started(want); again.Started != started {
		t.Errorf("it started %q, and starts %q; new operations %q, not begun %q", started, again.Started, again.Made, again.Left)
	}
	now, err := inputs.Read(bytes.NewReader(again.Inputs))
	if err != nil {
		t.Fatal(err)
	}
	decided, err := journal.Read(bytes.NewReader(again.Journal))
	if err != nil {
		t.Fatal(err)
	}
	res, err := replay.Run(now, decided, replay.Options{Handlers: handlers})
	if err != nil || !res.Equal() || res.Compared != len(decided) {
		t.Errorf("the new record does not replay: %v, %d of %d\nrecorded %+v\nreplayed %+v", err, res.Compared, len(decided), res.Want, res.Got)
	}
	return again
}

// A core with another operation on the way, with another name for one, and
// with other waits still boots the recorded machine.
func TestChangedCoreStillBootsARecordedMachine(t *testing.T) {
	rec, text := readCase(t, "testdata/cases/stack-bookworm")
	want, err := journal.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	handlers := mutant(func(w *handler.World) {
		w.Sched.Route("test", func(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
			w.LoadModules(t, "another_module")
			return ueventd.Outcome{}
		})
		w.Sched.Push(ueventd.Event{Queue: "test", Kind: "add"})
		w.Config.Root.Flags = "noatime" // another name for the mount
	})
	again := bootAnew(t, rec, want, handlers)
	if len(again.Made) != 2 || len(again.Left) != 1 {
		t.Errorf("made %q, left %q", again.Made, again.Left)
	}
	res, err := replay.Run(rec, want, replay.Options{Handlers: handlers})
	if err != nil || res.Equal() {
		t.Error("the strict replay saw nothing", err)
	}
}

func writeCase(t *testing.T, dir string, again *replay.Renewed) {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"journal": again.Journal, "inputs.zst": z.EncodeAll(again.Inputs, nil)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
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
