package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firstlight/internal/postmortem"
	"firstlight/internal/sim"
	"firstlight/internal/uevent"
)

const (
	store   = "/dev/pmsg0"
	espType = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
)

// fails boots a machine whose root is not there until it gives up.
func fails(t *testing.T, cmdline string, disks ...*sim.Disk) *sim.Machine {
	t.Helper()
	m := machineWith("root=UUID="+keyUUID+" rd.timeout=20 "+cmdline, disks...)
	m.Files = map[string]string{"/run/firstlight/journal": "firstlight-journal 1\n1\t0\t0\tsay\t\tx\n"}
	if err := m.Boot(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	replays(t, m)
	return m
}

// Who resets a machine whose boot failed finds the reason afterwards.
func TestFailureIsKeptWhereItSurvives(t *testing.T) {
	m := fails(t, "", rootDisk())
	notes := postmortem.Find(m.Saved[store])
	if len(notes) != 1 || !strings.Contains(notes[0], "UUID "+keyUUID) || !strings.HasSuffix(notes[0], "\tsay\t\tx\n") {
		t.Errorf("%q", notes)
	}
	if n := strings.Count(string(m.Journal), "\tkeep the failure in"); n != 1 {
		t.Errorf("it was kept %d times", n)
	}
	if len(m.Saved) != 1 {
		t.Errorf("%d places were written to", len(m.Saved))
	}
}

func TestMachineWithoutAStoreIsNoFault(t *testing.T) {
	m := machineWith("root=UUID="+keyUUID+" rd.timeout=20", rootDisk())
	m.NoStore = true
	boot(t, m)
	if len(m.Saved) != 0 || strings.Contains(string(m.Journal), "\twarning\t") {
		t.Error(grep(m.Journal, "warning"))
	}
}

func TestStoreOfItsOwnSize(t *testing.T) {
	m := machineWith("root=UUID="+keyUUID+" rd.timeout=20", rootDisk())
	m.Files = map[string]string{"/sys/module/ramoops/parameters/pmsg_size": "1024\n",
		"/run/firstlight/journal": strings.Repeat("1\t0\t0\tsay\t\tx\n", 1000)}
	boot(t, m)
	if n := len(m.Saved[store]); n == 0 || n > 1024-64 {
		t.Errorf("%d bytes", n)
	}
}

// Where programs cannot write to the store, the kernel's log goes there as the
// machine stops: with the failure in it, and only where there was one.
func TestFailureIsKeptInTheKernelsLog(t *testing.T) {
	logs := func(cmdline string) *sim.Machine {
		m := machineWith("root=UUID="+keyUUID+" rd.timeout=20 rd.emergency=reboot "+cmdline, rootDisk())
		m.NoStore, m.LogStore = true, true
		m.Files = map[string]string{"/proc/sys/kernel/random/boot_id": "b-1\n", "/sys/class/rtc/rtc0/date": "2026-01-02\n", "/sys/class/rtc/rtc0/time": "03:04:05\n"}
		boot(t, m)
		replays(t, m)
		return m
	}
	m := logs("")
	notes := postmortem.Gather(m.Saved["/dev/kmsg"])
	if len(notes) != 1 || !strings.Contains(notes[0], "2026-01-02 03:04:05 by the machine's clock, boot b-1\nThe system cannot be started.\n") || postmortem.BootID(notes[0]) != "b-1" {
		t.Errorf("%q", notes)
	}
	if !m.LogKept || m.Stopped == "" || len(m.Saved) != 1 || strings.Contains(string(m.Journal), "\twarning\t") {
		t.Errorf("kept %v, stopped %v, %d places\n%s", m.LogKept, m.Stopped, len(m.Saved), grep(m.Journal, "warning"))
	}
	if m := logs("rd.firstlight.save=no"); m.LogKept || len(m.Saved) != 0 {
		t.Errorf("%v %q", m.LogKept, m.Saved)
	}
}

// What was missing comes after all: the real system stops the machine, and what
// the kernel keeps then is its own affair.
func TestBootThatGoesOnLeavesTheStoreAlone(t *testing.T) {
	m := machineWith("root=UUID=" + rootUUID + " rd.timeout=20 panic=120")
	m.NoStore, m.LogStore = true, true
	m.At(60*time.Second, func() {
		if !m.LogKept {
			t.Error("the failure is not kept")
		}
		m.Plug(rootDisk())
	})
	boot(t, m)
	replays(t, m)
	if m.Started == nil || m.LogKept {
		t.Errorf("started %v, kept %v", m.Started, m.LogKept)
	}
}

func TestFailureIsKeptNowhereWhenToldSo(t *testing.T) {
	if m := fails(t, "rd.firstlight.save=no", rootDisk()); len(m.Saved) != 0 {
		t.Errorf("%q", m.Saved)
	}
}

func TestFailureIsKeptInAVariable(t *testing.T) {
	m := fails(t, "rd.firstlight.save=efi", rootDisk())
	b := m.Saved["/run/firstlight/efivars/"+postmortem.Variable]
	if !strings.HasPrefix(string(b), "\x07\x00\x00\x00firstlight-failure 1 ") || len(postmortem.Find(b)) != 1 || len(b) > 4+4096 {
		t.Errorf("%q\n%s", b, grep(m.Journal, "variable"))
	}
}

// Nothing is written to a disk without being asked for, before the resume is
// settled, or where it is not clear to which.
func TestESPIsWrittenToOnlyWhenItIsCertain(t *testing.T) {
	m := fails(t, "rd.firstlight.save=esp", rootDisk())
	if len(m.Mounts) != 0 || !strings.Contains(string(m.Journal), "not kept on the EFI system partition: there are 0") {
		t.Errorf("%v\n%s", m.Mounts, grep(m.Journal, "EFI"))
	}
	// A partition of that type, once and then twice.
	for n := 1; n <= 2; n++ {
		m = machineWith("root=UUID="+keyUUID+" rd.timeout=20 rd.firstlight.save=esp", rootDisk())
		for i := range n {
			name := "vd" + string(rune('b'+i))
			d := &sim.Disk{Name: name, Files: map[string]string{}}
			m.Plug(d)
			m.At(time.Second, func() {
				m.Core.Uevent(&uevent.Message{Action: "change", Devpath: fmt.Sprintf("/devices/pci0000:00/0000:00:%02x.0/virtio%d/block/%s", i+2, i+2, name),
					Props: map[string]string{"ACTION": "change", "SUBSYSTEM": "block", "DEVTYPE": "disk", "DEVNAME": "/dev/" + name, "MAJOR": "254", "MINOR": fmt.Sprint(16 * (i + 2)),
						"ID_FS_TYPE": "vfat", "ID_PART_ENTRY_TYPE": espType}})
			})
		}
		boot(t, m)
		if want := 2 - n; len(m.Mounts) != want || want == 1 && (m.Mounts[0].Source != "/dev/vdb" || m.Mounts[0].Target != "/run/firstlight/esp" || m.Mounts[0].FSType != "vfat") {
			t.Errorf("%d partitions: %v\n%s", n, m.Mounts, grep(m.Journal, "EFI"))
		}
	}
	m = fails(t, "rd.firstlight.save=esp,pstore resume=UUID="+swapUUID+" rd.luks.uuid="+luksUUID, rootDisk())
	if len(m.Mounts) != 0 || m.Saved[store] == nil {
		t.Errorf("%v", m.Mounts)
	}
}
