package mdraid

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
)

func cleanGoal(t *testing.T, set *goal.Set) *goal.Goal {
	t.Helper()
	g := set.Get("clean md127")
	if g == nil {
		t.Fatal("there is no goal that the array is clean")
	}
	return g
}

func TestWaitCleanHoldsTheBootUntilTheArrayIsInSync(t *testing.T) {
	b := boot(t, "rd.md.waitclean=1", "")
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
	g := cleanGoal(t, b.World().Goals)
	if g.State != goal.Unmet || g.Deadline != 0 || slices.Contains(b.Machine.Writes, "recover > /block/md127/md/sync_action") {
		t.Fatalf("%+v; before the resume is settled: %v", g, b.Machine.Writes)
	}
	b.World().ResumeSettled = true
	b.World().Sched.Notify(handler.TopicResumeSettled)
	b.Run()
	if g.State != goal.Met || !slices.Contains(b.Machine.Writes, "recover > /block/md127/md/sync_action") ||
		!slices.Equal(b.Machine.Waits, []string{"/block/md127/md/sync_action = idle"}) {
		t.Errorf("%+v; writes %v, waits %v", g, b.Machine.Writes, b.Machine.Waits)
	}
	b.Pass(time.Hour)
	if s := b.Core.Stats(); s.Fired != 0 {
		t.Logf("%d timers spoke while the test's own goal was open", s.Fired)
	}
}

func TestWaitCleanGoesOnWhereThereIsNothingToWaitFor(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		said string
		wait bool
	}{
		{"a level without redundancy", fs.ErrNotExist, "", false},
		{"a resync under way", unix.EBUSY, "", true},
		{"a kernel that refuses", unix.EINVAL, "md127 cannot be waited for", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := boot(t, "rd.md.waitclean", "")
			b.Machine.WriteError = func(path, _ string) error {
				if strings.HasSuffix(path, "/sync_action") {
					return tt.err
				}
				return nil
			}
			b.World().ResumeSettled = true
			b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
			if g := cleanGoal(t, b.World().Goals); g.State != goal.Met {
				t.Errorf("%+v", g)
			}
			if got := len(b.Machine.Waits) == 1; got != tt.wait || tt.said != "" && !b.Said(tt.said) {
				t.Errorf("waits %v", b.Machine.Waits)
			}
		})
	}
}

func TestWaitCleanThatFailsDoesNotKeepTheSystemFromStarting(t *testing.T) {
	b := boot(t, "rd.md.waitclean=1", "")
	b.Machine.WaitError = func(string, string) error { return errors.New("no such device") }
	b.World().ResumeSettled = true
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
	if g := cleanGoal(t, b.World().Goals); g.State != goal.Met || !strings.Contains(g.Reason, "no such device") || !b.Said("no such device") {
		t.Errorf("%+v", g)
	}
}

func TestWithoutWaitCleanNothingIsWaitedFor(t *testing.T) {
	b := boot(t, "", "")
	b.World().ResumeSettled = true
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
	if len(b.Machine.Waits) != 0 || b.World().Goals.Get("clean md127") != nil {
		t.Errorf("waits %v", b.Machine.Waits)
	}
}
