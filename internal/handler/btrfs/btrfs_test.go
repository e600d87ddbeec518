package btrfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/testtool"
	"firstlight/internal/ueventd"
)

const (
	uuid = "0a1b2c3d-0000-4000-8000-000000000001"
	size = 128 << 20
)

// mkfs makes a filesystem of as many devices as there are names.
func mkfs(t *testing.T, label string, names ...string) []handlertest.Disk {
	t.Helper()
	return mkfsOf(t, "raid1", label, names...)
}

// mkfsOf is mkfs with a profile for the data.
func mkfsOf(t *testing.T, data, label string, names ...string) []handlertest.Disk {
	t.Helper()
	testtool.Need(t, "mkfs.btrfs")
	dir := t.TempDir()
	args := []string{"-q", "-U", uuid, "-L", label}
	if len(names) > 1 {
		args = append(args, "-d", data, "-m", "raid1")
	}
	var list []handlertest.Disk
	for _, n := range names {
		p := filepath.Join(dir, n)
		f, err := os.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		args = append(args, p)
		list = append(list, handlertest.Disk{Name: n, Content: f, Size: size})
	}
	if out, err := exec.Command(testtool.Path("mkfs.btrfs"), args...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs: %v\n%s", err, out)
	}
	return list
}

// boot starts a boot and returns the handler beside it.
func boot(t *testing.T, cmdline string) (*handlertest.Boot, *Handler) {
	t.Helper()
	var h *Handler
	b := handlertest.New(t, cmdline, handler.Image{}, func(w *handler.World) func() { h = New(w); return nil })
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b, h
}

// gate is what a mount of a device is told.
func gate(b *handlertest.Boot, h *Handler, name string) (topic, options string) {
	topic, _, options = h.Gate(b.World().Devices.ByName("/dev/" + name))
	return topic, options
}

func TestFilesystemOnOneDeviceCostsNothing(t *testing.T) {
	b, h := boot(t, "")
	d := mkfs(t, "one", "vda")
	b.Add(d...)
	if len(b.Machine.Scanned) != 0 || len(b.Did("tell btrfs")) != 0 || b.Core.Stats().Set != 0 {
		t.Errorf("scanned %v, did %v", b.Machine.Scanned, b.Did(""))
	}
	if topic, options := gate(b, h, "vda"); topic != "" || options != "" {
		t.Errorf("held back: %q, options %q", topic, options)
	}
}

func TestBothMembersInAnyOrder(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		b, h := boot(t, "")
		d := mkfs(t, "two", "vda", "vdb")
		first, second := d[order[0]], d[order[1]]
		b.Add(first)
		if topic, _ := gate(b, h, first.Name); topic != "btrfs "+uuid {
			t.Fatalf("%v: a mount waits for %q", order, topic)
		}
		f := b.Fact("btrfs filesystem two " + uuid)
		if f.Condition != goal.Incomplete || f.Text != fmt.Sprintf("1 of 2 devices (/dev/%s is devid %d)", first.Name, order[0]+1) || f.Until != handlertest.Start+15*time.Second || f.AtExpiry == "" {
			t.Errorf("fact %+v", f)
		}
		b.Add(second)
		for _, x := range d {
			if topic, options := gate(b, h, x.Name); topic != "" || options != "" {
				t.Errorf("%v: %s is held back: %q, options %q", order, x.Name, topic, options)
			}
		}
		if !slices.Equal(b.Machine.Scanned, []string{"/dev/" + first.Name, "/dev/" + second.Name}) {
			t.Errorf("scanned %v", b.Machine.Scanned)
		}
		if f := b.Fact("btrfs"); f.Subject != "" || b.Core.Stats().Fired != 0 {
			t.Errorf("fact %+v, stats %+v", f, b.Core.Stats())
		}
	}
}

func TestMembersThatComeTogetherCostOneOperation(t *testing.T) {
	b, _ := boot(t, "")
	b.Add(mkfs(t, "", "vda", "vdb")...)
	if did := b.Did("tell btrfs"); len(did) != 1 {
		t.Errorf("did %v", did)
	}
}

// A mount that waits is woken by the filesystem's topic.
func TestWaitingMountIsWoken(t *testing.T) {
	var h *Handler
	mounts := 0
	b := handlertest.New(t, "", handler.Image{}, func(w *handler.World) func() { h = New(w); return nil },
		func(w *handler.World) func() {
			w.Sched.Route("mount", func(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
				if topic, why, _ := h.Gate(w.Devices.ByName("/dev/vda")); topic != "" {
					return ueventd.WaitFor(why, topic)
				}
				mounts++
				return ueventd.Outcome{}
			})
			return nil
		})
	d := mkfs(t, "two", "vda", "vdb")
	b.Add(d[0])
	b.World().Sched.Push(ueventd.Event{Queue: "mount /"})
	b.Run()
	if mounts != 0 {
		t.Fatal("mounted without the second member")
	}
	b.Add(d[1])
	if mounts != 1 {
		t.Fatalf("%d mounts", mounts)
	}
}

func TestMissingMemberLeadsToADegradedMount(t *testing.T) {
	b, h := boot(t, "rd.firstlight.degraded=10")
	d := mkfs(t, "", "vda", "vdb")
	b.Add(d[1])
	b.Pass(9 * time.Second)
	if topic, options := gate(b, h, "vdb"); topic == "" || options != "" {
		t.Fatalf("let through early: %q %q", topic, options)
	}
	b.Pass(2 * time.Second)
	topic, options := gate(b, h, "vdb")
	if topic != "" || options != "degraded" {
		t.Fatalf("after the quiet period: %q %q", topic, options)
	}
	b.Run()
	if !b.Said("btrfs filesystem " + uuid + ": 1 of 2 devices (/dev/vdb is devid 2). Mounting it degraded") {
		t.Error("nothing was said of it")
	}
	// What comes before the mount makes it whole.
	b.Add(d[0])
	if topic, options := gate(b, h, "vdb"); topic != "" || options != "" {
		t.Errorf("with both: %q %q", topic, options)
	}
}

// While a person types a passphrase, the member behind it is not missing.
func TestQuietPeriodIsLongerWhileSomebodyIsAsked(t *testing.T) {
	var h *Handler
	answered := make(chan struct{})
	b := handlertest.New(t, "rd.firstlight.degraded=10", handler.Image{}, func(w *handler.World) func() { h = New(w); return nil },
		func(w *handler.World) func() {
			w.Sched.Route("luks", func(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
				t.Wait("the answer", "answer")
				close(answered)
				return ueventd.Outcome{}
			})
			return nil
		})
	b.World().Sched.Push(ueventd.Event{Queue: "luks x"})
	b.Add(mkfs(t, "", "vda", "vdb")[0])
	b.Pass(time.Minute)
	if topic, _ := gate(b, h, "vda"); topic == "" {
		t.Fatal("let through while a passphrase is awaited")
	}
	b.World().Sched.Notify("answer")
	b.Run()
	<-answered
	b.Pass(11 * time.Second)
	if topic, options := gate(b, h, "vda"); topic != "" || options != "degraded" {
		t.Errorf("afterwards: %q %q", topic, options)
	}
}

func TestMemberThatIsPulledOut(t *testing.T) {
	b, h := boot(t, "")
	d := mkfs(t, "", "vda", "vdb")
	b.Add(d...)
	b.Machine.Ready = true // the kernel does not forget it
	b.Remove("vdb")
	if topic, _ := gate(b, h, "vda"); topic == "" {
		t.Error("not held back without the second member")
	}
	b.Remove("vda")
	if f := b.Fact("btrfs"); f.Subject != "" {
		t.Errorf("fact %+v", f)
	}
}

func TestCopyOfAMemberIsRefused(t *testing.T) {
	b, h := boot(t, "")
	d := mkfs(t, "", "vda", "vdb")
	b.Add(d[0], d[1], handlertest.Disk{Name: "vdc", Content: d[1].Content, Size: size})
	topic, _ := gate(b, h, "vda")
	if f := b.Fact("btrfs"); topic == "" || f.Condition != goal.Blocked || !strings.Contains(f.Text, "/dev/vdc and /dev/vdb are the same member") {
		t.Errorf("topic %q, fact %+v", topic, f)
	}
	if len(b.Machine.Scanned) != 0 {
		t.Errorf("the kernel was told of %v", b.Machine.Scanned)
	}
	b.Remove("vdc")
	if topic, _ := gate(b, h, "vda"); topic != "" {
		t.Errorf("without the copy: held back by %q", topic)
	}
}

// sign makes the checksum of the first superblock right again: CRC-32C of all
// behind the checksum's own field.
func sign(content []byte) {
	super := content[64<<10:][:4<<10]
	binary.LittleEndian.PutUint32(super, crc32.Checksum(super[0x20:], crc32.MakeTable(crc32.Castagnoli)))
}

// A seed is one device alone, but another filesystem may stand on it.
func TestSeedIsTold(t *testing.T) {
	d := mkfs(t, "", "vda")[0]
	content := make([]byte, 1<<20)
	if _, err := d.Content.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	flags := content[64<<10+0x38:]
	binary.LittleEndian.PutUint64(flags, binary.LittleEndian.Uint64(flags)|1<<32)
	sign(content)
	b, h := boot(t, "")
	b.Machine.Ready = true
	b.Add(handlertest.Disk{Name: "vda", Content: bytes.NewReader(content), Size: 1 << 20})
	if !slices.Equal(b.Machine.Scanned, []string{"/dev/vda"}) {
		t.Errorf("scanned %v", b.Machine.Scanned)
	}
	if topic, _ := gate(b, h, "vda"); topic != "" {
		t.Errorf("held back by %q", topic)
	}
}

// grow makes the second device of a pair that of another filesystem in what the
// first knows of it, as if that were the seed.
func grow(t *testing.T, pair []handlertest.Disk) {
	t.Helper()
	var super [2][0x200]byte
	for i, d := range pair {
		if _, err := d.Content.ReadAt(super[i][:], 64<<10); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]byte, size)
	if _, err := pair[0].Content.ReadAt(all, 0); err != nil {
		t.Fatal(err)
	}
	fsid := super[1][0x20:0x30]
	item := slices.Concat(super[1][0x10b:0x11b], fsid) // the end of a device's item
	at := bytes.Index(all, item)
	for n := 0; at >= 0; n++ {
		other := slices.Clone(fsid)
		other[0] ^= 0xff
		if _, err := pair[0].Content.(*os.File).WriteAt(other, int64(at+16)); err != nil {
			t.Fatal(err)
		}
		next := bytes.Index(all[at+1:], item)
		if next < 0 {
			return
		}
		at += 1 + next
	}
	t.Fatal("the chunk tree does not have the second device")
}

// The sprout says that it has two devices, one of which is the seed, which the
// kernel does not count.
func TestSproutIsReadyWhenItsSeedIsThere(t *testing.T) {
	for _, c := range []struct {
		name  string
		seed  func(super []byte)
		ready bool
	}{
		{"its seed", func([]byte) {}, true},
		{"no seed", func(super []byte) { binary.LittleEndian.PutUint64(super[0x38:], 1) }, false},
		{"another's seed", func(super []byte) { super[0x21] ^= 0xff }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, h := boot(t, "")
			pair := mkfs(t, "", "vda", "vdb")
			grow(t, pair)
			b.Add(pair[0])
			if topic, _ := gate(b, h, "vda"); topic == "" {
				t.Fatal("not held back without the seed")
			}
			content := make([]byte, 1<<20)
			if _, err := pair[1].Content.ReadAt(content, 0); err != nil {
				t.Fatal(err)
			}
			super := content[64<<10:]
			binary.LittleEndian.PutUint64(super[0x38:], 1|1<<32)
			binary.LittleEndian.PutUint64(super[0x88:], 1)
			super[0x20] ^= 0xff // the filesystem that grow has named
			c.seed(super)
			sign(content)
			seed := handlertest.Disk{Name: "vdc", Content: bytes.NewReader(content), Size: 1 << 20}
			b.Add(seed)
			if topic, options := gate(b, h, "vda"); (topic == "") != c.ready || options != "" {
				t.Errorf("held back by %q, options %q", topic, options)
			}
			if !c.ready {
				return
			}
			b.Remove("vdc")
			if topic, _ := gate(b, h, "vda"); topic == "" {
				t.Error("not held back when the seed has gone")
			}
		})
	}
}

func TestMissingDriverIsNamed(t *testing.T) {
	b, _ := boot(t, "")
	b.Machine.Lacks["btrfs"] = true
	b.Add(mkfs(t, "", "vda", "vdb")...)
	if f := b.Fact("btrfs"); f.Condition != goal.Blocked || len(b.World().Missing) != 1 {
		t.Errorf("fact %+v, missing %v", f, b.World().Missing)
	}
}
