package trace_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/journal"
	"firstlight/internal/sim"
	"firstlight/internal/trace"
)

const (
	simRoot = "11111111-1111-4111-8111-111111111111"
	simUsr  = "22222222-2222-4222-8222-222222222222"
	simSwap = "33333333-3333-4333-8333-333333333333"
)

// simulate boots a machine with several disks, of which two are needed and one
// has to be looked at first; on it every operation takes
// a time that follows from its name; one of them takes longer by extra.
func simulate(t *testing.T, seed int, slow string, extra time.Duration) *trace.Boot {
	t.Helper()
	m := &sim.Machine{Cmdline: "root=UUID=" + simRoot + " resume=UUID=" + simSwap, Handlers: all.Handlers(), Image: handler.Image{Version: "test"}}
	m.Latency = func(what string) time.Duration {
		h := fnv.New32a()
		fmt.Fprint(h, seed, what)
		d := time.Millisecond + time.Duration(h.Sum32()%50_000)*time.Microsecond
		if what == slow {
			d += extra
		}
		return d
	}
	disks := []*sim.Disk{
		{Content: sim.Ext4(simRoot, "root"), Files: map[string]string{"/sbin": "-> usr/sbin", "/usr/.empty": "",
			"/etc/fstab": "UUID=" + simUsr + " /usr ext4 defaults 0 0\n"}},
		{Content: sim.Ext4(simUsr, "usr"), Files: map[string]string{"/sbin/init": "#!"}},
		{Content: sim.Swap(simSwap, false)},
		{Content: sim.Ext4("55555555-1111-4111-8111-111111111111", "other")},
	}
	for i := range disks {
		m.Plug(disks[(i+seed)%len(disks)])
	}
	if err := m.Boot(time.Minute); err != nil || m.Started == nil {
		t.Fatalf("seed %d: not started: %v", seed, err)
	}
	records, err := journal.Read(bytes.NewReader(m.Journal))
	if err != nil {
		t.Fatal(err)
	}
	return trace.New(records)
}

// The critical path is right if it is what an experiment finds: an operation
// on it that takes a little longer makes the boot that much longer; one that
// is not on it makes no difference.
func TestCriticalPathIsWhatAnExperimentFinds(t *testing.T) {
	const extra = 20 * time.Microsecond // less than what lies between any two paths
	on, off := 0, 0
	for seed := range 4 {
		base := simulate(t, seed, "", 0)
		path := base.CriticalPath()
		var names []string
		for _, o := range base.Operations {
			// What happens after the decision does not count; the name is
			// all that the simulated machine knows an operation by.
			if o.Record < base.Switched && !slices.Contains(names, o.What) {
				names = append(names, o.What)
			}
		}
		for _, name := range names {
			delta := simulate(t, seed, name, extra).CriticalPath().Total - path.Total
			// An operation of that name may be on the path more than once.
			times := 0
			for _, s := range path.Steps {
				if s.Operation != 0 && base.Record(s.Operation).Text == name {
					times++
				}
			}
			if times > 0 {
				on++
			} else {
				off++
			}
			if want := extra * time.Duration(times); delta != want {
				t.Errorf("seed %d: %q takes %v longer: the boot takes %v longer, want %v", seed, name, extra, delta, want)
			}
		}
	}
	if on < 20 || off < 20 {
		t.Errorf("only %d operations on a critical path and %d beside it were tried", on, off)
	}
}
