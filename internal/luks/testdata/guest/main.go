// Command guest is PID 1 of the virtual machine in which the parts that talk
// to the kernel are tried: it unlocks and maps volumes that cryptsetup made,
// and lets cryptsetup map the same ones. Each result is a line on the console:
// "PASS name" or "FAIL name: why".
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/afalg"
	"firstlight/internal/devmapper"
	"firstlight/internal/keyring"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
)

func main() {
	run("setup", setup)
	for _, v := range volumes {
		run(v.name, func() error { return try(v) })
	}
	run("control", control)
	// What takes minutes is asked for on the kernel's command line.
	if b, _ := os.ReadFile("/proc/cmdline"); strings.Contains(string(b), "flt.full") {
		run("plain", comparePlain)
		for _, v := range costs {
			run("time-"+v.name, func() error { return compareTime(v) })
		}
	}
	fmt.Println("DONE")
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run(name string, f func() error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Printf("FAIL %s: panic: %v\n%s\n", name, p, debug.Stack())
		}
	}()
	if err := f(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " / "))
		return
	}
	fmt.Printf("PASS %s\n", name)
}

func setup() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}} {
		os.MkdirAll(m[1], 0o755)
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	// Before its module is loaded the driver must be reported as missing,
	// not as some failure.
	if _, err := devmapper.Open("/dev/mapper/control"); !errors.Is(err, devmapper.ErrNoDriver) {
		return fmt.Errorf("without dm-mod: %v", err)
	}
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

type volume struct {
	name, pass string
	args       []string
}

var volumes = []volume{
	{"luks2-aes-4096", "one", []string{"--type", "luks2", "--sector-size", "4096"}},
	{"luks2-aes-512", "two", []string{"--type", "luks2", "--sector-size", "512"}},
	{"luks2-serpent", "three", []string{"--type", "luks2", "--cipher", "serpent-xts-plain64", "--key-size", "512"}},
	{"luks1-aes-essiv", "four", []string{"--type", "luks1", "--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"}},
	{"luks1-twofish-essiv", "five", []string{"--type", "luks1", "--cipher", "twofish-cbc-essiv:sha256", "--key-size", "256"}},
	{"luks1-null", "", []string{"--type", "luks1", "--cipher", "cipher_null-ecb", "--key-size", "256"}},
}

const diskSize = 16 << 20

// tool runs one of the tools; there is no udev that it could wait for.
func tool(stdin string, args ...string) (string, error) {
	cmd := exec.Command("/sbin/"+args[0], args[1:]...)
	cmd.Env = []string{"DM_DISABLE_UDEV=1", "PATH=/sbin", "LD_LIBRARY_PATH=/lib"}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func loop(path string) (string, func(), error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", nil, err
	}
	defer ctl.Close()
	n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", nil, err
	}
	dev := "/dev/loop" + strconv.Itoa(n)
	l, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		return "", nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(l.Fd()), unix.LOOP_SET_FD, int(f.Fd())); err != nil {
		return "", nil, err
	}
	return dev, func() { unix.IoctlSetInt(int(l.Fd()), unix.LOOP_CLR_FD, 0); l.Close() }, nil
}

func try(v volume) error {
	path := "/run/" + v.name
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(path, diskSize); err != nil {
		return err
	}
	dev, detach, err := loop(path)
	if err != nil {
		return fmt.Errorf("loop: %w", err)
	}
	defer detach()
	args := append([]string{"cryptsetup", "luksFormat", "-q", "--key-file", "-", "--pbkdf-force-iterations", "1000"}, v.args...)
	if v.args[1] == "luks2" {
		args = append(args, "--pbkdf", "pbkdf2", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "2m")
	}
	if v.pass == "" { // an empty key file is refused, an empty line is not
		if _, err := tool("\n", append([]string{"cryptsetup", "luksFormat", "-q", "--pbkdf-force-iterations", "1000"}, append(v.args, dev)...)...); err != nil {
			return err
		}
	} else if _, err := tool(v.pass, append(args, dev)...); err != nil {
		return err
	}

	// Ours first: map it, write through the mapping.
	info, table, uuid, err := activate(v, dev)
	if err != nil {
		return err
	}
	node := "/dev/dm-" + strconv.Itoa(int(info.Dev.Minor))
	data := bytes.Repeat([]byte("firstlight-"+v.name+"\n"), 4096)[:16384]
	if err := write(node, data); err != nil {
		return err
	}
	ours, err := tool("", "dmsetup", "table", v.name)
	if err != nil {
		return err
	}
	ourInfo, err := tool("", "dmsetup", "info", "-c", "--noheadings", "-o", "uuid,attr,segments", v.name)
	if err != nil {
		return err
	}
	ctl, err := devmapper.Open(devmapper.Path)
	if err != nil {
		return err
	}
	defer ctl.Close()
	live, err := ctl.Table(devmapper.ByUUID(uuid))
	if err != nil || len(live) != 1 || live[0].Length != table[0].Length {
		return fmt.Errorf("live table %v, %w", live, err)
	}
	deps, err := ctl.Deps(devmapper.ByName(v.name))
	if err != nil || len(deps) != 1 || deps[0].Major != 7 {
		return fmt.Errorf("dependencies %v, %w", deps, err)
	}
	if err := remove(ctl, v.name); err != nil {
		return err
	}

	// The same by cryptsetup.
	if v.pass == "" {
		_, err = tool("\n", "cryptsetup", "open", dev, v.name)
	} else {
		_, err = tool(v.pass, "cryptsetup", "open", "--key-file", "-", dev, v.name)
	}
	if err != nil {
		return err
	}
	theirs, err := tool("", "dmsetup", "table", v.name)
	if err != nil {
		return err
	}
	theirInfo, err := tool("", "dmsetup", "info", "-c", "--noheadings", "-o", "uuid,attr,segments", v.name)
	if err != nil {
		return err
	}
	if ours != theirs {
		return fmt.Errorf("table %q, cryptsetup's %q", ours, theirs)
	}
	if ourInfo != theirInfo {
		return fmt.Errorf("info %q, cryptsetup's %q", ourInfo, theirInfo)
	}
	their, err := ctl.Info(devmapper.ByName(v.name))
	if err != nil {
		return err
	}
	got := make([]byte, len(data))
	f, err := os.Open("/dev/dm-" + strconv.Itoa(int(their.Dev.Minor)))
	if err != nil {
		return err
	}
	_, err = f.ReadAt(got, 0)
	f.Close()
	if err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("what was written through our mapping is not what cryptsetup's mapping has (%v)", err)
	}
	_, err = tool("", "cryptsetup", "close", v.name)
	return err
}

func write(node string, data []byte) error {
	f, err := os.OpenFile(node, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Close())
}

func activate(v volume, dev string) (info devmapper.Info, table []devmapper.Target, uuid string, err error) {
	f, err := os.Open(dev)
	if err != nil {
		return
	}
	defer f.Close()
	h, err := luksfmt.Read(f)
	if err != nil {
		return
	}
	opt := luks.Options{Ciphers: afalg.Ciphers{}, FreeMemory: debug.FreeOSMemory}
	if _, err = luks.Open(context.Background(), h, f, []byte("wrong"), opt); !errors.Is(err, luks.ErrWrongPassphrase) {
		err = fmt.Errorf("wrong passphrase: %w", err)
		return
	}
	key, err := luks.Open(context.Background(), h, f, []byte(v.pass), opt)
	if err != nil {
		return
	}
	defer key.Wipe()
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err != nil {
		return
	}
	o := luks.MapOptions{Device: fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), DeviceSize: diskSize, Key: key.KeyRef()}
	if h.Version == 2 {
		o.Key = key.KeyringRef(h)
	}
	if table, err = luks.Table(h, o); err != nil {
		return
	}
	ctl, err := devmapper.Open(devmapper.Path)
	if err != nil {
		return
	}
	defer ctl.Close()
	events, err := listen()
	if err != nil {
		return
	}
	defer unix.Close(events)
	cookie := devmapper.NewCookie(0x4711, 0)
	uuid = luks.DMUUID(h, v.name)
	act := func() (err error) {
		info, err = devmapper.Activate(ctl, v.name, uuid, table, false, cookie)
		return err
	}
	if h.Version == 2 {
		err = keyring.With(key.KeyDescription(h), key.Bytes(), act)
	} else {
		err = act()
	}
	devmapper.Wipe(table)
	if err != nil {
		return
	}
	if !info.Live || info.Suspended || !info.UeventFired || info.Name != v.name || info.UUID != uuid {
		err = fmt.Errorf("info %+v", info)
		return
	}
	if h.Version == 2 {
		// The key must be gone: loading the table again cannot work.
		if _, err2 := ctl.Load(devmapper.ByName(v.name), table, devmapper.LoadOptions{}); err2 == nil {
			err = errors.New("the key is still in the keyring")
			return
		}
	}
	err = expect(events, "change@/devices/virtual/block/dm-", "DM_COOKIE="+cookie.String())
	return
}

// listen opens the kernel's uevent socket.
func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
}

// expect says whether a uevent that came so far begins and ends so.
func expect(fd int, head, property string) error {
	var seen []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return fmt.Errorf("no uevent %s… with %s; seen: %q", head, property, seen)
		}
		text := string(buf[:n])
		if strings.HasPrefix(text, head) && strings.Contains(text+"\x00", "\x00"+property+"\x00") {
			return nil
		}
		seen = append(seen, text)
	}
}

func remove(ctl *devmapper.Control, name string) error {
	events, err := listen()
	if err != nil {
		return err
	}
	defer unix.Close(events)
	c := devmapper.NewCookie(0x0815, 0)
	if _, err := ctl.Remove(devmapper.ByName(name), devmapper.RemoveOptions{Cookie: c}); err != nil {
		return err
	}
	if _, err := ctl.Info(devmapper.ByName(name)); !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("after its removal: %v", err)
	}
	return expect(events, "remove@/devices/virtual/block/dm-", "DM_COOKIE="+c.String())
}

// control tries the rest of the interface: linear, striped, many targets.
func control() error {
	ctl, err := devmapper.Open(devmapper.Path)
	if err != nil {
		return err
	}
	defer ctl.Close()
	v, err := ctl.Version()
	if err != nil || !v.AtLeast(4, 40, 0) {
		return fmt.Errorf("version %v, %w", v, err)
	}
	targets, err := ctl.Targets()
	if err != nil {
		return err
	}
	names := ""
	for _, t := range targets {
		names += t.Name + " "
	}
	for _, want := range []string{"crypt ", "linear ", "striped ", "error "} {
		if !strings.Contains(names, want) {
			return fmt.Errorf("targets %q lack %q", names, want)
		}
	}
	if l, err := ctl.Devices(); err != nil || len(l) != 0 {
		return fmt.Errorf("devices %v, %w", l, err)
	}
	os.WriteFile("/run/a", nil, 0o600)
	if err := os.Truncate("/run/a", 8<<20); err != nil {
		return err
	}
	dev, detach, err := loop("/run/a")
	if err != nil {
		return err
	}
	defer detach()

	// More targets than one buffer holds: the answer makes it grow.
	var table []devmapper.Target
	for i := range uint64(1000) {
		t, err := devmapper.Linear(i*8, 8, dev, i*8)
		if err != nil {
			return err
		}
		table = append(table, t)
	}
	mangled, err := devmapper.Mangle("many lines")
	if err != nil {
		return err
	}
	info, err := devmapper.Activate(ctl, mangled, "", table, true, 0)
	if err != nil {
		return err
	}
	if !info.ReadOnly || info.Targets != 1000 || devmapper.Unmangle(info.Name) != "many lines" || info.UUID != "" {
		return fmt.Errorf("info %+v", info)
	}
	live, err := ctl.Table(devmapper.ByDev(info.Dev.Major, info.Dev.Minor))
	if err != nil || len(live) != 1000 || live[999].Start != 7992 || live[999].Type != "linear" {
		return fmt.Errorf("%d live targets, %w", len(live), err)
	}
	if s, err := ctl.Status(devmapper.ByName(mangled)); err != nil || len(s) != 1000 {
		return fmt.Errorf("%d states, %w", len(s), err)
	}
	// Many devices with long names: the listing grows as well.
	const many = 200
	for i := range many {
		name := strings.Repeat("n", 120) + strconv.Itoa(i)
		if _, err := ctl.Create(name, ""); err != nil {
			return err
		}
	}
	l, err := ctl.Devices()
	if err != nil || len(l) != many+1 {
		return fmt.Errorf("%d devices, %w", len(l), err)
	}
	for _, d := range l {
		if _, err := ctl.Remove(devmapper.ByName(d.Name), devmapper.RemoveOptions{}); err != nil {
			return err
		}
	}
	s, err := devmapper.Striped(0, 4096, 64, []devmapper.Stripe{{Device: dev}, {Device: dev, Offset: 4096}})
	if err != nil {
		return err
	}
	if _, err := devmapper.Activate(ctl, "striped", "LVM-x", []devmapper.Target{s}, false, 0); err != nil {
		return err
	}
	if _, err := devmapper.Activate(ctl, "striped", "", []devmapper.Target{s}, false, 0); !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("the same name twice: %v", err)
	}
	if i, err := ctl.Suspend(devmapper.ByName("striped"), devmapper.SuspendOptions{}); err != nil || !i.Suspended {
		return fmt.Errorf("suspend: %+v, %w", i, err)
	}
	if i, err := ctl.Load(devmapper.ByName("striped"), table, devmapper.LoadOptions{}); err != nil || !i.Inactive {
		return fmt.Errorf("load: %+v, %w", i, err)
	}
	if i, err := ctl.Clear(devmapper.ByUUID("LVM-x")); err != nil || i.Inactive {
		return fmt.Errorf("clear: %+v, %w", i, err)
	}
	if i, err := ctl.Resume(devmapper.ByUUID("LVM-x"), devmapper.ResumeOptions{}); err != nil || i.Suspended {
		return fmt.Errorf("resume: %+v, %w", i, err)
	}
	// A table that the kernel refuses leaves nothing behind.
	bad, err := devmapper.Linear(0, 8, "240:7", 0)
	if err != nil {
		return err
	}
	if _, err := devmapper.Activate(ctl, "bad", "", []devmapper.Target{bad}, false, 0); err == nil {
		return errors.New("a table on a device that does not exist is taken")
	}
	if _, err := ctl.Info(devmapper.ByName("bad")); !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("after a failed activation: %v", err)
	}
	_, err = ctl.Remove(devmapper.ByName("striped"), devmapper.RemoveOptions{Deferred: true})
	return err
}
