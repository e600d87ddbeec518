package replay_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/machine"
	"firstlight/internal/replay"
	"firstlight/internal/sim"
	"firstlight/internal/ueventd"
)

const (
	rootUUID = "11111111-1111-4111-8111-111111111111"
	swapUUID = "33333333-3333-4333-8333-333333333333"
)

func rootDisk() *sim.Disk {
	return &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: map[string]string{
		"/sbin/init": "-> /lib/systemd/systemd", "/lib/systemd/systemd": "#!", "/etc/fstab": "//nas/x /mnt cifs user=me,password=hunter2 0 0\n"}}
}

func machineWith(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := &sim.Machine{Record: true, Cmdline: cmdline, Handlers: all.Handlers(), Image: handler.Image{Version: "test", Features: []string{"fsck"}}}
	for _, d := range disks {
		m.Plug(d)
	}
	return m
}

// boots are of many kinds, as far as the simulator of today has them; its own
// tests replay each of theirs too.
func boots() map[string]func() *sim.Machine {
	root := "root=UUID=" + rootUUID
	return map[string]func() *sim.Machine{
		"plain": func() *sim.Machine { return machineWith(root, rootDisk()) },
		"swap": func() *sim.Machine {
			return machineWith(root+" resume=UUID="+swapUUID, &sim.Disk{Content: sim.Swap(swapUUID, false)}, rootDisk())
		},
		"late": func() *sim.Machine {
			m := machineWith(root)
			m.At(40*time.Second, func() { m.Plug(rootDisk()) })
			return m
		},
		"checked": func() *sim.Machine {
			m := machineWith(root, rootDisk())
			m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/sbin/fsck.ext4": func(*sim.Machine, []string) machine.Exit {
				return machine.Exit{Code: 1, Output: "fixed\n"}
			}}
			return m
		},
		"fails": func() *sim.Machine {
			m := machineWith("root=UUID="+swapUUID+" rd.timeout=20", rootDisk(), &sim.Disk{Content: sim.Ext4(rootUUID, "")})
			m.ShellFor = time.Minute
			return m
		},
		"unreadable": func() *sim.Machine {
			m := machineWith(root+" rd.timeout=20", rootDisk())
			m.Fail = func(what string) error {
				if strings.HasPrefix(what, "read /dev/vda") && m.Now() < 30*time.Second {
					return errors.New("input/output error")
				}
				return nil
			}
			m.At(50*time.Second, func() { m.Plug(&sim.Disk{}) })
			return m
		},
	}
}

func recorded(t *testing.T, m *sim.Machine) (*inputs.Record, []journal.Record) {
	t.Helper()
	if err := m.Boot(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	rec, err := inputs.Read(bytes.NewReader(m.Inputs))
	if err != nil {
		t.Fatal(err)
	}
	want, err := journal.Read(bytes.NewReader(m.Journal))
	if err != nil {
		t.Fatal(err)
	}
	return rec, want
}

func TestSimulatedBootsReplayEqual(t *testing.T) {
	for name, f := range boots() {
		for seed := range uint64(5) {
			m := f()
			m.Seed = seed
			rec, want := recorded(t, m)
			res, err := replay.Run(rec, want, replay.Options{Handlers: m.Handlers})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !res.Equal() || res.Compared != len(want) || len(res.Notes)+len(res.Unknown) > 0 {
				t.Errorf("%s, seed %d: %d of %d records equal, notes %q, unknown %q\nrecorded %+v\nreplayed %+v", name, seed, res.Compared, len(want), res.Notes, res.Unknown, res.Want, res.Got)
			}
			if bytes.Contains(m.Inputs, []byte("hunter2")) {
				t.Errorf("%s: the password of an fstab is in the record", name)
			}
		}
	}
}

// mutant is all handlers and one that changes the core on purpose.
func mutant(change func(w *handler.World)) []boot.Register {
	return append(all.Handlers(), func(w *handler.World) func() {
		return func() { change(w) }
	})
}

// A core that decides otherwise is found at the very record where it does.
func TestChangedCoreIsFoundAtItsFirstDecision(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *handler.World)
		at     func(want, got *journal.Record) bool
	}{
		"a goal more": {func(w *handler.World) { w.Sched.Note("decision", "test", "something else") }, func(want, got *journal.Record) bool {
			return want.Kind != "decision" && got.Kind == "decision" && got.Text == "something else"
		}},
		"another deadline": {func(w *handler.World) {
			w.Sched.Deadline("test", w.Sched.Now()+time.Millisecond, ueventd.Event{Queue: filter.Root, Kind: filter.Add})
		}, func(want, got *journal.Record) bool { return got.Kind == "deadline" && got.Subject == "test" }},
		"another mount flag": {func(w *handler.World) { w.Config.Root.Flags = "noatime" }, func(want, got *journal.Record) bool {
			return want.Kind == "do" && got.Kind == "do" && strings.Contains(got.Text, "flags 0x401") && strings.Contains(want.Text, "flags 0x1,")
		}},
		"resume forgotten": {func(w *handler.World) { w.ResumeSettled = true }, func(want, got *journal.Record) bool { return want != nil }},
	} {
		rec, want := recorded(t, boots()["swap"]())
		res, err := replay.Run(rec, want, replay.Options{Handlers: mutant(c.change)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if res.Want == nil || res.Got == nil {
			t.Errorf("%s: not found: %+v", name, res)
			continue
		}
		if !c.at(res.Want, res.Got) {
			t.Errorf("%s: found at\nrecorded %+v\nreplayed %+v", name, res.Want, res.Got)
		}
		if int(res.Want.Number) != res.Compared+1 || want[res.Compared].Number != res.Want.Number {
			t.Errorf("%s: record %d after %d equal ones", name, res.Want.Number, res.Compared)
		}
		if res.Want.Cause != 0 && (len(res.Chain) == 0 || res.Chain[len(res.Chain)-1].Number != res.Want.Cause || res.Chain[0].Cause != 0) {
			t.Errorf("%s: the chain of causes is %+v", name, res.Chain)
		}
	}
}

// A core without a handler does less; the record that is missing is named.
func TestMissingHandlerIsFound(t *testing.T) {
	rec, want := recorded(t, boots()["plain"]())
	res, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()[:1]})
	if err != nil || res.Equal() {
		t.Fatal(err, res)
	}
}

// The end of a record that a crash cut off proves nothing; what is there is
// compared.
func TestCutRecordsReplayAsFarAsTheyGo(t *testing.T) {
	m := boots()["swap"]()
	_, want := recorded(t, m)
	for _, cut := range []int{3, 100, 400} {
		rec, err := inputs.Read(bytes.NewReader(m.Inputs[:len(m.Inputs)-cut]))
		if err != nil {
			t.Fatal(err)
		}
		res, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()})
		if err != nil || !res.Equal() || len(res.Notes) == 0 {
			t.Errorf("cut %d: %v, %+v", cut, err, res)
		}
	}
	rec, err := inputs.Read(bytes.NewReader(m.Inputs))
	if err != nil {
		t.Fatal(err)
	}
	res, err := replay.Run(rec, want[:len(want)-2], replay.Options{Handlers: all.Handlers()})
	if err != nil || !res.Equal() {
		t.Errorf("the journal's end cut off: %v, %+v", err, res)
	}
	res, err = replay.Run(rec, want[:len(want)/2], replay.Options{Handlers: all.Handlers()})
	if err != nil || res.Equal() {
		t.Errorf("half a journal is not the whole: %v", err)
	}
}

func TestOtherRulesAreSaid(t *testing.T) {
	rec, want := recorded(t, boots()["plain"]())
	rec.Rules = []byte("no table")
	if _, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()}); !errors.Is(err, replay.ErrRecord) {
		t.Error(err)
	}
}
