package iscsihelper

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/iscsiup"
	"firstlight/internal/netconf"
)

func TestUnitsOfASession(t *testing.T) {
	sys := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	session := func(n int, name, addr, port string) string {
		s := fmt.Sprintf("class/iscsi_session/session%d/", n)
		write(s+"targetname", name)
		c := fmt.Sprintf("class/iscsi_connection/connection%d:0/", n)
		write(c+"persistent_address", addr)
		write(c+"persistent_port", port)
		return s + fmt.Sprintf("device/target%d:0:0/", n)
	}
	one := session(1, "iqn.a", "10.0.0.1", "3260")
	write(one+"1:0:0:0/type", "12")
	write(one+"1:0:0:1/block/sda/size", "8")
	write(one+"1:0:0:257/block/sdb/size", "8")
	two := session(2, "iqn.a", "10.0.0.1", "3261")
	write(two+"2:0:0:1/block/sdc/size", "8")
	session(3, "iqn.b", "10.0.0.1", "3260")
	for _, c := range []struct {
		name string
		port uint16
		lun  uint64
		want string
	}{
		{"iqn.a", 3260, 1, "[0 1 257] 2 /dev/sda"}, {"iqn.a", 3260, 0x101, "[0 1 257] 2 /dev/sdb"}, {"iqn.a", 3261, 1, "[1] 1 /dev/sdc"},
		{"iqn.a", 3260, 0, "[0 1 257] 2 "}, {"iqn.b", 3260, 1, "[] 0 "}, {"iqn.c", 3260, 1, "[] 0 "},
	} {
		x := iscsiup.Target{ISCSITarget: netconf.ISCSITarget{Name: c.name, Port: c.port, LUN: c.lun << 48}, Server: netip.MustParseAddr("10.0.0.1")}
		units, disks, device := find(sys, x)
		if got := fmt.Sprint(units, " ", disks, " ", device); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Another iscsid is found by its name, and our own is none.
func TestAnotherISCSID(t *testing.T) {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(proc)
	if runs(proc) {
		t.Skip("this machine runs iscsid")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "iscsid")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, other := range []bool{false, true} {
		cmd := exec.Command(name, "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: other}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if runs(proc) != other {
			t.Errorf("in a session of its own %t: %t", other, !other)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}

func TestEventsOfProcesses(t *testing.T) {
	b := make([]byte, execProcess+8)
	binary.NativeEndian.PutUint32(b[headers:], kindExec)
	binary.NativeEndian.PutUint32(b[execProcess:], 77)
	if pid, ok := executed(b); pid != 77 || !ok {
		t.Error(pid, ok)
	}
	binary.NativeEndian.PutUint32(b[headers:], 1)
	if _, ok := executed(b); ok {
		t.Error("a fork is taken for an execution")
	}
	if _, ok := executed(b[:20]); ok {
		t.Error("what is cut off is taken")
	}
}
