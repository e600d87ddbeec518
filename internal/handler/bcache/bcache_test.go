package bcache

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/sim/content"
)

const (
	disk  = "10203040-0001-4002-8003-aabbccddeeff"
	set   = "10203040-0001-4002-8003-aabbccddee00"
	other = "10203040-0001-4002-8003-aabbccddee01"
	big   = 1 << 20
)

// holding is a disk with a superblock.
func holding(name string, c content.Bcache) handlertest.Disk {
	b := make([]byte, big)
	for _, p := range c.Pieces() {
		copy(b[p.At:], p.Data)
	}
	return handlertest.Disk{Name: name, Content: bytes.NewReader(b), Size: big}
}

func cached(name string, state int) handlertest.Disk {
	return holding(name, content.Bcache{UUID: disk, Set: set, State: state})
}

func cache(name string) handlertest.Disk {
	return holding(name, content.Bcache{UUID: other, Set: set, Cache: true})
}

// boot starts a boot in which nothing is resumed, on a kernel that runs what it
// is told of.
func boot(t *testing.T, cmdline string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{Full: true, Features: []string{"bcache"}}, func(w *handler.World) func() { return New(w).Start })
	b.World().ResumeSettled = true
	kernel(b, "clean")
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

// kernel is what bcache does with a write; state is what it finds a disk to be.
func kernel(b *handlertest.Boot, state string) {
	b.Machine.WriteError = func(path, value string) error {
		if node, ok := strings.CutPrefix(value, "/dev/"); ok && path == "/fs/bcache/register" {
			at := "/devices/virtual/block/" + node + "/bcache/"
			b.Sys.Set(at+"state", state)
			b.Sys.Set(at+"running", map[bool]string{true: "1", false: "0"}[state == "clean"])
		}
		return nil
	}
}

func started(b *handlertest.Boot) (list []string) {
	for _, w := range b.Machine.Writes {
		if node, ok := strings.CutSuffix(w, " > /fs/bcache/register"); ok {
			list = append(list, node)
		}
	}
	return list
}

func ran(b *handlertest.Boot, node string) bool {
	return slices.Contains(b.Machine.Writes, "1 > /devices/virtual/block/"+node+"/bcache/running")
}

func TestDiskIsStartedAfterItsCache(t *testing.T) {
	for _, state := range []int{1, 2} {
		b := boot(t, "")
		b.Add(cached("vda", state))
		if got := started(b); got != nil {
			t.Fatalf("without its cache: %v", got)
		}
		b.Add(cache("vdb"))
		if got := started(b); !slices.Equal(got, []string{"/dev/vdb", "/dev/vda"}) || ran(b, "vda") {
			t.Errorf("%v", got)
		}
		if s := b.Core.Stats(); s.Fired != 0 {
			t.Errorf("%d timers", s.Fired)
		}
		if !slices.Contains(b.Machine.Loaded, "bcache") {
			t.Errorf("loaded %v", b.Machine.Loaded)
		}
	}
}

// One without a cache, or whose cache counts for nothing any more, needs none.
func TestDetachedDiskIsStartedAtOnce(t *testing.T) {
	for _, state := range []int{0, 3} {
		b := boot(t, "")
		b.Add(cached("vda", state))
		if got := started(b); !slices.Equal(got, []string{"/dev/vda"}) {
			t.Errorf("state %d: %v", state, got)
		}
	}
}

func TestNothingIsStartedBeforeResumeIsSettled(t *testing.T) {
	b := boot(t, "")
	b.World().ResumeSettled = false
	b.Add(cache("vdb"), cached("vda", 2), holding("vdc", content.Bcache{UUID: "10203040-0001-4002-8003-aabbccddee09", Set: other}))
	b.Pass(time.Minute)
	if got := started(b); got != nil {
		t.Fatal(got)
	}
	b.World().ResumeSettled = true
	b.World().Sched.Notify(handler.TopicResumeSettled)
	b.Run()
	if got := started(b); !slices.Equal(got, []string{"/dev/vdb", "/dev/vda", "/dev/vdc"}) {
		t.Error(got)
	}
}

func TestDirtyDiskIsNeverStartedWithoutItsCache(t *testing.T) {
	for _, cmdline := range []string{"", "rd.bcache.degraded=1", "rd.bcache.degraded=1,ro", "rd.bcache.degraded=1,overlay"} {
		b := boot(t, cmdline)
		b.Add(cached("vda", 2))
		b.Pass(time.Hour)
		f := b.Fact("bcache device " + disk)
		if started(b) != nil || len(b.Machine.DM.Tables) != 0 || f.Condition != goal.Incomplete || !strings.Contains(f.Text, "never started without") || !strings.Contains(f.Text, set) {
			t.Errorf("%q: %v, %+v", cmdline, started(b), f)
		}
	}
}

func TestCleanDiskIsStartedWithoutItsCacheInTime(t *testing.T) {
	b := boot(t, "rd.bcache.degraded=5")
	b.Add(cached("vda", 1))
	if f := b.Fact("bcache device"); f.Until != handlertest.Start+5*time.Second || f.AtExpiry == "" {
		t.Errorf("%+v", f)
	}
	b.Pass(4 * time.Second)
	if got := started(b); got != nil {
		t.Fatal("before its time")
	}
	b.Pass(2 * time.Second)
	if got := started(b); !slices.Equal(got, []string{"/dev/vda"}) || !ran(b, "vda") || !b.Said("without its cache") {
		t.Fatalf("%v", b.Machine.Writes)
	}
	// The cache is the real system's matter from now on.
	b.Add(cache("vdb"))
	if got := started(b); len(got) != 1 || !b.Said("is not used") || b.Fact("cache /dev/vdb").Condition != goal.LeftAlone {
		t.Errorf("%v", got)
	}
}

// What the kernel has read may be newer than what was read here.
func TestDiskThatIsDirtyAfterAllIsNotRunWithoutItsCache(t *testing.T) {
	b := boot(t, "rd.bcache.degraded=5")
	kernel(b, "dirty")
	b.Add(cached("vda", 1))
	b.Pass(time.Minute)
	if f := b.Fact("bcache device"); ran(b, "vda") || f.Condition != goal.Blocked || !strings.Contains(f.Text, `"dirty"`) {
		t.Errorf("%+v", f)
	}
}

func TestReadOnlyWithoutItsCacheWritesNothing(t *testing.T) {
	for _, mode := range []string{"ro", "overlay"} {
		b := boot(t, "rd.bcache.degraded=5,"+mode)
		b.Add(cached("vda", 1))
		b.Pass(time.Minute)
		lines := b.Machine.DM.Tables["bcache-"+disk]
		if len(b.Machine.Writes) != 0 || len(lines) != 1 || lines[0].Type != "linear" || lines[0].Length != big/512-16 || !strings.HasSuffix(string(lines[0].Params), " 16") {
			t.Errorf("%s: %v, %v", mode, b.Machine.Writes, lines)
		}
		if got := b.World().CoverAsked() != ""; got != (mode == "overlay") {
			t.Errorf("%s: covered: %t", mode, got)
		}
	}
}

func TestDiskThatCannotBeWrittenIsMapped(t *testing.T) {
	b := boot(t, "")
	d := cached("vda", 1)
	d.Attrs = map[string]string{"ro": "1"}
	b.Add(d)
	if len(b.Machine.DM.Tables["bcache-"+disk]) != 1 || started(b) != nil {
		t.Errorf("%v, %v", b.Machine.DM.Tables, b.Machine.Writes)
	}
	b = boot(t, "")
	d = cached("vda", 2)
	d.Attrs = map[string]string{"ro": "1"}
	b.Add(d, cache("vdb"))
	if f := b.Fact("bcache device"); f.Condition != goal.Blocked || slices.Contains(started(b), "/dev/vda") || len(b.Machine.DM.Tables) != 0 {
		t.Errorf("%+v, %v", f, started(b))
	}
}

func TestNever(t *testing.T) {
	for _, cmdline := range []string{"rd.bcache.degraded=never", "raid-member-delay=0", "rd.bcache=0"} {
		b := boot(t, cmdline)
		b.Add(cached("vda", 1))
		b.Pass(time.Hour)
		if got := started(b); got != nil {
			t.Errorf("%s: %v", cmdline, got)
		}
	}
}

func TestWhatIsThereTwiceIsNotStarted(t *testing.T) {
	b := boot(t, "")
	b.Add(cached("vda", 0), cached("vdb", 0))
	b.Pass(time.Hour)
	if f := b.Fact("bcache device"); started(b) != nil || f.Condition != goal.Blocked || !strings.Contains(f.Text, "the same bcache device") {
		t.Fatalf("%v, %+v", started(b), f)
	}
	b.Remove("vdb")
	if got := started(b); !slices.Equal(got, []string{"/dev/vda"}) {
		t.Errorf("without the copy: %v", got)
	}
	// Two caches of one set, of which there can be one.
	b = boot(t, "")
	b.Add(cached("vda", 2), cache("vdb"), holding("vdc", content.Bcache{UUID: disk[:35] + "9", Set: set, Cache: true}))
	b.Pass(time.Hour)
	if got := started(b); got != nil {
		t.Errorf("two caches: %v", got)
	}
}

func TestCacheThatTheKernelRefusesCountsAsMissing(t *testing.T) {
	b := boot(t, "rd.bcache.degraded=5")
	works := b.Machine.WriteError
	b.Machine.WriteError = func(path, value string) error {
		if value == "/dev/vdb" {
			return unix.EINVAL
		}
		return works(path, value)
	}
	b.Add(cached("vda", 1), cache("vdb"))
	if f := b.Fact("cache /dev/vdb"); f.Condition != goal.Blocked || slices.Contains(started(b), "/dev/vda") {
		t.Errorf("%+v", f)
	}
	b.Pass(6 * time.Second)
	if !ran(b, "vda") {
		t.Errorf("%v", b.Machine.Writes)
	}
}

func TestDamagedAndNestedOnesAreExplained(t *testing.T) {
	b := boot(t, "")
	d := cached("vda", 1)
	raw := make([]byte, big)
	d.Content.(*bytes.Reader).ReadAt(raw, 0)
	raw[4096+104+7] ^= 0x60 // its state
	b.Add(handlertest.Disk{Name: "vda", Content: bytes.NewReader(raw), Size: big}, holding("bcache7", content.Bcache{UUID: other, Set: set}))
	if f := b.Fact("bcache device /dev/vda"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "checksum") {
		t.Errorf("%+v", f)
	}
	b.Remove("vda")
	if f := b.Fact("bcache device " + other); f.Condition != goal.Blocked || !strings.Contains(f.Text, "directly") || started(b) != nil {
		t.Errorf("%+v", f)
	}
}
