package boot_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/journal"
	"firstlight/internal/sim"
)

var update = flag.Bool("update", false, "write the expected explanations anew; read every one of them")

// broken is a machine that does not boot, and what is wrong with it.
type broken struct {
	theme, name string
	cmdline     string
	disks       []*sim.Disk
	// more sets up what disks and command line leave open.
	more func(m *sim.Machine)
	// waiting: the explanation to look at is the one that is shown while the
	// boot still waits; otherwise it is that of the failure.
	waiting bool
}

// screens returns what the machine showed: the first explanation while it
// waited, and the first after it had failed.
func (b *broken) screens(t *testing.T) (waiting, failed string, m *sim.Machine) {
	t.Helper()
	m = &sim.Machine{Cmdline: "rd.shell=0 rd.timeout=60 " + b.cmdline, Handlers: all.Handlers(),
		Image: handler.Image{Version: "test", Kernel: "6.1.0-56-amd64", Running: "6.1.0-56-amd64", Features: []string{"fsck"}}}
	m.Latency = func(string) time.Duration { return time.Millisecond }
	if b.more != nil {
		b.more(m)
	}
	for _, d := range b.disks {
		m.Plug(d)
	}
	if err := m.Boot(4 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if m.Started != nil && !b.waiting {
		t.Fatalf("it boots:\n%s", m.SaidText())
	}
	for _, l := range m.Said {
		switch {
		case strings.HasPrefix(l.Text, "Still waiting.") && waiting == "":
			waiting = l.Text
		case strings.HasPrefix(l.Text, "The system cannot be started.") && failed == "":
			failed = l.Text
		}
	}
	return waiting, failed, m
}

// Every explanation is kept in testdata/explain, to be read: it says what is
// wrong, it is true, and it says what to do. None is larger than the smallest
// console.
func TestBrokenMachinesExplainThemselves(t *testing.T) {
	got := map[string]string{}
	seen := map[string]bool{}
	for _, b := range slices.Concat(names(), drives(), arrays(), groups(), encrypted(), filesystems(), zpools()) {
		t.Run(b.theme+"/"+b.name, func(t *testing.T) {
			if seen[b.name] {
				t.Fatal("there twice")
			}
			seen[b.name] = true
			waiting, failed, m := b.screens(t)
			text := failed
			if b.waiting {
				text = waiting
			}
			if text == "" {
				t.Fatalf("no explanation; it said:\n%s\n%s", m.SaidText(), m.Journal)
			}
			fits(t, waiting)
			fits(t, failed)
			if n := m.Core.Stats().Panics; n != 0 {
				t.Errorf("%d panics", n)
			}
			recorded(t, m.Journal, text)
			got[b.theme] += "== " + b.name + "   " + b.cmdline + "\n\n" + text + "\n\n"
		})
	}
	if len(seen) < 60 {
		t.Errorf("only %d machines", len(seen))
	}
	for theme, text := range got {
		file := filepath.Join("testdata", "explain", theme+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, []byte(text)) {
			t.Errorf("%s: other explanations; go test ./internal/boot -update, and read the difference\n%s", file, firstDifference(string(want), text))
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: got\n%s\nwant\n%s", i+1, g[i], w[i])
		}
	}
	return "one is longer"
}

func fits(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > goal.Width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// recorded fails unless the journal holds the explanation.
func recorded(t *testing.T, log []byte, text string) {
	t.Helper()
	records, err := journal.Read(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Kind == "explanation" && r.Text+"\n"+strings.Join(r.All("line"), "\n") == text {
			return
		}
	}
	t.Error("the explanation is not in the journal")
}

func TestHundredDisksLeaveRoomForTheReason(t *testing.T) {
	b := broken{cmdline: "root=LABEL=nowhere"}
	for i := range 100 {
		b.disks = append(b.disks, plain(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i), fmt.Sprintf("data%d", i)))
	}
	b.disks[70] = plain("aaaaaaaa-0000-4000-8000-000000000070", "nowhare")
	_, text, _ := b.screens(t)
	fits(t, text)
	for _, want := range []string{"root=LABEL=nowhere was not found", "LABEL=nowhare", "more", "instead of LABEL=nowhere", "Next:"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
}

// The offer of a shell stands for hours on a machine that nobody sits at. What
// comes meanwhile is used, an array that is not whole in its time.
func TestShellThatNobodyAsksForDoesNotHoldADegradedArray(t *testing.T) {
	m := &sim.Machine{Cmdline: "root=UUID=" + rootUUID + " rd.timeout=10", Handlers: all.Handlers(), Image: handler.Image{Version: "test"},
		ShellFor: time.Hour, NobodyAtShell: true}
	m.At(time.Minute, func() { m.Plug(member(raid1(), 0)) })
	if err := m.Boot(time.Hour); err != nil {
		t.Fatal(err)
	}
	if m.Started == nil || m.Now() > 80*time.Second || m.Shells != 0 {
		t.Errorf("started %v at %v, %d shells; said:\n%s", m.Started, m.Now(), m.Shells, m.SaidText())
	}
}

// As long as nothing changes but the time, the same is not said again.
func TestExplanationIsNotRepeated(t *testing.T) {
	b := broken{cmdline: "root=UUID=" + rootUUID + " rd.timeout=300", disks: disks(plain(dataUUID, "data"))}
	_, _, m := b.screens(t)
	if n := strings.Count(m.SaidText(), "Still waiting."); n != 1 {
		t.Errorf("explained %d times:\n%s", n, m.SaidText())
	}
}
