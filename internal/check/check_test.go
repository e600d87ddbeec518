package check

import (
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"firstlight/features"
	"firstlight/internal/build"
	"firstlight/internal/feature"
	"firstlight/internal/handler/all"
	"firstlight/internal/snapshot"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/rules"
)

// The snapshots in testdata were taken in guests with Debian's 6.1 kernel by
// test/truth, on disks of test/disks.

// images are those built so far, by what they are for.
var images sync.Map

// built is an image for a bus, a filesystem and layers, as bytes.
func built(t *testing.T, config string) []byte {
	t.Helper()
	if b, ok := images.Load(config); ok {
		return b.([]byte)
	}
	root, release := testtool.Kernel(t, "bookworm")
	c, err := build.ParseConfig("test.toml", []byte("compression = \"none\"\n"+config))
	if err != nil {
		t.Fatal(err)
	}
	set, err := feature.Load(feature.Dir{Name: "features", FS: features.FS})
	if err != nil {
		t.Fatal(err)
	}
	elf := make([]byte, 64)
	copy(elf, "\x7fELF\x02\x01\x01")
	elf[16], elf[18], elf[20] = 2, 62, 1 // ET_EXEC, EM_X86_64, EV_CURRENT
	elf[52], elf[54], elf[58] = 64, 56, 64
	dir := t.TempDir()
	init, out := filepath.Join(dir, "init"), filepath.Join(dir, "image")
	for _, program := range []string{init, filepath.Join(dir, "network"), filepath.Join(dir, "nbd"), filepath.Join(dir, "nvmf"), filepath.Join(dir, "iscsi"), filepath.Join(dir, "ssh"), filepath.Join(dir, "fetch"), filepath.Join(dir, "imagecache"), filepath.Join(dir, "oci"), filepath.Join(dir, "httpdisk")} {
		if err := os.WriteFile(program, elf, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err = build.Build(context.Background(), build.Options{Kernel: release, Sysroot: sysroot.Root(root), Config: *c, Features: set,
		Rules: []compile.Dir{{Name: "rules", FS: rules.FS}}, Init: init, InitFull: init, Output: out})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	images.Store(config, b)
	return b
}

func open(t *testing.T, b []byte) *Image {
	t.Helper()
	im, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// without takes files out of an image, by their base names or paths.
func (im *Image) without(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		found := false
		for p := range im.files {
			if ok, err := path.Match(n, path.Base(p)); err != nil {
				t.Fatal(err)
			} else if ok || p == n {
				delete(im.files, p)
				found = true
			}
		}
		if !found {
			t.Fatalf("the image has no %s", n)
		}
	}
	im.again()
}

// put makes a file in an image.
func (im *Image) put(name, text string) {
	im.files[name] = &imageFileEntry{mode: 0o100755, size: int64(len(text)), data: []byte(text)}
	im.again()
}

func (im *Image) again() {
	im.broken = nil
	im.read()
}

func taken(t *testing.T, name string) *snapshot.Snapshot {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".snap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := snapshot.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	// Debian's 6.1 is renamed with each security update; images are built for
	// the one that is there.
	_, release := testtool.Kernel(t, "bookworm")
	if own, ok := s.Builtin[s.Kernel]; ok {
		delete(s.Builtin, s.Kernel)
		s.Builtin[release] = own
	}
	s.Kernel = release
	return s
}

// rootOf is root= as the machine of a snapshot was started with.
func rootOf(s *snapshot.Snapshot) string {
	for _, w := range strings.Fields(s.Cmdline) {
		if strings.HasPrefix(w, "root=") {
			return w
		}
	}
	return ""
}

const (
	virtio = "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n"
	fat    = "[root]\nbus = \"virtio_blk\"\nfstype = \"vfat\"\n"
	scsi   = "[root]\nbus = \"virtio_scsi\"\nfstype = \"ext4\"\n"
	onMD   = virtio + "layers = [\"md-raid1\"]\n"
	onLVM  = virtio + "layers = [\"lvm\"]\n"
)

// cutProgram is this test's own program as far as half of it.
func cutProgram() string {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	return string(b[:len(b)/2])
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, snap, image string
		without           []string
		put               map[string]string
		cmdline           string // after "ro" and root=; ROOT leaves root= out
		kernel            string
		want              Verdict
		says              []string // in the explanation
	}{
		{name: "good", snap: "plain", image: virtio},
		{name: "scsi", snap: "scsi", image: scsi},
		{name: "raid", snap: "raid1", image: onMD},
		{name: "lvm", snap: "lvm", image: onLVM},
		{name: "usr of its own", snap: "usr", image: virtio},
		{name: "no driver", snap: "plain", image: virtio, without: []string{"virtio_blk.ko"}, want: Fails, says: []string{"no block device", "virtio_blk"}},
		{name: "other bus", snap: "plain", image: scsi, want: Fails, says: []string{"no block device"}},
		{name: "a dependency is missing", snap: "plain", image: virtio, without: []string{"virtio_ring.ko"}, want: Fails, says: []string{"virtio_ring"}},
		{name: "a layer of SCSI is missing", snap: "scsi", image: scsi, without: []string{"sd_mod.ko"}, want: Fails, says: []string{"sd_mod"}},
		{name: "no filesystem driver", snap: "plain", image: virtio, without: []string{"ext4.ko"}, want: Fails, says: []string{"ext4", "mounted"}},
		{name: "no check sums", snap: "plain", image: virtio, without: []string{"crc32c*.ko"}, want: Fails, says: []string{"mounted"}},
		{name: "one of two check sums", snap: "plain", image: virtio, without: []string{"crc32c-intel.ko"}},
		{name: "blacklisted", snap: "plain", image: virtio, cmdline: "rd.driver.blacklist=virtio_blk", want: Fails, says: []string{"no block device"}},
		{name: "other kernel", snap: "plain", image: virtio, kernel: "6.99.0-1-amd64", want: Fails, says: []string{"no block device", "virtio_ring"}},
		{name: "other build of the same kernel", snap: "plain", image: virtio, kernel: "6.1.0-9999-amd64", want: Unknown, says: []string{"6.1.0-9999-amd64 takes them"}},
		{name: "wrong uuid", snap: "plain", image: virtio, cmdline: "root=UUID=deadbeef-0000-4000-8000-000000000001", want: Fails, says: []string{"deadbeef", "vda", "ext4"}},
		{name: "no root", snap: "plain", image: virtio, cmdline: "ROOT", want: Fails, says: []string{"root="}},
		{name: "root in the image", snap: "plain", image: virtio, cmdline: "ROOT", put: map[string]string{"/etc/firstlight/cmdline.d/a.conf": "root=/dev/vda\n"}},
		{name: "wrong type", snap: "plain", image: virtio, cmdline: "rootfstype=xfs", want: Fails, says: []string{"xfs"}},
		{name: "an older type, for which the newer driver stands", snap: "plain", image: virtio, cmdline: "rootfstype=ext3"},
		{name: "the second of two types", snap: "plain", image: virtio, cmdline: "rootfstype=xfs,ext4"},
		{name: "an option that no driver has", snap: "plain", image: virtio, cmdline: "rootflags=nonsense", want: Fails, says: []string{"nonsense"}},
		{name: "options that the driver has", snap: "plain", image: virtio, cmdline: "rootflags=noatime,commit=30,errors=remount-ro,nobarrier,nodelalloc,data=ordered,lazytime"},
		{name: "a character set of FAT", snap: "fat", image: fat},
		{name: "none of the short names", snap: "fat", image: fat, without: []string{"nls_cp437.ko"}, want: Fails, says: []string{"invalid argument"}},
		{name: "none that the driver was built with", snap: "fat", image: fat, without: []string{"nls_ascii.ko"}, want: Fails, says: []string{"invalid argument"}},
		{name: "another one", snap: "fat", image: fat, without: []string{"nls_ascii.ko"}, cmdline: "rootflags=iocharset=utf8"},
		{name: "another one that is not there", snap: "fat", image: fat, cmdline: "rootflags=codepage=850", want: Fails, says: []string{"invalid argument"}},
		{name: "no such init", snap: "plain", image: virtio, cmdline: "init=/usr", want: Fails, says: []string{"init"}},
		{name: "init nobody looked at", snap: "plain", image: virtio, cmdline: "init=/opt/init", want: Unknown, says: []string{"did not look at /opt"}},
		{name: "waits for ever", snap: "plain", image: virtio, cmdline: "root=LABEL=nowhere rd.timeout=infinity", want: Fails, says: []string{"nowhere", "for ever"}},
		{name: "no index", snap: "plain", image: virtio, without: []string{indexFile}, want: Fails, says: []string{"modules.idx: it is not in the image"}},
		{name: "damaged rules", snap: "plain", image: virtio, put: map[string]string{rulesFile: "x"}, want: Fails, says: []string{"rules.tab"}},
		{name: "no program", snap: "plain", image: virtio, without: []string{"/init"}, want: Fails, says: []string{"has no /init"}},
		{name: "a program that is cut off", snap: "plain", image: virtio, put: map[string]string{"/init": cutProgram()}, want: Fails, says: []string{"cut off"}},
		{name: "a stop without a shell", snap: "plain", image: virtio, cmdline: "rd.break=mount"},
		{name: "resume in vain", snap: "plain", image: virtio, cmdline: "resume=UUID=deadbeef-0000-4000-8000-000000000002"},
		{name: "no level", snap: "raid1", image: onMD, without: []string{"raid1.ko"}, want: Fails, says: []string{"RAID array"}},
		{name: "no arrays at all", snap: "raid1", image: virtio, want: Fails, says: []string{"md"}},
		{name: "arrays switched off", snap: "raid1", image: onMD, cmdline: "rd.md=0", want: Fails, says: []string{"linux_raid_member"}},
		{name: "no device mapper", snap: "lvm", image: onLVM, without: []string{"dm-mod.ko"}, want: Fails, says: []string{"volume group vg"}},
		{name: "volumes switched off", snap: "lvm", image: onLVM, cmdline: "rd.lvm=0", want: Fails, says: []string{"LVM2_member"}},
		{name: "no such volume", snap: "lvm", image: onLVM, cmdline: "root=/dev/vg/missing", want: Fails, says: []string{"it has no volume missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, s := open(t, built(t, c.image)), taken(t, c.snap)
			if c.without != nil {
				im.without(t, c.without...)
			}
			for p, text := range c.put {
				im.put(p, text)
			}
			line := "ro " + rootOf(s) + " " + c.cmdline
			if rest, ok := strings.CutPrefix(c.cmdline, "ROOT"); ok {
				line = "ro" + rest
			}
			r := Run(im, s, Config{Cmdline: line, Kernel: c.kernel, Handlers: all.Handlers()})
			text := strings.Join(r.Explanation, "\n")
			if r.Verdict != c.want {
				t.Fatalf("it %s: %s", r.Verdict, text)
			}
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("the explanation has no %q:\n%s", s, text)
				}
			}
			if c.want == Boots && (r.Root == "" || r.Init != "/sbin/init" || len(r.Conditions) > 0) {
				t.Errorf("%+v", r)
			}
			if bytes.Contains(r.Journal, []byte("internal error")) {
				t.Error("a part of it panicked")
			}
		})
	}
}

// A good image on a good machine warns of nothing.
func TestNoWarningIsFalse(t *testing.T) {
	for snap, image := range map[string]string{"plain": virtio, "scsi": scsi, "raid1": onMD, "lvm": onLVM} {
		s := taken(t, snap)
		r := Run(open(t, built(t, image)), s, Config{Cmdline: "ro " + rootOf(s), Handlers: all.Handlers()})
		if r.Verdict != Boots || len(r.Warnings) > 0 {
			t.Errorf("%s: %s, %q", snap, r.Verdict, r.Warnings)
		}
	}
}

func TestWarnings(t *testing.T) {
	run := func(change func(*Image, *snapshot.Snapshot) string) []string {
		im, s := open(t, built(t, virtio)), taken(t, "plain")
		line := change(im, s)
		r := Run(im, s, Config{Cmdline: rootOf(s) + " " + line, Handlers: all.Handlers()})
		if r.Verdict != Boots {
			t.Fatalf("%s: %q", r.Verdict, r.Explanation)
		}
		return r.Warnings
	}
	has := func(list []string, part string) {
		t.Helper()
		if len(list) != 1 || !strings.Contains(list[0], part) {
			t.Errorf("%q; wanted is one with %q", list, part)
		}
	}
	has(run(func(_ *Image, s *snapshot.Snapshot) string {
		s.MountAt("/").Entries["/etc/fstab"] = snapshot.Entry{Mode: 0o100644, Size: 1, Data: []byte("/dev/vda / ext4 rw 0 1\n")}
		return "rw"
	}), "no fsck.ext4")
	has(run(func(_ *Image, s *snapshot.Snapshot) string {
		s.Config[snapshot.Microcode] = "/lib/firmware/intel-ucode/06-5e-03"
		return "ro"
	}), "microcode")
	has(run(func(im *Image, s *snapshot.Snapshot) string {
		s.Builtin = map[string][]string{"6.99": {}}
		s.Kernel = "6.99"
		return "ro"
	}), "which is not installed here; there are: 6.99")
	has(run(func(*Image, *snapshot.Snapshot) string { return "ro resume=LABEL=nowhere" }), "waits in vain")
	if w := run(func(_ *Image, s *snapshot.Snapshot) string {
		s.Config[snapshot.Microcode] = "x"
		s.Boot = []snapshot.BootEntry{{Initrds: []string{"/intel-ucode.img", "/a.img"}}}
		return "ro"
	}); len(w) > 0 {
		t.Errorf("a boot entry loads the microcode: %q", w)
	}
}

// Neither leases nor servers are in a snapshot: it is said that they are not.
func TestRootOnAServerCannotBeTold(t *testing.T) {
	s := taken(t, "plain")
	im := open(t, built(t, "[root]\nfstype = \"nfs\"\n"))
	r := Run(im, s, Config{Cmdline: "root=dhcp", Handlers: all.Handlers()})
	if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Explanation, " "), "a snapshot has neither servers nor leases") {
		t.Errorf("%+v", r)
	}
	im.without(t, "/usr/lib/firstlight/network")
	if r = Run(im, s, Config{Cmdline: "root=dhcp", Handlers: all.Handlers()}); r.Verdict != Fails {
		t.Errorf("without the helper: %+v", r)
	}
}

func TestRootOfTheHostCannotBeTold(t *testing.T) {
	s := taken(t, "plain")
	im := open(t, built(t, "[root]\nfstype = \"virtiofs\"\n"))
	if r := Run(im, s, Config{Cmdline: "root=virtiofs:root", Handlers: all.Handlers()}); r.Verdict != Unknown {
		t.Errorf("%+v", r)
	}
}

// So it is with the disks of servers.
func TestDisksOfServersCannotBeTold(t *testing.T) {
	s := taken(t, "plain")
	im := open(t, built(t, "[root]\nfstype = \"ext4\"\nneeds = [\"nbd\", \"nvmf\"]\n"))
	for _, line := range []string{"root=nbd:10.0.0.1:root", "netroot=nbd:10.0.0.1:root root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff",
		"rd.nvmf.connect=tcp,10.0.0.1,nqn.2026-01.example:disk root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff",
		"root=iscsi:10.0.0.1:::1:iqn.2026-01.example:disk", "netroot=iscsi:10.0.0.1:::1:iqn.2026-01.example:disk root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff",
		"rd.iscsi.target.name=iqn.2026-01.example:disk rd.iscsi.target.ip=10.0.0.1 root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff"} {
		r := Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()})
		if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Explanation, " "), "a snapshot has neither servers nor leases") {
			t.Errorf("%s: %+v", line, r)
		}
	}
	for path, want := range map[string]bool{"/devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sda": true, "/devices/virtual/block/nbd0": true, "/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0c0n1": true, "/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1": false} {
		if stacked(path) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
	// A machine with its root on a disk of its own boots with that image all the
	// same.
	if r := Run(im, s, Config{Cmdline: "ro " + rootOf(s), Handlers: all.Handlers()}); r.Verdict == Fails {
		t.Errorf("%+v", r)
	}
}

// And with files of servers, disks on an Ethernet and shares of SMB.
func TestFilesOfServersCannotBeTold(t *testing.T) {
	s := taken(t, "plain")
	const sum = " rd.firstlight.sha256=abababababababababababababababababababababababababababababababab"
	for line, config := range map[string]string{
		"ip=dhcp root=live:http://10.0.0.1/root.sfs" + sum:                                           "features = [\"http-root\"]\n[root]\nfstype = \"squashfs\"\n",
		"ip=dhcp root=live:tftp://10.0.0.1/root.sfs" + sum:                                           "features = [\"http-root\"]\n[root]\nfstype = \"squashfs\"\n",
		"ip=dhcp root=live:http://10.0.0.1/root.sfs rd.firstlight.ondemand rd.firstlight.unverified": "[root]\nfstype = \"squashfs\"\nneeds = [\"http-disk\"]\n",
		"ip=dhcp root=live:http://10.0.0.1/root.sfs rd.firstlight.keep=LABEL=fl-root" + sum:          "features = [\"http-cache\"]\n[root]\nfstype = \"squashfs\"\n",
		"ip=dhcp root=oci:http://10.0.0.1/image rd.firstlight.unverified":                            "features = [\"oci\"]\n[root]\nfstype = \"squashfs\"\n",
		"ip=dhcp root=cifs://10.0.0.1/root cifsuser=root cifspass=secret":                            "[root]\nfstype = \"cifs\"\n",
		"root=aoe:/dev/etherd/e0.0":                                                                  "[root]\nfstype = \"ext4\"\nneeds = [\"aoe\"]\n",
	} {
		im := open(t, built(t, config))
		r := Run(im, s, Config{Cmdline: "ro " + line, Handlers: all.Handlers()})
		if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Explanation, " "), "a snapshot has neither servers nor leases") {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// A network that the root does not need is no reason to say that nothing can be
// told.
func TestNetworkBesideTheRoot(t *testing.T) {
	s := taken(t, "plain")
	im := open(t, built(t, "features = [\"network\"]\n"+virtio))
	r := Run(im, s, Config{Cmdline: "ro rd.neednet=1 ip=dhcp " + rootOf(s), Handlers: all.Handlers()})
	if r.Verdict != Boots {
		t.Errorf("%+v", r)
	}
	if r = Run(im, s, Config{Cmdline: "ro rd.neednet=1 ip=dhcp root=UUID=deadbeef-0000-4000-8000-000000000001", Handlers: all.Handlers()}); r.Verdict == Boots {
		t.Errorf("with another root: %+v", r)
	}
}

// What the snapshot cannot tell is not guessed.
func TestUnknownIsSaid(t *testing.T) {
	im, s := open(t, built(t, virtio)), taken(t, "plain")
	line := "ro " + rootOf(s)
	s.Mounts = nil
	r := Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()})
	if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Explanation, " "), "it was not mounted when the snapshot was taken") {
		t.Errorf("%s: %q", r.Verdict, r.Explanation)
	}
	s = taken(t, "plain")
	s.Block("vda").Ranges, s.Block("vda").Problem = nil, "open /dev/vda: permission denied"
	r = Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()})
	if r.Verdict != Unknown || !slices.ContainsFunc(r.Explanation, func(l string) bool { return strings.Contains(l, "permission denied") }) {
		t.Errorf("%s: %q", r.Verdict, r.Explanation)
	}
	im.without(t, imageFile, indexFile, rulesFile)
	if r = Run(im, s, Config{Handlers: all.Handlers()}); r.Verdict != Unknown || !strings.Contains(r.Explanation[0], "not made by firstlight") {
		t.Errorf("%s: %q", r.Verdict, r.Explanation)
	}
}

// The same image on the same machine gives the same boot.
func TestCheckIsDeterministic(t *testing.T) {
	im, s := open(t, built(t, onMD)), taken(t, "raid1")
	c := Config{Cmdline: "ro " + rootOf(s), Handlers: all.Handlers()}
	first := Run(im, s, c)
	for range 3 {
		c.Handlers = all.Handlers()
		if again := Run(im, s, c); !bytes.Equal(first.Journal, again.Journal) {
			t.Fatal("the journals differ")
		}
	}
	if len(first.Journal) == 0 {
		t.Error("there is no journal")
	}
}
