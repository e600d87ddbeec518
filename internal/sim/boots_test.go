package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

const (
	rootUUID = "11111111-1111-4111-8111-111111111111"
	usrUUID  = "22222222-2222-4222-8222-222222222222"
	swapUUID = "33333333-3333-4333-8333-333333333333"
	keyUUID  = "44444444-4444-4444-8444-444444444444"
	luksUUID = "55555555-5555-4555-8555-555555555555"
)

func debian() map[string]string {
	return map[string]string{"/sbin/init": "-> /lib/systemd/systemd", "/lib/systemd/systemd": "#!", "/usr/share": ""}
}

func rootDisk() *sim.Disk {
	return &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}
}

func machineWith(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := &sim.Machine{Record: true, Cmdline: cmdline, Handlers: all.Handlers(), Image: handler.Image{Version: "test"}}
	for _, d := range disks {
		m.Plug(d)
	}
	return m
}

func boot(t *testing.T, m *sim.Machine) {
	t.Helper()
	if err := m.Boot(20 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := m.Core.Stats().Panics; n != 0 {
		t.Errorf("%d panics:\n%s", n, grep(m.Journal, "panic"))
	}
	if bytes.Contains(m.Journal, []byte(passphrase)) {
		t.Error("the passphrase is in the journal")
	}
	replays(t, m)
}

func grep(journal []byte, what string) string {
	var out []string
	for l := range strings.SplitSeq(string(journal), "\n") {
		if strings.Contains(l, what) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// started fails unless the real system started from the disk.
func started(t *testing.T, m *sim.Machine, node string) {
	t.Helper()
	if m.Started == nil {
		t.Fatalf("not started; it said:\n%s\njournal:\n%s", m.SaidText(), m.Journal)
	}
	for _, mt := range m.Mounts {
		if mt.Target == handler.SysRoot && mt.Source != node {
			t.Errorf("the root is %s, want %s", mt.Source, node)
		}
	}
}

func noTimer(t *testing.T, m *sim.Machine) {
	t.Helper()
	if n := m.Core.Stats().Fired; n != 0 {
		t.Errorf("%d timers fired on a boot without trouble:\n%s", n, grep(m.Journal, "deadline"))
	}
}

const passphrase = "correct horse battery"

var luksHeader = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "luks")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	img := filepath.Join(dir, "img")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(testtool.Path("cryptsetup"), "luksFormat", "-q", "--type", "luks1", "--key-size", "256",
		"--pbkdf-force-iterations", "1000", "--uuid", luksUUID, "--key-file", "-", img)
	cmd.Stdin = strings.NewReader(passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cryptsetup: %w: %s", err, out)
	}
	return os.ReadFile(img)
})

func TestEachSpellingOfRootBoots(t *testing.T) {
	for _, spec := range []string{"UUID=" + rootUUID, "UUID=" + strings.ToUpper(rootUUID), "LABEL=root", "/dev/vda",
		"/dev/disk/by-uuid/" + rootUUID, "/dev/disk/by-label/root", "254:16"} {
		t.Run(spec, func(t *testing.T) {
			m := machineWith("root="+spec, rootDisk())
			boot(t, m)
			started(t, m, "/dev/vda")
			noTimer(t, m)
			if m.Started.Init != "/sbin/init" {
				t.Errorf("init is %s", m.Started.Init)
			}
		})
	}
}

func TestRootIsMountedAsTheCommandLineSays(t *testing.T) {
	for _, tt := range []struct {
		cmdline  string
		readOnly bool
		data     string
		types    string
	}{
		{"", true, "", "ext4"},
		{"rw", false, "", "ext4"},
		{"rw ro", true, "", "ext4"},
		{"rw rootflags=noatime,data=ordered", false, "data=ordered", "ext4"},
		{`"rootflags=commit=5,nodev"`, true, "commit=5", "ext4"},
		{"rootfstype=xfs,ext4", true, "", "xfs"},
		{"rootfstype=ext3", true, "", "ext4"},
	} {
		t.Run(tt.cmdline, func(t *testing.T) {
			m := machineWith("root=/dev/vda "+tt.cmdline, rootDisk())
			boot(t, m)
			started(t, m, "/dev/vda")
			got := m.Mounts[0]
			if got.Flags&1 != 0 != tt.readOnly || got.Data != tt.data || got.FSType != tt.types {
				t.Errorf("mounted %+v", got)
			}
		})
	}
}

func TestRootPluggedInLaterBoots(t *testing.T) {
	m := machineWith("root=LABEL=root", &sim.Disk{})
	m.At(15*time.Second, func() { m.Plug(rootDisk()) })
	boot(t, m)
	started(t, m, "/dev/vdb")
	if !strings.Contains(m.SaidText(), "waiting for") {
		t.Error("nothing was said in 15 seconds")
	}
}

func TestLostRootIsExplainedThenGivenUpThenBootsWhenItComes(t *testing.T) {
	m := machineWith("root=LABEL=root rd.shell=0", &sim.Disk{Content: sim.Ext4(usrUUID, "roof")})
	m.At(130*time.Second, func() { m.Plug(rootDisk()) })
	boot(t, m)
	started(t, m, "/dev/vdb")
	said := m.SaidText()
	for _, want := range []string{"waiting for", "Still waiting.", `labelled "root"`, "vda ", "differs in the last character", "The system cannot be started"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
	if m.Now() > 131*time.Second {
		t.Errorf("booted only at %v", m.Now())
	}
}

func TestNothingIsSaidForEver(t *testing.T) {
	m := machineWith("root=LABEL=nowhere rd.shell=0 panic=30", rootDisk())
	boot(t, m)
	if m.Stopped != machine.Reboot {
		t.Fatalf("stopped %q at %v", m.Stopped, m.Now())
	}
	if n := len(m.Said); n > 12 {
		t.Errorf("%d messages:\n%s", n, m.SaidText())
	}
	if at := m.Now().Round(time.Second); at != 120*time.Second {
		t.Errorf("rebooted at %v, want the 90 s of the goal and the 30 s of panic=", at)
	}
}

func TestAmbiguousRootIsNotGuessedAt(t *testing.T) {
	a, b := rootDisk(), rootDisk()
	m := machineWith("root=LABEL=root rd.shell=0", a, b)
	m.At(40*time.Second, func() {
		if len(m.Mounts) != 0 {
			t.Error("one of two was mounted")
		}
		if !strings.Contains(m.SaidText(), "2 devices have this name: /dev/vda, /dev/vdb") {
			t.Error(m.SaidText())
		}
		m.Unplug(a)
	})
	boot(t, m)
	started(t, m, "/dev/vdb")
}

func TestRootWithoutInitIsExplainedAndLookedAtAgainAfterTheShell(t *testing.T) {
	d := rootDisk()
	delete(d.Files, "/lib/systemd/systemd")
	m := machineWith("root=LABEL=root", d)
	m.ShellFor = time.Minute
	m.At(30*time.Second, func() {
		if m.Shells != 1 || !strings.Contains(m.SaidText(), "none of /sbin/init, /etc/init, /bin/init, /bin/sh") {
			t.Errorf("%d shells; said:\n%s", m.Shells, m.SaidText())
		}
		m.Core.Mounts([]string{"/", "/sysroot"}) // a mount elsewhere looks for nothing
	})
	lookups := func() int { return strings.Count(strings.Join(m.Finished, "\n"), "look for init /sbin/init") }
	m.At(40*time.Second, func() {
		if n := lookups(); n != 1 {
			t.Errorf("looked %d times although nothing has changed", n)
		}
		d.Files["/lib/systemd/systemd"] = "#!" // the person mends it
	})
	boot(t, m)
	started(t, m, "/dev/vda")
	if n := lookups(); n != 2 {
		t.Errorf("looked %d times", n)
	}
}

func TestSeparateUsr(t *testing.T) {
	root := &sim.Disk{Content: sim.Ext4(rootUUID, ""), Files: map[string]string{
		"/etc/fstab":  "UUID=" + usrUUID + " /usr ext4 defaults 0 2\nUUID=" + keyUUID + " /usr/local ext4 x-initrd.mount 0 0\n",
		"/sbin":       "-> usr/sbin",
		"/usr/.empty": ""}}
	usr := &sim.Disk{Content: sim.Ext4(usrUUID, ""), Files: map[string]string{"/sbin/init": "#!", "/local/.empty": ""}}
	local := &sim.Disk{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/x": ""}}
	m := machineWith("root=UUID="+rootUUID, local, root)
	m.At(3*time.Second, func() { m.Plug(usr) })
	boot(t, m)
	started(t, m, "/dev/vdb")
	var order []string
	for _, mt := range m.Mounts {
		order = append(order, mt.Target)
	}
	if want := []string{"/sysroot", "/sysroot/usr", "/sysroot/usr/local"}; !slices.Equal(order, want) {
		t.Errorf("mounted %v, want %v: what is mounted too early is hidden", order, want)
	}
}

func TestMountPointThatIsALinkStaysInsideTheRoot(t *testing.T) {
	root := rootDisk()
	root.Files["/etc/fstab"] = "UUID=" + usrUUID + " /var ext4 x-initrd.mount 0 0\n"
	root.Files["/var"] = "-> /data/var"
	root.Files["/data/var/.empty"] = ""
	m := machineWith("root=LABEL=root", root, &sim.Disk{Content: sim.Ext4(usrUUID, ""), Files: map[string]string{"/x": ""}})
	boot(t, m)
	started(t, m, "/dev/vda")
	if got := m.Mounts[len(m.Mounts)-1].Target; got != "/sysroot/data/var" {
		t.Errorf("mounted on %s", got)
	}
}

func TestNofailDoesNotHoldTheBootUp(t *testing.T) {
	root := rootDisk()
	root.Files["/etc/fstab"] = "UUID=" + usrUUID + " /srv ext4 x-initrd.mount,nofail 0 0\n"
	m := machineWith("root=LABEL=root", root)
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
}

func TestHibernatedSystemIsResumedBeforeAnythingIsWritten(t *testing.T) {
	root := rootDisk()
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID, root)
	m.At(20*time.Second, func() { m.Plug(&sim.Disk{Content: sim.Swap(swapUUID, true)}) })
	boot(t, m)
	if m.Resumed != "/dev/vdb" || root.Written != "" {
		t.Errorf("resumed from %q, root written to by %q", m.Resumed, root.Written)
	}
}

func TestResumeBehindAPassphraseIsWaitedForWhileItIsTyped(t *testing.T) {
	d := encryptedDisk(t)
	d.Inside = &sim.Disk{Content: sim.Swap(swapUUID, true)}
	root := rootDisk()
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID+" rd.luks.uuid="+luksUUID, d, root)
	m.Answer = types(passphrase, 5*time.Minute)
	boot(t, m)
	if m.Resumed != "/dev/dm-0" || root.Written != "" {
		t.Errorf("resumed from %q, root written to by %q; said:\n%s", m.Resumed, root.Written, m.SaidText())
	}
}

func TestResumeDeviceThatNeverComes(t *testing.T) {
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID, rootDisk())
	boot(t, m)
	started(t, m, "/dev/vda")
	if at := m.Now().Round(time.Second); at != 30*time.Second {
		t.Errorf("started at %v", at)
	}
}

func TestTwoResumeDevicesWithAnImageAreNotChosenFrom(t *testing.T) {
	root := rootDisk()
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID+" panic=1 rd.shell=0", root,
		&sim.Disk{Content: sim.Swap(swapUUID, true)}, &sim.Disk{Content: sim.Swap(swapUUID, true)})
	boot(t, m)
	if m.Resumed != "" || root.Written != "" || m.Stopped != machine.Reboot {
		t.Errorf("resumed %q, written %q, stopped %q", m.Resumed, root.Written, m.Stopped)
	}
	if !strings.Contains(m.SaidText(), "noresume") {
		t.Error(m.SaidText())
	}
}

func TestSwapWithoutImageCostsNoTime(t *testing.T) {
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID, rootDisk(), &sim.Disk{Content: sim.Swap(swapUUID, false)})
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
}

func TestBrokenFilesystemIsNotMountedAndNotCheckedAgainForEachEvent(t *testing.T) {
	root := rootDisk()
	checks := 0
	m := machineWith("root=LABEL=root rd.shell=0 panic=5", root)
	m.Image.Features = []string{"fsck"}
	m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/sbin/fsck.ext4": func(m *sim.Machine, _ []string) machine.Exit {
		checks++
		root.Written = "fsck"
		return machine.Exit{Code: 4, Output: "inode 7 is a mess"}
	}}
	for i := range 20 {
		m.At(time.Duration(i+1)*2*time.Second, func() { m.Change(root) })
	}
	boot(t, m)
	if len(m.Mounts) != 0 || !strings.Contains(m.SaidText(), "inode 7 is a mess") {
		t.Errorf("mounts %v, said:\n%s", m.Mounts, m.SaidText())
	}
	if checks > 21 {
		t.Errorf("%d checks for 21 events", checks)
	}
}

func TestDeviceThatDoesNotAnswerCostsTwoSecondsOnce(t *testing.T) {
	dead := &sim.Disk{}
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID, encryptedDisk(t), dead)
	m.Answer = types(passphrase, 0)
	m.Latency = func(what string) time.Duration {
		if what == "read /dev/vdb" {
			return time.Hour
		}
		return time.Millisecond
	}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if m.Now() > 3*time.Second {
		t.Errorf("started at %v", m.Now())
	}
}

func TestUnreadableDiskIsNamedWithItsReason(t *testing.T) {
	m := machineWith("root=LABEL=root rd.shell=0 panic=1", rootDisk())
	m.Fail = func(what string) error {
		if what == "read /dev/vda" {
			return errors.New("input/output error on /dev/vda")
		}
		return nil
	}
	boot(t, m)
	if !strings.Contains(m.SaidText(), "input/output error") {
		t.Error(m.SaidText())
	}
}

func TestBreakGivesOneShellAndStopsTheClock(t *testing.T) {
	m := machineWith("root=LABEL=root rd.break=pre-mount rd.timeout=10", rootDisk())
	m.ShellFor = 10 * time.Minute
	boot(t, m)
	started(t, m, "/dev/vda")
	if m.Shells != 1 {
		t.Errorf("%d shells", m.Shells)
	}
}

func TestEverythingThereWhileTheShellIsOpenWaitsForThePerson(t *testing.T) {
	m := machineWith("root=LABEL=root rd.timeout=10")
	m.ShellFor = 5 * time.Minute
	m.At(time.Minute, func() { m.Plug(rootDisk()) })
	boot(t, m)
	started(t, m, "/dev/vda")
	if !strings.Contains(m.SaidText(), "Leave the shell") || m.Now() < 5*time.Minute {
		t.Errorf("at %v said:\n%s", m.Now(), m.SaidText())
	}
}

func TestShellThatNobodyAsksForDoesNotHoldTheBoot(t *testing.T) {
	m := machineWith("root=LABEL=root rd.timeout=10")
	m.ShellFor, m.NobodyAtShell = time.Hour, true
	m.At(3*time.Minute, func() { m.Plug(rootDisk()) })
	boot(t, m)
	started(t, m, "/dev/vda")
	if m.Now() > 3*time.Minute+time.Second || m.Shells != 0 || strings.Contains(m.SaidText(), "Leave the shell") {
		t.Errorf("%d shells, started at %v; said:\n%s", m.Shells, m.Now(), m.SaidText())
	}
}

func TestPersonWhoComesForTheShellWhenAllIsThereKeepsIt(t *testing.T) {
	// The offer is taken at the very moment at which the root appears.
	for ms := range 40 {
		m := machineWith("root=LABEL=root rd.timeout=10")
		m.ShellFor, m.NobodyAtShell = time.Minute, true
		m.At(20*time.Second, func() { m.Plug(rootDisk()) })
		m.At(20*time.Second+time.Duration(ms)*5*time.Millisecond, func() { m.PressEnter() })
		boot(t, m)
		started(t, m, "/dev/vda")
		if stayed := m.Now() >= 80*time.Second; stayed != (m.Shells == 1) {
			t.Errorf("%d ms: %d shells, started at %v", ms*5, m.Shells, m.Now())
		}
	}
}

func TestSwitchRootThatFailsIsTriedAgainAfterTheShell(t *testing.T) {
	m := machineWith("root=LABEL=root", rootDisk())
	m.ShellFor = time.Minute
	n := 0
	m.Fail = func(what string) error {
		if strings.HasPrefix(what, "switch root") {
			if n++; n == 1 {
				return errors.New("it needs /lib64/ld-linux-x86-64.so.2: no such file")
			}
		}
		return nil
	}
	boot(t, m)
	started(t, m, "/dev/vda")
	if n != 2 || !strings.Contains(m.SaidText(), "ld-linux") {
		t.Errorf("%d attempts; said:\n%s", n, m.SaidText())
	}
}

func TestCtrlAltDelReboots(t *testing.T) {
	m := machineWith("root=LABEL=nowhere")
	m.At(3*time.Second, func() { m.Core.CtrlAltDel() })
	boot(t, m)
	if m.Stopped != machine.Reboot {
		t.Errorf("stopped %q", m.Stopped)
	}
}

func TestSameSeedSameJournal(t *testing.T) {
	run := func(seed uint64) []byte {
		m := machineWith("root=LABEL=root resume=UUID="+swapUUID+" rd.luks.uuid="+luksUUID, encryptedDisk(t),
			&sim.Disk{Content: sim.Swap(swapUUID, false)}, &sim.Disk{}, &sim.Disk{Content: sim.Ext4(usrUUID, "")})
		m.Seed = seed
		m.Answer = types(passphrase, time.Second)
		boot(t, m)
		started(t, m, "/dev/dm-0")
		return m.Journal
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		a := run(seed)
		runtime.GOMAXPROCS(8)
		if b := run(seed); !bytes.Equal(a, b) {
			t.Fatalf("seed %d gave two journals", seed)
		}
		seen[string(a)] = true
	}
	if len(seen) < 15 {
		t.Errorf("20 seeds gave only %d journals", len(seen))
	}
}

// Every order in which devices appear and operations end leads to the same
// system.
func TestEveryOrderEndsInTheSameRoot(t *testing.T) {
	for _, l := range []struct {
		name, cmdline string
		root          string
		disks         func() []*sim.Disk
	}{
		{"plain", "root=UUID=" + rootUUID, "root", func() []*sim.Disk {
			return []*sim.Disk{rootDisk(), {Content: sim.Ext4(usrUUID, "other")}, {}, {Content: sim.Swap(swapUUID, false)}}
		}},
		{"luks with its key elsewhere", "root=UUID=" + rootUUID + " rd.luks.uuid=" + luksUUID + " rd.luks.key=/key:UUID=" + keyUUID, "dm", func() []*sim.Disk {
			return []*sim.Disk{encryptedDisk(t), {Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/key": passphrase}}, {}}
		}},
		{"separate usr", "root=UUID=" + rootUUID, "root", func() []*sim.Disk {
			r := rootDisk()
			r.Files["/etc/fstab"] = "UUID=" + usrUUID + " /usr ext4 defaults 0 2\n"
			return []*sim.Disk{r, {Content: sim.Ext4(usrUUID, ""), Files: map[string]string{"/x": ""}}, {}}
		}},
		{"resume and root", "root=UUID=" + rootUUID + " resume=UUID=" + swapUUID, "root", func() []*sim.Disk {
			return []*sim.Disk{rootDisk(), {Content: sim.Swap(swapUUID, false)}, {}}
		}},
	} {
		t.Run(l.name, func(t *testing.T) {
			n := len(l.disks())
			for order := range testtool.Permutations(n) {
				for seed := range uint64(6) {
					disks := l.disks()
					m := machineWith(l.cmdline)
					m.Seed = seed
					for i, which := range order {
						// Some before the walk of sysfs, some while it runs, some after.
						m.At(time.Duration(i)*time.Duration(seed*3)*time.Millisecond, func() { m.Plug(disks[which]) })
					}
					boot(t, m)
					want := "/dev/dm-0"
					if l.root == "root" {
						want = "/dev/" + disks[0].Name
					}
					started(t, m, want)
					noTimer(t, m)
					if t.Failed() {
						t.Fatalf("order %v, seed %d", order, seed)
					}
				}
			}
		})
	}
}

// rd.udev.log_level=debug leaves what the rules made of each device in the
// journal; without it nothing of the kind is there.
func TestWhatTheRulesDecideIsRecordedOnDemand(t *testing.T) {
	for _, cmdline := range []string{"", " rd.udev.log_level=debug", " rd-debug-udev", " udev.log_level=7"} {
		m := machineWith("root=LABEL=root"+cmdline, rootDisk())
		boot(t, m)
		started(t, m, "/dev/vda")
		records := grep(m.Journal, "\trules\t")
		if strings.Contains(records, "\tID_FS_TYPE=ext4\t") != (cmdline != "") || strings.Contains(records, "link=/dev/disk/by-label/root") != (cmdline != "") {
			t.Errorf("%q: %q", cmdline, records)
		}
	}
}
