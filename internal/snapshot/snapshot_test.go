package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/blkid"
	"firstlight/internal/luksfmt"
	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
	ours "firstlight/rules"
)

func TestTreeIsASysfs(t *testing.T) {
	tree := NewTree()
	tree.Set("/devices/pci/0/block/vda/size", "8")
	tree.Set("/devices/pci/0/block/vda/uevent", "DEVNAME=vda")
	tree.Link("/class/block/vda", "/devices/pci/0/block/vda")
	tree.Link("/devices/pci/0/block/vda/subsystem", "/class/block")
	if v, err := tree.Read("/class/block/vda/size"); v != "8" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if p, err := tree.Resolve("/class/block/vda"); p != "/devices/pci/0/block/vda" || err != nil {
		t.Errorf("%q, %v", p, err)
	}
	if l, err := tree.Readlink("/class/block/vda"); l != "../../devices/pci/0/block/vda" || err != nil {
		t.Errorf("%q, %v", l, err)
	}
	if names, err := tree.List("/class/block/vda"); err != nil || !slices.Equal(names, []string{"size", "subsystem", "uevent"}) {
		t.Errorf("%q, %v", names, err)
	}
	if err := tree.Write("/class/block/vda/nothing", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an attribute was made by writing: %v", err)
	}
	tree.Remove("/devices/pci")
	if tree.Exists("/devices/pci") || tree.Exists("/devices") || tree.Exists("/class/block/vda") {
		t.Error("it is still there")
	}
	tree.Link("/a", "/b")
	tree.Link("/b", "/a")
	if tree.Exists("/a/x") {
		t.Error("a circle leads somewhere")
	}
}

// image is a disk for tests.
type image struct {
	*bytes.Reader
	size int64
}

func (i image) Close() error    { return nil }
func (i image) Size() int64     { return i.size }
func (i image) SectorSize() int { return 512 }

// disksOf are devices by their node.
type disksOf map[string][]byte

func (d disksOf) OpenBlock(node string) (Device, error) {
	b, ok := d[node]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", node, fs.ErrNotExist)
	}
	return image{bytes.NewReader(b), int64(len(b))}, nil
}

var errAsked = errors.New("no such command")

func (disksOf) Identify(string) ([]byte, error)            { return nil, errAsked }
func (disksOf) Inquiry(string, bool, byte) ([]byte, error) { return nil, errAsked }

// made is what a real tool makes of an empty disk.
func made(t *testing.T, mib int, argv ...string) []byte {
	t.Helper()
	testtool.Need(t, argv[0])
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, mib<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testtool.Path(argv[0]), append(argv[1:], name)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// secret is what a disk holds beside its metadata.
const secret = "the diary of a private person"

// What is kept must be enough for every parser, and hold nothing of the files
// or of the memory that is next to the metadata.
func TestOnlyMetadataLeavesTheDisk(t *testing.T) {
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-L", "fl-root"}, {"mkswap", "-q"}, {"mkfs.vfat"},
	} {
		t.Run(argv[0], func(t *testing.T) {
			disk := made(t, 16, argv...)
			for at := 64 << 10; at < len(disk); at += 32 << 10 {
				if len(bytes.Trim(disk[at:at+512], "\x00")) == 0 {
					copy(disk[at:], secret)
				}
			}
			b := &Block{Name: "vda", Size: int64(len(disk)), Sector: 512}
			if err := b.take(bytes.NewReader(disk), false); err != nil {
				t.Fatal(err)
			}
			want, err := blkid.Probe(bytes.NewReader(disk), b.Size)
			if err != nil {
				t.Fatal(err)
			}
			got, err := blkid.Probe(b, b.Size)
			if err != nil {
				t.Fatal(err)
			}
			if got.Type() == "" || !slices.Equal(got.Pairs(), want.Pairs()) {
				t.Errorf("%v, want %v", got.Pairs(), want.Pairs())
			}
			kept := 0
			for _, r := range b.Ranges {
				kept += len(r.Data)
				if bytes.Contains(r.Data, []byte(secret[:20])) {
					t.Errorf("a secret is in the range at %d", r.Off)
				}
			}
			if kept == 0 || kept > 32<<10 {
				t.Errorf("%d bytes are kept", kept)
			}
		})
	}
}

// A partition with the signature of a root hash has nothing else that tells what
// it is.
func TestSignatureOfARootHashIsKept(t *testing.T) {
	disk := make([]byte, 1<<20)
	text := `{"rootHash":"0a0b","certificateFingerprint":"00","signature":"MAMCAQE="}`
	copy(disk, text)
	copy(disk[40<<10:], secret)
	b, err := Content("vda3", bytes.NewReader(disk), int64(len(disk)), 512, false)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 64<<10)
	if _, err := b.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(got, []byte(text)) || bytes.Contains(got, []byte(secret)) {
		t.Errorf("%q", bytes.Trim(got, "\x00"))
	}
	copy(disk, `{"signature":"of something else"}`)
	if b, err = Content("vda3", bytes.NewReader(disk), int64(len(disk)), 512, false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(got, 0); err != nil || len(bytes.Trim(got, "\x00")) > 0 {
		t.Errorf("what is no signature: %q, %v", bytes.Trim(got, "\x00"), err)
	}
}

func TestKeySlotsAreKeptOnlyWhenAskedFor(t *testing.T) {
	testtool.Need(t, "cryptsetup")
	disk := made(t, 24, "cryptsetup", "-q", "luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "/proc/version")
	h, err := luksfmt.Read(bytes.NewReader(disk))
	if err != nil {
		t.Fatal(err)
	}
	slot := h.Keyslots[0]
	material := disk[slot.Offset : slot.Offset+slot.MaterialSize()]
	find := func(b *Block) (whole bool, zeros bool) {
		got := make([]byte, len(material))
		if _, err := b.ReadAt(got, slot.Offset); err != nil {
			return false, errors.Is(err, ErrNotTaken)
		}
		return bytes.Equal(got, material), len(bytes.Trim(got, "\x00")) == 0
	}
	with := &Block{Name: "vda", Size: int64(len(disk)), Sector: 512}
	if err := with.take(bytes.NewReader(disk), true); err != nil {
		t.Fatal(err)
	}
	if whole, _ := find(with); !whole || !with.KeyMaterial {
		t.Error("the key material is not there although it was asked for")
	}
	without := &Block{Name: "vda", Size: int64(len(disk)), Sector: 512}
	if err := without.take(bytes.NewReader(disk), false); err != nil {
		t.Fatal(err)
	}
	s := (&Snapshot{Sys: NewTree(), Blocks: []*Block{with}}).WithoutKeys()
	for name, b := range map[string]*Block{"not taken": without, "taken and left out": s.Blocks[0]} {
		if whole, zeros := find(b); whole || !zeros || b.KeyMaterial {
			t.Errorf("%s: the key material is in the snapshot", name)
		}
		if again, err := luksfmt.Read(b); err != nil || again.UUID != h.UUID || len(b.Keyslots()) != len(h.Keyslots) {
			t.Errorf("%s: the header is lost: %v", name, err)
		}
	}
	if whole, _ := find(with); !whole {
		t.Error("leaving the keys out changed the snapshot itself")
	}
}

func TestReadingWhatWasNotTakenIsAnError(t *testing.T) {
	b := &Block{Name: "sda", Size: 10 << 10, Sector: 512, Ranges: []Range{{Off: 0, Len: 512, Data: bytes.Repeat([]byte{1}, 512)}, {Off: 512, Len: 512}, {Off: 4096, Len: 512}}}
	p := make([]byte, 1024)
	if n, err := b.ReadAt(p, 0); n != 1024 || err != nil || p[511] != 1 || p[512] != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := b.ReadAt(p, 256); n != 768 || !errors.Is(err, ErrNotTaken) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := b.ReadAt(p, 2048); !errors.Is(err, ErrNotTaken) {
		t.Error(err)
	}
	if _, err := b.ReadAt(p, 10<<10); err != io.EOF {
		t.Error(err)
	}
	b.Problem = "locked"
	if _, err := b.ReadAt(p, 0); !errors.Is(err, ErrNotTaken) {
		t.Error(err)
	}
}

// machine is a small machine below a directory: one virtio disk with a root.
func machine(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	write := func(p, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(dir+p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(p, target string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(dir+p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, dir+p); err != nil {
			t.Fatal(err)
		}
	}
	write("/proc/sys/kernel/osrelease", "6.1.0-test\n")
	write("/proc/cmdline", "root=/dev/vda ro rd.password=hunter2\n")
	write("/proc/meminfo", "MemTotal:        2048 kB\n")
	write("/proc/modules", "virtio_blk 1 0 - Live 0x0\next4 1 0 - Live 0x0\n")
	write("/proc/filesystems", "nodev\tsysfs\n\text4\n\tsquashfs\n")
	write("/proc/swaps", "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n")
	write("/proc/self/mountinfo", "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:20 / /proc rw - proc proc rw\n3 1 254:1 / /usr ro - ext4 /dev/vdb ro\n")
	write("/proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 94\nstepping\t: 3\nflags\t\t: fpu\n\n")
	write("/lib/firmware/intel-ucode/06-5e-03", "x")
	write("/etc/vconsole.conf", "KEYMAP=de\n")
	write("/etc/fstab", "/dev/vda / ext4 rw 0 1\n//s/h /mnt cifs password=hunter2,rw 0 0\n")
	write("/usr/lib/systemd/systemd", "#!")
	link("/sbin", "usr/sbin")
	link("/lib64", "usr/lib")
	write("/usr/sbin/other", "")
	link("/usr/sbin/init", "/lib64/systemd/systemd")
	write("/boot/loader/entries/a.conf", "title A\nversion 6.1.0-test\nlinux /vmlinuz-6.1.0-test\ninitrd /ucode.img\ninitrd /a.img\noptions root=/dev/vda quiet\noptions $kernelopts\n")
	write("/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux\t/boot/vmlinuz-6.2 root=/dev/vda ro $extra\n\tinitrd\t/boot/b.img\n}\n")

	dev := "/sys/devices/pci0000:00/0000:00:05.0"
	write(dev+"/uevent", "DRIVER=virtio-pci")
	write(dev+"/modalias", "pci:v00001AF4")
	write(dev+"/power/control", "on")
	link(dev+"/subsystem", "../../../bus/pci")
	link(dev+"/driver", "../../../bus/pci/drivers/virtio-pci")
	link("/sys/bus/pci/drivers/virtio-pci/module", "../../../../module/virtio_pci")
	write("/sys/module/virtio_pci/initstate", "live")
	write("/sys/module/squashfs/parameters/x", "1")
	write(dev+"/virtio0/uevent", "")
	write(dev+"/virtio0/serial_of_nothing", "x")
	link(dev+"/virtio0/subsystem", "../../../../bus/virtio")
	write(dev+"/virtio0/block/vda/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk")
	write(dev+"/virtio0/block/vda/size", "32768\n")
	write(dev+"/virtio0/block/vda/vpd_pg80", "\x00\x80\xff\xfe")
	link(dev+"/virtio0/block/vda/subsystem", "../../../../../../class/block")
	write("/sys/devices/virtual/block/loop0/uevent", "DEVNAME=loop0")
	write("/sys/devices/virtual/tty/tty0/uevent", "DEVNAME=tty0")
	return Options{Program: "test", Root: sysroot.Root(dir), Sys: sysfs.Dir(dir + "/sys"), Disks: disksOf{"/dev/vda": ext4(16 << 20)}, Keys: true}
}

// ext4 is a disk with the superblock of an ext4 filesystem.
func ext4(size int) []byte {
	disk := make([]byte, size)
	s := disk[1024:]
	binary.LittleEndian.PutUint16(s[0x38:], 0xef53)
	binary.LittleEndian.PutUint16(s[0x3a:], 1)
	binary.LittleEndian.PutUint32(s[0x4c:], 1)
	binary.LittleEndian.PutUint32(s[0x5c:], 4)
	binary.LittleEndian.PutUint32(s[0x60:], 0x242)
	binary.LittleEndian.PutUint32(s[0x18:], 2)
	copy(s[0x68:], "0123456789abcdef")
	return disk
}

func TestSnapshotHasWhatABootReads(t *testing.T) {
	s, err := Take(machine(t))
	if err != nil {
		t.Fatal(err)
	}
	dev := "/devices/pci0000:00/0000:00:05.0"
	for p, want := range map[string]string{dev + "/modalias": "pci:v00001AF4", "/class/block/vda/size": "32768", "/bus/pci/devices/0000:00:05.0/modalias": "pci:v00001AF4"} {
		if got, err := s.Sys.Read(p); got != want {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	if got := s.Sys.Links["/bus/pci/drivers/virtio-pci/module"]; got != "/module/virtio_pci" {
		t.Errorf("the driver's module is %q", got)
	}
	for _, p := range []string{dev + "/power/control", dev + "/virtio0/serial_of_nothing", "/devices/virtual/tty/tty0/uevent"} {
		if s.Sys.Exists(p) {
			t.Errorf("%s is in the snapshot", p)
		}
	}
	if len(s.Blocks) != 1 || s.Block("vda") == nil || s.Block("vda").Problem != "" {
		t.Fatalf("%+v", s.Blocks)
	}
	if s.Cmdline != "root=/dev/vda ro rd.password=…" || s.Kernel != "6.1.0-test" || s.Memory != 2<<20 {
		t.Errorf("%q %q %d", s.Cmdline, s.Kernel, s.Memory)
	}
	if !slices.Contains(s.Filesystems, "squashfs") || slices.Contains(s.Filesystems, "ext4") {
		t.Errorf("without a module there are %q", s.Filesystems)
	}
	if has, known := s.HasBuiltin("6.1.0-test", "squashfs"); !has || !known {
		t.Errorf("built in: %v", s.Builtin)
	}
	if s.Config["/etc/vconsole.conf"] == "" || s.Config[Microcode] != "/lib/firmware/intel-ucode/06-5e-03" {
		t.Errorf("%q", s.Config)
	}
	if e := s.Entry("/boot/a.img", ""); e == nil || e.Cmdline != "root=/dev/vda quiet" {
		t.Errorf("%+v", s.Boot)
	}
	if e := s.Entry("/boot/c.img", "6.2"); e == nil || e.Cmdline != "root=/dev/vda ro" || e.From != "/boot/grub/grub.cfg" {
		t.Errorf("%+v", s.Boot)
	}
}

// The real system's init is followed through links and into /usr, each file
// being noted in the filesystem that it is in.
func TestSnapshotFollowsInitIntoUsr(t *testing.T) {
	o := machine(t)
	o.Cmdlines = []string{"quiet init=/usr/sbin/nothing"}
	s, err := Take(o)
	if err != nil {
		t.Fatal(err)
	}
	if e, looked := s.MountAt("/usr").Entries["/sbin/nothing"]; !looked || e.Mode != 0 {
		t.Error("the init of a further command line was not looked for")
	}
	root, usr := s.MountAt("/"), s.MountAt("/usr")
	if root == nil || usr == nil || s.MountAt("/proc") != nil {
		t.Fatalf("%+v", s.Mounts)
	}
	if root.Entries["/sbin"].Link != "usr/sbin" || root.Entries["/lib64"].Link != "usr/lib" {
		t.Errorf("%+v", root.Entries)
	}
	if usr.Entries["/sbin/init"].Link == "" || usr.Entries["/lib/systemd/systemd"].Mode&0o100111 != 0o100111 {
		t.Errorf("%+v", usr.Entries)
	}
	if e, looked := root.Entries["/etc/init"]; !looked || e.Mode != 0 {
		t.Error("what is not there was not noted as such")
	}
	if text := string(root.Entries["/etc/fstab"].Data); !strings.Contains(text, "/dev/vda / ext4") || strings.Contains(text, "hunter2") {
		t.Errorf("%q", text)
	}
}

func TestFileGivesTheSnapshotBack(t *testing.T) {
	s, err := Take(machine(t))
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := Write(&one, s); err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(one.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.Sys.Files, again.Sys.Files) || !reflect.DeepEqual(s.Sys.Links, again.Sys.Links) ||
		!reflect.DeepEqual(s.Blocks[0].Ranges, again.Blocks[0].Ranges) || !reflect.DeepEqual(s.Boot, again.Boot) {
		t.Error("it is not the same")
	}
	if err := Write(&two, again); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("written again it is another file: %v", err)
	}
	if bytes.Contains(one.Bytes(), []byte("hunter2")) {
		t.Error("a password is in it")
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("hello"), "cut": one.Bytes()[:one.Len()/2]} {
		if _, err := Read(bytes.NewReader(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The list of attributes must have all that our rules ask for: what it lacks
// would be missing in every check.
func TestEveryAttributeOfOurRulesIsTaken(t *testing.T) {
	names, err := fs.Glob(ours.FS, "*.rules")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	asked := regexp.MustCompile(`(?:ATTRS?\{|TEST[=!]="|\$attr\{|%s\{)([A-Za-z_/0-9]+)`)
	for _, n := range names {
		text, err := fs.ReadFile(ours.FS, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			if a := m[1]; !attributes[a] && a != "pid" { // a process that exists
				t.Errorf("%s asks for %s", n, a)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	s := &Snapshot{Kernel: "6.1", Sys: NewTree(), Blocks: []*Block{{Name: "vda", Size: 4096, Sector: 512, Ranges: []Range{{Off: 0, Len: 512}}}}}
	s.Sys.Set("/devices/x/uevent", "\xff")
	if err := Write(&b, s); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), false)
	f.Add([]byte(`{"format":"firstlight machine snapshot","version":1,"attributes":{"/devices/a/uevent":"base64:%%"},"blocks":[{"name":"a","size":9,"sector":512,"ranges":[{"off":0,"len":99}]}]}`), true)
	f.Add([]byte(`{"format":"firstlight machine snapshot","version":1,"links":{"/a":"/a"},"mounts":[{"point":"/","entries":{"/x":{"mode":1}}}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, text bool) {
		if text { // the compression need not be found first
			data = pack(t, data)
		}
		s, err := Read(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v is no error of the format", err)
			}
			return
		}
		p := make([]byte, 8192)
		for _, b := range s.Blocks {
			b.ReadAt(p, 0)
			b.ReadAt(p, b.Size/2)
		}
		for _, d := range s.Sys.Devices() {
			s.Sys.Exists(d)
		}
		var out bytes.Buffer
		if err := Write(&out, s); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
