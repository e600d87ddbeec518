package multipath

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"firstlight/internal/device"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/sim/content"
)

const (
	id   = "eui.0025385b71b00001"
	uuid = "10203040-0001-4002-8003-aabbccddeeff"
)

// disk is a namespace with a filesystem, as one path to it shows it.
func disk(name, id string) handlertest.Disk {
	b := make([]byte, 1<<20)
	copy(b, content.Ext4(uuid, "root"))
	return handlertest.Disk{Name: name, Content: bytes.NewReader(b), Size: 1 << 20, Attrs: map[string]string{"wwid": id}}
}

// boot starts a boot of an image with the files.
func boot(t *testing.T, cmdline string, files map[string]string, features ...string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{Full: true, Features: append(features, "multipath")}, func(w *handler.World) func() { return New(w).Start })
	for name, text := range files {
		b.Machine.Files[name] = text
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

var listed = map[string]string{fileWWIDs: "# Multipath wwids\n/" + id + "/\n"}

func with(files ...string) map[string]string {
	m := map[string]string{fileWWIDs: listed[fileWWIDs]}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = files[i+1]
	}
	return m
}

func table(b *handlertest.Boot, name string) string {
	lines := b.Machine.DM.Tables[name]
	if len(lines) != 1 {
		return ""
	}
	return lines[0].Type + " " + string(lines[0].Params)
}

func TestPathsAreUsedTogetherAndNotAlone(t *testing.T) {
	b := boot(t, "", listed)
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	for _, name := range []string{"nvme0n1", "nvme1n1"} {
		e := b.World().Devices.ByName("/dev/" + name)
		if e.Property("ID_FS_TYPE") != "" || e.Property(pathProperty) != "1" || e.Property("SYSTEMD_READY") != "0" || e.HasLink("disk/by-uuid/"+uuid) {
			t.Errorf("%s can be mounted: %v", name, e.Links())
		}
	}
	if got := table(b, id); got != "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1" || b.Machine.DM.UUIDs[id] != "mpath-"+id {
		t.Errorf("%q, %v", got, b.Machine.DM.UUIDs)
	}
	if f := b.Fact("multipath device"); f.Condition != goal.Present || !strings.Contains(f.Text, "/dev/nvme0n1, /dev/nvme1n1") {
		t.Errorf("%+v", f)
	}
	if e := b.World().Devices.ByName("/dev/dm-0"); e.Property(readyProperty) != "1" {
		t.Errorf("multipathd would take it for unfinished: %v", e.Properties())
	}
}

func TestOnePathIsEnoughAndALateOneIsAdded(t *testing.T) {
	b := boot(t, "", listed)
	b.Add(disk("nvme0n1", id))
	if got := table(b, id); got != "multipath 0 0 1 1 service-time 0 1 1 8:1 1" {
		t.Fatalf("%q", got)
	}
	b.Add(disk("nvme1n1", id))
	if got := table(b, id); !strings.Contains(got, "8:1 1") || !strings.Contains(got, "8:2 1") {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNotListedIsNoPath(t *testing.T) {
	for name, c := range map[string]struct {
		cmdline string
		files   map[string]string
		want    bool
	}{
		"listed":             {"", listed, true},
		"no list":            {"", nil, false},
		"another one listed": {"", map[string]string{fileWWIDs: "/eui.1/\n"}, false},
		"rd.multipath=0":     {"rd.multipath=0", listed, false},
		"nompath":            {"nompath", listed, false},
		"multipath=off":      {"multipath=off", listed, false},
		"rd.hostonly=0":      {"rd.hostonly=0", listed, false},
		"excluded":           {"", with(fileConf, "blacklist {\nwwid \"eui.*\"\n}\n"), false},
		"not read":           {"rd.multipath=default", with(fileConf, "blacklist {\nwwid \"eui.*\"\n}\n"), true},
		"an exception":       {"", with(fileConf, "blacklist {\nwwid .*\n}\nblacklist_exceptions {\nwwid "+id+"\n}\n"), true},
		"another exception":  {"", with(fileConf, "blacklist {\ndevnode .*\n}\nblacklist_exceptions {\nwwid "+id+"\n}\n"), false},
		"strict":             {"", map[string]string{fileConf: find("strict")}, false},
		"on":                 {"", map[string]string{fileConf: find("on")}, true},
		"smart":              {"", map[string]string{fileConf: find("smart")}, true},
		"greedy":             {"", map[string]string{fileConf: find("greedy")}, true},
		"off":                {"", map[string]string{fileConf: find("off")}, true},
		"on, not read":       {"rd.multipath=default", map[string]string{fileConf: find("on")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := boot(t, c.cmdline, c.files)
			b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
			seen := b.World().Devices.ByName("/dev/nvme0n1").Property("ID_FS_TYPE") == "ext4"
			if got := table(b, id) != ""; got != c.want || seen == c.want {
				t.Errorf("mapped: %t, content seen: %t", got, seen)
			}
		})
	}
}

func find(value string) string { return "defaults {\nfind_multipaths " + value + "\n}\n" }

// With find_multipaths a first path is a disk until the second is there; with
// smart it waits for it, and with greedy it needs none.
func TestASecondPathMakesTheFirstOne(t *testing.T) {
	for value, want := range map[string]struct{ alone, soon, late string }{
		"on":     {"ext4", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1"},
		"smart":  {"", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1"},
		"greedy": {"", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1", "multipath 0 0 2 1 service-time 0 1 1 8:1 1 service-time 0 1 1 8:2 1"},
	} {
		for _, late := range []bool{false, true} {
			b := boot(t, "", map[string]string{fileConf: find(value)})
			b.Add(disk("nvme0n1", id))
			first := func() string { return b.World().Devices.ByName("/dev/nvme0n1").Property("ID_FS_TYPE") }
			if got := first(); got != want.alone {
				t.Errorf("%s: the first shows %q", value, got)
			}
			if got := table(b, id); (got != "") != (value == "greedy") {
				t.Errorf("%s: of the first is made %q", value, got)
			}
			if late {
				b.Pass(2 * time.Second)
				if got := first(); (got == "ext4") != (value != "greedy") {
					t.Errorf("%s: after a while the first shows %q", value, got)
				}
			}
			b.Add(disk("nvme1n1", id))
			expected := want.soon
			if late {
				expected = want.late
			}
			if got := table(b, id); got != expected || first() != "" {
				t.Errorf("%s, late %t: %q, and the first shows %q", value, late, got, first())
			}
			if n := b.World().Looking; n != 0 {
				t.Errorf("%s, late %t: the boot still waits for %d", value, late, n)
			}
		}
	}
}

// Of a disk that is in use nothing is made, and its other path is not used.
func TestADiskInUseIsLeftAlone(t *testing.T) {
	b := boot(t, "", map[string]string{fileConf: find("on")})
	b.Add(disk("nvme0n1", id))
	b.Sys.Set("/devices/virtual/block/nvme0n1/holders/dm-5/x", "")
	b.Add(disk("nvme1n1", id))
	if got := table(b, id); got != "" {
		t.Errorf("made: %q", got)
	}
	first, second := b.World().Devices.ByName("/dev/nvme0n1"), b.World().Devices.ByName("/dev/nvme1n1")
	if first.Property("ID_FS_TYPE") != "ext4" || second.Property("ID_FS_TYPE") != "" {
		t.Errorf("the first shows %q, the second %q", first.Property("ID_FS_TYPE"), second.Property("ID_FS_TYPE"))
	}
	if f := b.Fact("multipath device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "dm-5") {
		t.Errorf("%+v", f)
	}
}

// Paths to one disk that nothing calls so are said to be that.
func TestUnlistedPathsAreNamed(t *testing.T) {
	b := boot(t, "", nil)
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	if f := b.Fact("disk " + id); f.Condition != goal.Blocked || !strings.Contains(f.Try, "multipath -a") {
		t.Errorf("%+v", f)
	}
}

// The kernel says which path of an array is the better one.
func TestGroupsFollowTheArray(t *testing.T) {
	states := func(d handlertest.Disk, state string) handlertest.Disk {
		d.Attrs["device/access_state"], d.Attrs["device/dh_state"] = state, "alua"
		return d
	}
	for name, c := range map[string]struct{ conf, want string }{
		"nothing said": {"", "multipath 0 1 alua 2 1 service-time 0 2 1 8:2 1 8:3 1 service-time 0 1 1 8:1 1"},
		"failover":     {"defaults {\npath_grouping_policy failover\n}\n", "multipath 0 1 alua 3 1 service-time 0 1 1 8:2 1 service-time 0 1 1 8:3 1 service-time 0 1 1 8:1 1"},
		"multibus":     {"defaults {\npath_grouping_policy multibus\nfeatures \"2 pg_init_retries 5\"\n}\n", "multipath 2 pg_init_retries 5 1 alua 1 1 service-time 0 3 1 8:1 1 8:2 1 8:3 1"},
	} {
		b := boot(t, "", with(fileConf, c.conf))
		b.Add(states(disk("nvme0n1", id), "active/non-optimized"), states(disk("nvme1n1", id), "active/optimized"), states(disk("nvme2n1", id), "active/optimized"))
		if got := table(b, id); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What the kernel has put together from several controllers is a disk, also where
// every disk is one of paths.
func TestTheKernelsOwnPathsAreNotTaken(t *testing.T) {
	b := boot(t, "", map[string]string{fileConf: find("greedy")})
	d := device.New(b.Sys, "/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", map[string]string{"DEVNAME": "/dev/nvme0n1", "SUBSYSTEM": "block", "DEVTYPE": "disk"})
	of := device.New(b.Sys, "/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", map[string]string{"DEVNAME": "/dev/nvme0n1", "SUBSYSTEM": "block", "DEVTYPE": "disk"})
	if mayBePath(d) || !mayBePath(of) {
		t.Errorf("the whole may be a path: %t, a path: %t", mayBePath(d), mayBePath(of))
	}
}

func TestNamesAndGroupsAreAsConfigured(t *testing.T) {
	conf := "defaults {\nuser_friendly_names yes\npath_grouping_policy multibus\npath_selector \"round-robin 0\"\nno_path_retry queue\n}\n"
	b := boot(t, "", with(fileConf, conf, fileBindings, "mpathb "+id+"\n"))
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	if got := table(b, "mpathb"); got != "multipath 1 queue_if_no_path 0 1 1 round-robin 0 2 1 8:1 1 8:2 1" {
		t.Errorf("%q, %v", got, b.Machine.DM.Tables)
	}
}

func TestDisksOfDifferentSizesAreNotOne(t *testing.T) {
	b := boot(t, "", listed)
	small := disk("nvme1n1", id)
	small.Size = 1 << 19
	b.Add(small)
	b.Add(disk("nvme2n1", id))
	if f := b.Fact("multipath device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "different sizes") {
		t.Errorf("%+v", f)
	}
}

// What is said of a disk names no path that has gone away.
func TestNoPathIsNamedThatHasGone(t *testing.T) {
	b := boot(t, "", listed)
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	b.Remove("nvme0n1")
	if f := b.Fact("multipath device"); f.Condition != goal.Present || f.Text != "runs on /dev/nvme1n1" {
		t.Errorf("a path of a device has gone: %+v", f)
	}
	b.Add(disk("nvme0n1", id))
	if f := b.Fact("multipath device"); f.Condition != goal.Present || !strings.Contains(f.Text, "/dev/nvme0n1") {
		t.Errorf("it is back: %+v", f)
	}

	b = boot(t, "", listed)
	b.Machine.Lacks["dm-multipath"] = true
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	if f := b.Fact("multipath device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "/dev/nvme0n1") {
		t.Errorf("no driver: %+v", f)
	}
	b.Remove("nvme0n1")
	if f := b.Fact("multipath device"); f.Condition != goal.Blocked || strings.Contains(f.Text, "nvme0n1") || !strings.Contains(f.Text, "/dev/nvme1n1") {
		t.Errorf("no driver, and a path has gone: %+v", f)
	}
	b.Remove("nvme1n1")
	if f := b.Fact("multipath device"); f.Text != "" {
		t.Errorf("all have gone: %+v", f)
	}

	b = boot(t, "", nil)
	b.Add(disk("nvme0n1", id), disk("nvme1n1", id))
	b.Remove("nvme1n1")
	if f := b.Fact("disk " + id); f.Text != "" {
		t.Errorf("one of two copies has gone: %+v", f)
	}
}

// The files are read at once, whether they are there or not.
func TestTheConfigurationIsOneRead(t *testing.T) {
	b := boot(t, "", nil)
	b.Add(disk("nvme0n1", id))
	if did := b.Did("read the configuration of multipath"); len(did) != 1 {
		t.Errorf("%q", did)
	}
}
