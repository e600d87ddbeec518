package trial

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/journal"
)

// The test's own program plays the part of QEMU: it takes its arguments,
// connects to the sockets and does what the variable says.
const playEnv = "FIRSTLIGHT_TRIAL_PLAY"

func TestMain(m *testing.M) {
	if play := os.Getenv(playEnv); play != "" {
		os.Exit(qemu(play, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// records of a boot, as they come through a serial line.
var (
	head     = "firstlight-journal 1\r\n1\t1000000\t0\tstart\tfirstlight 1\t6.1\r\n"
	screen   = "2\t2000000\t1\texplanation\tboot\tThe system cannot be started.\tline=Wanted:  a root\tline=Try:     another\r\n"
	switched = head + "3\t3500000\t1\tswitch-root\tboot\t/sbin/init\r\n4\t3500100\t3\tdo\tboot\tswitch root to /sysroot /sbin/init\r\n"
	refused  = switched + "5\t3600000\t4\tresult\tboot\texecute /sbin/init: exec format error\r\n"
)

// qemu plays one boot.
func qemu(play string, args []string) int {
	dial := func(name string) net.Conn {
		i := slices.IndexFunc(args, func(a string) bool { return strings.HasSuffix(a, "/"+name) })
		_, p, _ := strings.Cut(args[i], "path=")
		c, err := net.Dial("unix", p)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return c
	}
	if play == "refuse" {
		fmt.Fprintln(os.Stderr, "qemu: no such machine")
		return 1
	}
	j, m := dial("journal"), dial("monitor")
	fmt.Fprintln(m, `{"QMP": {}}`)
	bufio.NewReader(m).ReadString('\n')
	end := func(why string) int {
		fmt.Fprintf(m, "{\"return\": {}}\n{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": %q}}\n", why)
		return 0
	}
	switch play {
	case "starts":
		io.WriteString(j, switched)
		select {}
	case "starts and ends":
		io.WriteString(j, switched)
		return end("guest-shutdown")
	case "starts, and the real system speaks":
		io.WriteString(j, switched+"FLTEST {}\nDebian GNU/Linux 12 ttyS1\r\n\r\n12 monkeys\r\n")
		return end("guest-shutdown")
	case "panics":
		io.WriteString(j, switched)
		return end("guest-reset")
	case "init is refused":
		io.WriteString(j, refused)
		return end("guest-shutdown")
	case "gives up":
		io.WriteString(j, head+screen)
		return end("guest-shutdown")
	case "hangs":
		io.WriteString(j, head+screen)
		select {}
	case "is another's":
		fmt.Println("Loading…")
		return end("guest-shutdown")
	case "asks":
		fmt.Print("hello\r\nPassphrase for /dev/vda2 (cr): ")
		in := bufio.NewReader(os.Stdin)
		got, _ := in.ReadString('\r')
		// A message, after which the question is shown again.
		fmt.Print("\r\x1b[Ksomething happened\r\nPassphrase for /dev/vda2 (cr): *****\r\n")
		if got != "open sesame\r" {
			return end("guest-reset")
		}
		fmt.Print("This passphrase does not open /dev/vda2 (cr). Try again.\r\nPassphrase for /dev/vda2 (cr): ")
		if c, _ := in.ReadByte(); c != 4 {
			return end("guest-reset")
		}
		io.WriteString(j, switched)
		return end("guest-shutdown")
	case "writes":
		// Every way of writing to the disk must fail.
		flags, _ := unix.FcntlInt(3, unix.F_GETFL, 0)
		_, err := unix.Pwrite(3, []byte("x"), 0)
		if flags&unix.O_ACCMODE != unix.O_RDONLY || err != unix.EBADF {
			return end("guest-reset")
		}
		io.WriteString(j, switched)
		return end("guest-shutdown")
	}
	return 4
}

func try(t *testing.T, play string, o Options) (*Result, string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(playEnv, play)
	var console bytes.Buffer
	o.QEMU, o.Console, o.Accel, o.CPUs, o.Memory, o.Kernel, o.Image = self, &console, "tcg", 1, 512, "vmlinuz", "image"
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := Run(ctx, o)
	return res, console.String(), err
}

func TestVerdictOfEachKindOfBoot(t *testing.T) {
	for _, tt := range []struct {
		play  string
		o     Options
		state State
		why   string
	}{
		{"starts", Options{Test: true}, Started, ""},
		{"starts and ends", Options{}, Started, ""},
		{"starts and ends", Options{Test: true}, Started, ""},
		{"starts, and the real system speaks", Options{}, Started, ""},
		{"panics", Options{Test: true}, Failed, "the kernel panics"},
		{"init is refused", Options{Test: true}, Failed, "exec format error"},
		{"gives up", Options{Test: true}, Failed, "given up"},
		{"hangs", Options{Test: true, Timeout: 300 * time.Millisecond}, Late, "300ms"},
		{"is another's", Options{Test: true}, Unknown, "no journal"},
	} {
		t.Run(tt.play, func(t *testing.T) {
			res, _, err := try(t, tt.play, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if res.State != tt.state || !strings.Contains(res.Why, tt.why) || (tt.why == "") != (res.Why == "") {
				t.Errorf("%s: %q", res.State, res.Why)
			}
			if tt.state == Started && (res.Init != "/sbin/init" || res.Took != 2500*time.Millisecond) {
				t.Errorf("init %q after %v", res.Init, res.Took)
			}
			if told := strings.Contains(tt.play, "gives up") || tt.play == "hangs"; told != (res.Explanation() != nil) {
				t.Errorf("explanation %q", res.Explanation())
			}
		})
	}
}

func TestJournalComesOutAsItWasWritten(t *testing.T) {
	res, _, err := try(t, "gives up", Options{})
	if err != nil {
		t.Fatal(err)
	}
	list, cut, err := journal.ReadCut(bytes.NewReader(res.Journal))
	if err != nil || cut || len(list) != 2 || bytes.Contains(res.Journal, []byte{'\r'}) {
		t.Errorf("%d records, cut %v, %v:\n%q", len(list), cut, err, res.Journal)
	}
}

func TestMachineThatDoesNotStartSaysNothingOfTheImage(t *testing.T) {
	_, _, err := try(t, "refuse", Options{Test: true})
	if !errors.Is(err, ErrNotTried) || !strings.Contains(err.Error(), "no such machine") {
		t.Errorf("%v", err)
	}
	_, err = Run(context.Background(), Options{QEMU: "/no/qemu", Accel: "tcg", Console: io.Discard})
	if !errors.Is(err, ErrNotTried) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	_, _, err = try(t, "starts", Options{Disks: []Disk{{File: "/no/disk"}}})
	if !errors.Is(err, ErrNotTried) || !strings.Contains(err.Error(), "/no/disk") {
		t.Errorf("%v", err)
	}
}

func TestPassphraseIsTypedOnceAndNeverShown(t *testing.T) {
	res, console, err := try(t, "asks", Options{Test: true, Passphrase: []byte("open sesame")})
	if err != nil || res.State != Started {
		t.Fatalf("%+v, %v; console %q", res, err, console)
	}
	if strings.Contains(console, "sesame") || !strings.Contains(console, "hello") {
		t.Errorf("console %q", console)
	}
}

func TestDisksAreOpenForReadingOnly(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDisk(disk, "nvme")
	if err != nil {
		t.Fatal(err)
	}
	res, _, err := try(t, "writes", Options{Test: true, Disks: []Disk{d}})
	if err != nil || res.State != Started {
		t.Errorf("%+v, %v", res, err)
	}
	if b, err := os.ReadFile(disk); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDiskFormatIsNotGuessedFromWhatAGuestWrote(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ text, want string }{{"QFI\xfb....", "qcow2"}, {"KDMV", "raw"}, {"", "raw"}} {
		p := filepath.Join(dir, "d")
		if err := os.WriteFile(p, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if d, err := OpenDisk(p, "usb"); err != nil || d.Format != tt.want || d.Device || d.Bus != "usb" {
			t.Errorf("%q: %+v, %v", tt.text, d, err)
		}
	}
	if _, err := OpenDisk(dir, ""); err == nil {
		t.Error("a directory is no disk")
	}
	if _, err := OpenDisk("/dev/null", ""); err == nil {
		t.Error("/dev/null is no disk")
	}
}

func TestArgumentsNeverGiveQEMUAWritableDisk(t *testing.T) {
	o := Options{Image: "i", Kernel: "k", Accel: "kvm", CPUs: 2, Memory: 64, Append: []string{"root=/dev/x", "quiet"}, Disks: []Disk{
		{File: "/a", Bus: "ahci", Format: "raw", Device: true}, {File: "/b", Bus: "ahci", Format: "qcow2"}, {File: "/c", Bus: "usb", Format: "raw"},
		{File: "/d", Bus: "virtio-scsi", Format: "raw"}, {File: "/e", Bus: "virtio-scsi", Format: "raw"}, {File: "/f", Bus: "nvme", Format: "raw"},
		{File: "/g", Bus: "virtio-blk", Format: "raw"}}}
	a := Args(o, "/tmp/x,y")
	text := strings.Join(a, " ")
	drives := 0
	for _, w := range a {
		if strings.HasPrefix(w, "if=none,") {
			drives++
			if !strings.Contains(w, ",snapshot=on,") || !strings.Contains(w, "file.filename=/dev/fdset/") {
				t.Errorf("drive %s", w)
			}
		}
	}
	if drives != len(o.Disks) || strings.Count(text, "virtio-scsi-pci,id=scsi") != 1 {
		t.Errorf("%d drives: %s", drives, text)
	}
	for _, want := range []string{"file.driver=host_device,file.locking=off,file.filename=/dev/fdset/0", "driver=qcow2,file.driver=file", "fd=9,set=6", "-cpu host",
		"ide-hd,bus=ide.0,drive=disk0", "ide-hd,bus=ide.1,drive=disk1", "path=/tmp/x,,y/journal", "nvme,drive=disk5,serial=disk5",
		"-append console=ttyS0 panic=-1 rd.firstlight.journal=/dev/ttyS1 root=/dev/x quiet"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	o.Test = true
	if text := strings.Join(Args(o, "d"), " "); !strings.Contains(text, "rd.shell=0 rd.emergency=poweroff root=/dev/x") {
		t.Errorf("a test must end by itself: %s", text)
	}
}

func TestHostDisksAreThoseWithHardwareBelow(t *testing.T) {
	sys := t.TempDir()
	add := func(name, dir, size string, attrs ...string) {
		t.Helper()
		at := filepath.Join(sys, "devices", dir, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, kv := range append(attrs, "size="+size) {
			k, v, _ := strings.Cut(kv, "=")
			if err := os.WriteFile(filepath.Join(at, k), []byte(v+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(sys, "block"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(sys, "block", name)); err != nil {
			t.Fatal(err)
		}
	}
	add("sda", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block", "1000", "device=")
	add("sdb", "pci0000:00/0000:00:14.0/usb1/1-1/host2/target2:0:0/2:0:0:0/block", "1000", "device=")
	add("sdc", "pci0000:00/0000:00:05.0/virtio3/host1/target1:0:0/1:0:0:0/block", "1000", "device=")
	add("vda", "pci0000:00/0000:00:04.0/virtio2/block", "1000", "device=")
	add("nvme0n1", "pci0000:00/0000:01:00.0/nvme/nvme0", "1000", "device=")
	add("nvme1c1n1", "pci0000:00/0000:02:00.0/nvme/nvme1", "1000", "device=", "hidden=1")
	add("mmcblk0", "platform/mmc/mmc0:0001/block", "1000", "device=")
	add("mmcblk0boot0", "platform/mmc/mmc0:0001/block", "100", "device=")
	add("cciss!c0d0", "pci0000:00/cciss0/block", "1000", "device=")
	add("sr0", "pci0000:00/0000:00:1f.2/ata2/host1/block", "1000", "device=")
	add("sdd", "pci0000:00/usb2/block", "0", "device=") // a reader without a card
	add("dm-0", "virtual/block", "1000")
	add("loop0", "virtual/block", "1000")
	got, err := HostDisks(sys, "/dev")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range got {
		list = append(list, d.File+" "+d.Bus)
		if !d.Device || d.Format != "raw" {
			t.Errorf("%+v", d)
		}
	}
	want := []string{"/dev/cciss/c0d0 nvme", "/dev/mmcblk0 nvme", "/dev/nvme0n1 nvme", "/dev/sda ahci", "/dev/sdb usb", "/dev/sdc virtio-scsi", "/dev/vda virtio-blk"}
	if !slices.Equal(list, want) {
		t.Errorf("got %q, want %q", list, want)
	}
	if _, err := HostDisks(t.TempDir(), "/dev"); err == nil {
		t.Error("no sysfs, and no error")
	}
}

func TestHostParametersAreThoseThatAnotherBootNeeds(t *testing.T) {
	got := HostParameters("BOOT_IMAGE=/vmlinuz root=UUID=1 ro \"dyndbg=file a +p\"  quiet splash console=tty0 rd.luks.name=x=y panic=5 rdinit=/own init=/bin/x -- a\n")
	want := []string{"root=UUID=1", "ro", `"dyndbg=file a +p"`, "rd.luks.name=x=y", "init=/bin/x"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
