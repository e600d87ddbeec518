package mdexternal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/machine"
)

const size = 4 << 20

// member is a disk with Intel's metadata.
func member(name string) handlertest.Disk {
	b := make([]byte, size)
	copy(b[size-1024:], "Intel Raid ISM Cfg Sig. 1.3.00")
	return handlertest.Disk{Name: name, Content: bytes.NewReader(b), Size: size}
}

// firmware plays mdadm and mdmon for one container, md127, with a mirror of
// two disks in it, md126.
type firmware struct {
	m        *handlertest.Machine
	disks    []string
	monitors []string
	log      string // the policy against the write hole
}

func (f *firmware) state() string {
	if f.monitors != nil {
		return "read-auto"
	}
	return "readonly"
}

func (f *firmware) start(degraded string) {
	f.m.Appear(handlertest.Disk{Name: "md126", Attrs: map[string]string{"md/metadata_version": "external:/md127/0", "md/array_state": f.state(),
		"md/level": "raid1", "md/raid_disks": "2", "md/degraded": degraded}}, f.disks...)
}

func (f *firmware) mdadm(args, env []string) machine.Exit {
	target := args[len(args)-1]
	for i, a := range args { // what follows are links
		if strings.HasPrefix(a, "/dev/") {
			target = args[i]
			break
		}
	}
	switch {
	case slices.Contains(args, "--examine") && !slices.Contains(args, "--brief"):
		return machine.Exit{Output: "          Magic : Intel Raid ISM Cfg Sig.\n[v]:\n       RWH Policy : " + f.log + "\n      Volume ID : 1\n"}
	case slices.Contains(args, "--examine"):
		return machine.Exit{Output: "ARRAY metadata=imsm UUID=11111111:22222222:33333333:44444444\nARRAY /dev/md/v container=1 member=0 UUID=11111111:22222222:33333333:55555555\n"}
	case !slices.Contains(args, "--incremental"):
		return machine.Exit{Code: 2}
	}
	if !slices.Contains(env, "MDADM_NO_MDMON=1") {
		f.monitors = []string{"md127"}
	}
	if slices.Contains(args, "--run") {
		f.start("1")
		return machine.Exit{}
	}
	f.disks = append(f.disks, strings.TrimPrefix(target, "/dev/"))
	f.m.Appear(handlertest.Disk{Name: "md127", Attrs: map[string]string{"md/metadata_version": "external:imsm", "md/array_state": "inactive"}}, f.disks...)
	if len(f.disks) == 2 {
		f.start("0")
	}
	return machine.Exit{}
}

func (f *firmware) mdmon(args, _ []string) machine.Exit {
	f.monitors = append(f.monitors, args[len(args)-1])
	return machine.Exit{}
}

func boot(t *testing.T, cmdline string) (*handlertest.Boot, *firmware) {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{Full: true}, func(w *handler.World) func() { New(w); return nil })
	f := &firmware{m: b.Machine}
	b.Machine.Programs = map[string]func(args, env []string) machine.Exit{"/usr/sbin/mdadm": f.mdadm, "/sbin/mdmon": f.mdmon}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(b.Machine.Ran, "\n"))
			b.Dump()
		}
	})
	return b, f
}

func settle(b *handlertest.Boot) {
	b.World().ResumeSettled = true
	b.World().Sched.Notify(handler.TopicResumeSettled)
	b.Run()
}

func gate(b *handlertest.Boot, node string) string {
	topic, _, _ := b.World().Gates[0](b.World().Devices.ByName(node))
	return topic
}

func TestWholeContainerIsStartedWithItsMonitor(t *testing.T) {
	b, f := boot(t, "")
	settle(b)
	b.Add(member("sda"))
	if fact := b.Fact("firmware RAID md127"); fact.Condition != goal.Incomplete || fact.Until == 0 {
		t.Errorf("with one disk: %+v", fact)
	}
	b.Add(member("sdb"))
	if fact := b.Fact("firmware RAID md127"); fact.Condition != goal.Present || !strings.Contains(fact.Text, "md126 runs") {
		t.Errorf("with both: %+v", fact)
	}
	// mdadm and mdmon write to the disks, of which the kernel tells.
	b.Change(member("sda"))
	b.Change(member("sdb"))
	if fact := b.Fact("/dev/sda"); fact.Subject != "" {
		t.Errorf("a disk in use: %+v", fact)
	}
	if s := b.Core.Stats(); s.Fired != 0 || len(f.monitors) != 1 || gate(b, "/dev/md126") != "" {
		t.Errorf("%d deadlines passed, monitors %v", s.Fired, f.monitors)
	}
	if got := b.Machine.Ran; len(got) != 2 || !strings.Contains(got[0], "mdadm --incremental --offroot /dev/sda") {
		t.Errorf("ran %q", got)
	}
}

// Nothing is written, and nothing mounted, before it is known that nothing is
// to be resumed.
func TestResumeComesFirst(t *testing.T) {
	b, f := boot(t, "")
	b.Add(member("sda"), member("sdb"))
	for _, call := range b.Machine.Ran {
		if !strings.Contains(call, "--examine") && !strings.HasPrefix(call, "MDADM_NO_MDMON=1 ") {
			t.Errorf("%q", call)
		}
	}
	if f.monitors != nil || gate(b, "/dev/md126") == "" || gate(b, "/dev/sda") != "" {
		t.Errorf("monitors %v, gate %q", f.monitors, gate(b, "/dev/md126"))
	}
	settle(b)
	if !slices.Equal(f.monitors, []string{"md127"}) || gate(b, "/dev/md126") != "" {
		t.Errorf("then: monitors %v, gate %q", f.monitors, gate(b, "/dev/md126"))
	}
}

func TestArrayWithALogIsNotStartedBeforeResumeIsSettled(t *testing.T) {
	b, f := boot(t, "")
	f.log = "PPL distributed"
	b.Add(member("sda"), member("sdb"))
	if fact := b.Fact("/dev/sda of a firmware RAID"); f.disks != nil || !strings.Contains(fact.Text, "writes to its log") {
		t.Errorf("told of %v, fact %+v", f.disks, fact)
	}
	settle(b)
	if fact := b.Fact("/dev/sda of a firmware RAID"); len(f.disks) != 2 || fact.Subject != "" || len(f.monitors) == 0 {
		t.Errorf("then: told of %v, fact %+v", f.disks, fact)
	}
}

func TestMissingDisk(t *testing.T) {
	for _, c := range []struct {
		cmdline        string
		started, watch bool
	}{
		{"", true, true}, {"rd.md.degraded=5,ro", true, false}, {"rd.md.degraded=never", false, true},
	} {
		b, f := boot(t, c.cmdline)
		settle(b)
		b.Add(member("sda"))
		b.Pass(time.Hour)
		started := slices.ContainsFunc(b.Machine.Ran, func(s string) bool { return strings.Contains(s, "--incremental --run --offroot /dev/md127") })
		if started != c.started || b.Said("degraded") != c.started {
			t.Errorf("%q: started %t: %q", c.cmdline, started, b.Machine.Ran)
		}
		frozen := slices.ContainsFunc(b.Machine.Ran, func(s string) bool { return strings.HasPrefix(s, "MDADM_NO_MDMON=1 ") && strings.Contains(s, "--run") })
		if c.started && frozen == c.watch {
			t.Errorf("%q: %q, monitors %v", c.cmdline, b.Machine.Ran, f.monitors)
		}
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	for cmdline, want := range map[string]string{
		"rd.md=0": "rd.md=0", "rd.md.imsm=0": "rd.md.imsm=0", "noiswmd": "rd.md.imsm=0", "rd.md.ddf=0": "", "nodmraid": "rd.md.imsm=0",
		"rd.md.uuid=11111111:22222222:33333333:55555555": "",
		"rd.md.uuid=11111111:22222222:33333333:66666666": "names other arrays",
	} {
		b, f := boot(t, cmdline)
		settle(b)
		b.Add(member("sda"), member("sdb"))
		fact := b.Fact("/dev/sda of a firmware RAID")
		if (len(f.disks) == 0) != (want != "") || want != "" && (fact.Condition != goal.LeftAlone || !strings.Contains(fact.Text, want)) {
			t.Errorf("%q: used %v, fact %+v", cmdline, f.disks, fact)
		}
	}
}

func TestImageWithoutMdadmSaysSo(t *testing.T) {
	b, _ := boot(t, "")
	b.Machine.Programs = nil
	b.Add(member("sda"))
	if fact := b.Fact("firmware RAID"); fact.Condition != goal.Blocked || !strings.Contains(fact.Try, "md-external") {
		t.Errorf("%+v", fact)
	}
}

func TestMdadmOfTheImageIsToldWhatTheCommandLineSays(t *testing.T) {
	b, _ := boot(t, "rd.md.conf=0 IMSM_NO_PLATFORM=1")
	settle(b)
	b.Add(member("sda"))
	if got := b.Machine.Ran; len(got) != 1 || !strings.HasPrefix(got[0], "IMSM_NO_PLATFORM=1 ") || !strings.Contains(got[0], "--config=none") {
		t.Errorf("ran %q", got)
	}
}

func TestMissingDriverOfALevelIsNamed(t *testing.T) {
	b, f := boot(t, "")
	settle(b)
	b.Machine.Lacks["md-level-5"] = true
	f.disks = nil
	b.Machine.Programs["/usr/sbin/mdadm"] = func(args, env []string) machine.Exit {
		exit := f.mdadm(args, env)
		if len(f.disks) == 2 {
			f.m.Appear(handlertest.Disk{Name: "md126", Attrs: map[string]string{"md/metadata_version": "external:/md127/0", "md/array_state": "inactive", "md/level": "raid5"}}, f.disks...)
		}
		return exit
	}
	b.Add(member("sda"), member("sdb"))
	fact := b.Fact("firmware RAID md127")
	if fact.Condition != goal.Blocked || !strings.Contains(fact.Text, "md126 is a raid5, which has no driver in this image") || !strings.Contains(fact.Try, "--feature md-raid456") {
		t.Errorf("%+v", fact)
	}
}
