package bootcmd

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/timespan"

	"github.com/google/go-cmp/cmp"
)

func cmdline(text string) (*Config, []Problem) {
	return Parse(Source{"/proc/cmdline", text})
}

func spec(t *testing.T, text string) devspec.Spec {
	t.Helper()
	s, err := devspec.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The kernel's rules, each as a line and what it makes of it.
func TestWordsAsTheKernelReadsThem(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // name, or name=value in brackets
	}{
		{"", nil},
		{" \t\n", nil},
		{"ro quiet\n", []string{"[ro]", "[quiet]"}},
		{"a=1  b=", []string{"[a][1]", "[b][]"}},
		{`root="LABEL=my root" ro`, []string{"[root][LABEL=my root]", "[ro]"}},
		{`"root=LABEL=my root" ro`, []string{"[root][LABEL=my root]", "[ro]"}},
		{`root=LABEL="my root"`, []string{`[root][LABEL="my root"]`}},
		{`dyndbg="file a.c +p; func x"`, []string{"[dyndbg][file a.c +p; func x]"}},
		{`"quiet"`, []string{"[quiet]"}},
		{`a="open b=c`, []string{`[a][open b=c]`}},
		{`a=b"c d"e`, []string{`[a][b"c d"e]`}},
		{"=x y", []string{"[=x]", "[y]"}},
		{`"`, []string{"[]"}},
		{"a=größe\u00a0x", []string{"[a][größe\u00a0x]"}},
		{"a=b=c", []string{"[a][b=c]"}},
	} {
		var got []string
		for text := c.text; ; {
			p, rest, ok := nextParam(text)
			if !ok {
				break
			}
			text = rest
			s := "[" + p.Name + "]"
			if p.HasValue {
				s += "[" + p.Value + "]"
			}
			got = append(got, s)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q:\n%s", c.text, d)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, problems := Parse()
	want := &Config{
		Root:          Root{ReadOnly: true},
		Luks:          Luks{Enabled: true, Crypttab: true, Timeout: timespan.Forever},
		Verity:        Verity{Enabled: true},
		LVM:           LVM{Enabled: true, Conf: true, Degraded: Degraded{Wait: 15 * time.Second}},
		MD:            MD{Enabled: true, Conf: true, IMSM: true, DDF: true, Degraded: Degraded{Wait: 15 * time.Second}},
		BtrfsDegraded: Degraded{Wait: 15 * time.Second},
		Wait:          Wait{90 * time.Second, 15 * time.Second, 10 * time.Second, 5 * time.Second},
		Failure:       Failure{Shell: true, Save: SavePstore},
		UseFstab:      true, HostOnly: true, Modules: Modules{Params: map[string][]string{}},
	}
	if d := cmp.Diff(want, c); d != "" || problems != nil {
		t.Errorf("%v\n%s", problems, d)
	}
}

// A line as Debian, Fedora and Arch have them.
func TestUsualLines(t *testing.T) {
	c, problems := cmdline("BOOT_IMAGE=/boot/vmlinuz-6.1.0 root=UUID=0A1B2C3D-0001-4002-8003-AABBCCDDEEFF ro quiet splash console=tty0 console=ttyS0,115200n8\n")
	if len(problems) != 0 || c.Root.Device.String() != "UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff" || !c.Root.ReadOnlySet || !c.Log.Quiet {
		t.Errorf("Debian: %+v, %v", c.Root, problems)
	}
	if d := cmp.Diff([]Console{{"tty0", ""}, {"ttyS0", "115200n8"}}, c.Consoles); d != "" {
		t.Error(d)
	}
	c, problems = cmdline("root=/dev/mapper/fedora-root rd.lvm.lv=fedora/root rd.luks.uuid=luks-0a1b2c3d-0001-4002-8003-aabbccddeeff rhgb")
	if len(problems) != 0 || !c.Luks.Restricted() || c.LVM.LVs[0] != (LogicalVolume{"fedora", "root"}) {
		t.Errorf("Fedora: %+v, %v", c, problems)
	}
	v := c.Luks.Lookup(LuksIdentity{UUID: "0A1B2C3D-0001-4002-8003-AABBCCDDEEFF"})
	if !v.Wanted || v.Name != "" {
		t.Errorf("Fedora: %+v", v)
	}
	c, problems = cmdline("cryptdevice=PARTUUID=1234abcd-02:cryptroot:allow-discards root=/dev/mapper/cryptroot rw")
	v = c.Luks.Lookup(LuksIdentity{UUID: "x", PartUUID: "1234ABCD-02"})
	if len(problems) != 0 || c.Root.ReadOnly || v.Name != "cryptroot" || !v.Wanted || len(v.Options) != 1 || v.Options[0] != "discard" {
		t.Errorf("Arch: %+v, %v", v, problems)
	}
}

func TestLaterSourcesWinAndListsGrow(t *testing.T) {
	c, problems := Parse(
		Source{"/etc/cmdline.d/10-a.conf", "# of the image\nroot=/dev/sda1 ro\nrd.driver.pre=a,b-c\n"},
		Source{"/etc/cmdline", "rd.driver.pre=d rd.shell=0 -- one -- \"x=a b\""},
		Source{"/proc/cmdline", "root=/dev/sdb1 rw #x rd.shell -- two three=\"a b\"\n"})
	if len(problems) != 0 {
		t.Errorf("%v", problems)
	}
	if c.Root.Device.Value != "/dev/sdb1" || c.Root.ReadOnly || !c.Failure.Shell {
		t.Errorf("%+v %+v", c.Root, c.Failure)
	}
	if d := cmp.Diff([]string{"a", "b_c", "d"}, c.Modules.Pre); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"one", "--", "x=a b"}, c.InitArgs); d != "" {
		t.Error(d)
	}
}

// Each row: a line, what is looked at, and what it has to be.
func TestValues(t *testing.T) {
	const uuid = "0a1b2c3d-0001-4002-8003-aabbccddeeff"
	full := LuksIdentity{UUID: uuid}
	for _, c := range []struct {
		text string
		get  func(*Config) any
		want any
	}{
		{"root=LABEL=a root=", func(c *Config) any { return c.Root.Device }, devspec.Spec{}},
		{"rootfstype=ext4,btrfs", func(c *Config) any { return c.Root.FSTypes }, []string{"ext4", "btrfs"}},
		{"rootfstype=ext4 rootfstype=auto", func(c *Config) any { return c.Root.FSTypes == nil }, true},
		{"rootflags=subvol=@,noatime", func(c *Config) any { return c.Root.Flags }, "subvol=@,noatime"},
		{"root=TAG rootfstype=virtiofs", func(c *Config) any { return c.Root.Device }, devspec.Spec{Kind: devspec.Other, Scheme: "virtiofs", Value: "TAG"}},
		{"ro rw", func(c *Config) any { return c.Root.ReadOnly }, false},
		{"rw ro", func(c *Config) any { return c.Root.ReadOnly }, true},
		{"readonly=0", func(c *Config) any { return c.Root.ReadOnly }, false},
		{"zfs=rpool/root", func(c *Config) any { return c.Root.Device.Value }, "zfs:rpool/root"},
		{"init=/bin/a init=/bin/b", func(c *Config) any { return c.Init }, "/bin/b"},
		{"resume=8:2 resume-offset=0x800", func(c *Config) any { return c.Resume }, Resume{Device: spec(t, "8:2"), Offset: 2048, OffsetSet: true}},
		{"noresume resume=/dev/sda2", func(c *Config) any { return c.Resume }, Resume{Device: spec(t, "/dev/sda2"), Disabled: true}},
		{"hibernate=noresume", func(c *Config) any { return c.Resume.Disabled }, true},
		{"hibernate=nocompress", func(c *Config) any { return c.Resume.Disabled }, false},
		{"root=/dev/sda1 rootfstype=xfs rootflags=a mount.usr=/dev/sda2", func(c *Config) any { return c.Usr },
			Usr{spec(t, "/dev/sda2"), []string{"xfs"}, "a"}},
		{"rootfstype=xfs usr=LABEL=u mount.usrfstype=ext4 mount.usrflags=ro", func(c *Config) any { return c.Usr },
			Usr{spec(t, "LABEL=u"), []string{"ext4"}, "ro"}},

		{"rd.luks=0", func(c *Config) any { return c.Luks.Enabled }, false},
		{"luks=no", func(c *Config) any { return c.Luks.Enabled }, false},
		{"rd_NO_LUKS", func(c *Config) any { return c.Luks.Enabled }, false},
		{"rd_NO_LUKS=0", func(c *Config) any { return c.Luks.Enabled }, true},
		{"no-luks", func(c *Config) any { return c.Luks.Enabled }, false},
		{"rd.luks.uuid=0A1B2C3D", func(c *Config) any { return c.Luks.Lookup(full).Wanted }, true},
		{"rd.luks.uuid=0a1b2c3d0001", func(c *Config) any { return c.Luks.Lookup(full).Wanted }, true},
		{"rd.luks.uuid=1a1b2c3d", func(c *Config) any { return c.Luks.Lookup(full).Wanted }, false},
		{"rd.luks.uuid=0a1b rd.luks=0", func(c *Config) any { return c.Luks.Lookup(full).Wanted }, false},
		{"rd.luks.uuid=0a1b luks-ignore=UUID=" + uuid, func(c *Config) any { return c.Luks.Lookup(full).Wanted }, false},
		{"rd.luks.uuid=keysource:0a1b", func(c *Config) any { return c.Luks.Lookup(full).KeySource }, true},
		{"rd.luks.serial=QM1", func(c *Config) any { return c.Luks.Lookup(LuksIdentity{Serial: "QM1"}).Wanted }, true},
		{"rd.luks.partuuid=1234ABCD-01", func(c *Config) any { return c.Luks.Volumes[0].Select }, LuksSelector{By: ByPartUUID, Value: "1234abcd-01"}},
		{"rd.luks.name=" + uuid + "=a rd.luks.name=luks-" + strings.ToUpper(uuid) + "=b",
			func(c *Config) any { return c.Luks.Volumes }, []LuksVolume{{Select: LuksSelector{Value: uuid}, Wanted: true, Name: "b"}}},
		{"rd.luks.options=discard,timeout=10s rd.luks.options=" + uuid + "=tries=2,no-read-workqueue",
			func(c *Config) any { return c.Luks.Lookup(full).Options }, []string{"tries=2", "no-read-workqueue"}},
		{"rd.luks.options=discard,timeout=10s", func(c *Config) any { return c.Luks.Lookup(full).Options }, []string{"discard", "timeout=10s"}},
		{"rd.luks.allow-discards=0a1b2c3d rd.luks.options=tries=1", func(c *Config) any { return c.Luks.Lookup(full).Options }, []string{"tries=1", "discard"}},
		{"rd.luks.allow_discards", func(c *Config) any { return c.Luks.Lookup(LuksIdentity{}).Options }, []string{"discard"}},
		{"luks-discard=/dev/sda2", func(c *Config) any { return c.Luks.Volumes[0].Select.Device }, spec(t, "/dev/sda2")},
		{"rd.luks.key=/k", func(c *Config) any { return c.Luks.Lookup(full).Keys }, []LuksKey{{Path: "/k"}}},
		{"rd.luks.key=/k:UUID=44EF-C1A0", func(c *Config) any { return c.Luks.Keys }, []LuksKey{{Path: "/k", Device: spec(t, "UUID=44ef-c1a0")}}},
		{"rd.luks.key=" + uuid + "=/k:LABEL=keys", func(c *Config) any { return c.Luks.Lookup(full).Keys }, []LuksKey{{Path: "/k", Device: spec(t, "LABEL=keys")}}},
		{"rd.luks.key=/all rd.luks.key=" + uuid + "=none", func(c *Config) any { return c.Luks.Lookup(full).Keys }, []LuksKey{{}}},
		{"rd.luks.key=/k:/dev/disk/by-path/pci-0000:00:1.0:UUID=" + uuid, func(c *Config) any { return c.Luks.Lookup(full).Keys },
			[]LuksKey{{Path: "/k", Device: spec(t, "HWPATH=pci-0000:00:1.0")}}},
		{"rd.luks.key=/k::UUID=" + uuid, func(c *Config) any { return c.Luks.Lookup(full).Keys }, []LuksKey{{Path: "/k"}}},
		{"luks-key=/k:/dev/sdb1:/dev/sda2", func(c *Config) any { return c.Luks.Volumes[0].Select }, LuksSelector{By: ByDevice, Device: spec(t, "/dev/sda2")}},
		{"rd.luks.data=" + uuid + "=/dev/sdb", func(c *Config) any { return c.Luks.Lookup(full).Data }, spec(t, "/dev/sdb")},
		{"rd.luks.header=" + uuid + "=/h", func(c *Config) any { return c.Luks.Lookup(full).Header }, LuksHeader{Path: "/h"}},
		{"rd.luks.header=" + uuid + "=/h:LABEL=x", func(c *Config) any { return c.Luks.Lookup(full).Header }, LuksHeader{"/h", spec(t, "LABEL=x")}},
		{"rd.luks.header=" + uuid + "=/dev/sdc", func(c *Config) any { return c.Luks.Lookup(full).Header }, LuksHeader{"", spec(t, "/dev/sdc")}},
		{"rd.luks.timeout=30", func(c *Config) any { return c.Luks.Timeout }, 30 * time.Second},
		{"rd.luks.timeout=0", func(c *Config) any { return c.Luks.Timeout }, timespan.Forever},
		{"cryptdevice=/dev/sda2", func(c *Config) any { return c.Luks.Volumes[0].Name }, "root"},
		{"cryptdevice=UUID=" + uuid + ":c:perf-no_read_workqueue", func(c *Config) any { return c.Luks.Lookup(full).Options }, []string{"no-read-workqueue"}},
		{"cryptkey=rootfs:/k", func(c *Config) any { return c.Luks.Keys }, []LuksKey{{Path: "/k"}}},
		{"cryptkey=LABEL=usb:auto:/dir/k:1", func(c *Config) any { return c.Luks.Keys }, []LuksKey{{Path: "/dir/k:1", Device: spec(t, "LABEL=usb")}}},
		{"cryptkey=UUID=44EF-C1A0:vfat:/k", func(c *Config) any { return c.Luks.Keys }, []LuksKey{{Path: "/k", Device: spec(t, "UUID=44ef-c1a0"), FSType: "vfat"}}},
		{"cryptkey=/dev/disk/by-path/pci-0:1:4096:512", func(c *Config) any { return c.Luks.Keys }, []LuksKey{{Device: spec(t, "HWPATH=pci-0:1"), Offset: 4096, Size: 512}}},
		{"cryptopts=target=r,source=UUID=" + uuid + ",key=/k,tries=3,lvm=a", func(c *Config) any { return c.Luks.Volumes },
			[]LuksVolume{{Select: LuksSelector{Value: uuid}, Wanted: true, Name: "r", Keys: []LuksKey{{Path: "/k"}}, Options: []string{"tries=3"}}}},
		{"cryptopts=", func(c *Config) any { return c.Luks.Crypttab }, false},
		{"luks-dev=" + uuid + ",/dev/sdb", func(c *Config) any { return len(c.Luks.Volumes) }, 2},

		{"rd.lvm.vg=a rd.lvm.vg=b-c", func(c *Config) any { return c.LVM.VGs }, []string{"a", "b-c"}},
		{"rd.lvm.lv=/dev/a/b", func(c *Config) any { return c.LVM.LVs }, []LogicalVolume{{"a", "b"}}},
		{"rd.md.uuid=0a1b2c3d-0001-4002-8003-aabbccddeeff", func(c *Config) any { return c.MD.UUIDs }, []string{"0a1b2c3d:00014002:8003aabb:ccddeeff"}},
		{"rd.md.uuid=0A1B2C3D:00014002:8003AABB:CCDDEEFF", func(c *Config) any { return c.MD.UUIDs }, []string{"0a1b2c3d:00014002:8003aabb:ccddeeff"}},
		{"rd.md.imsm=0 rd.md.waitclean=1", func(c *Config) any { return c.MD.WaitClean }, true},

		{"modprobe.blacklist=a,b blacklist=c module_blacklist=d rd.driver.blacklist=e-f", func(c *Config) any { return c.Modules.Blacklist }, []string{"a", "b", "c", "d", "e_f"}},
		{"rd.modules-load=a modules_load=b rd.modules_force_load=c", func(c *Config) any { return c.Modules.Load }, []string{"a", "b", "c"}},
		{`snd-hda-intel.model=x snd_hda_intel.power_save=1 snd-hda-intel.z "snd_hda_intel.q=a b"`,
			func(c *Config) any { return c.Modules.Options("snd-hda-intel") }, `model=x power_save=1 z q="a b"`},
		{"systemd.unit=x rd.systemd.unit=y vconsole.keymap=de net.ifnames=0 rd.x=1", func(c *Config) any { return len(c.Modules.Params) }, 0},
		{"systemd.unit=x rd.systemd.unit=y", func(c *Config) any { return len(c.Systemd) }, 2},

		{"fsck.mode=force fsck.repair=yes", func(c *Config) any { return c.Fsck }, Fsck{FsckForce, RepairYes}},
		{"fsck.repair=no", func(c *Config) any { return c.Fsck.Repair }, RepairNo},
		{"fsck.repair=yes fsck.repair=preen", func(c *Config) any { return c.Fsck.Repair }, RepairPreen},
		{"forcefsck fastboot", func(c *Config) any { return c.Fsck.Mode }, FsckSkip},
		{"rd.skipfsck=0", func(c *Config) any { return c.Fsck.Mode }, FsckAuto},

		{"rd.timeout=1min30s", func(c *Config) any { return c.Wait.Deadline }, 90 * time.Second},
		{"rd.timeout=0", func(c *Config) any { return c.Wait.Deadline }, timespan.Forever},
		{"rd.timeout=20 rd.retry=30 rootwait rootdelay=200", func(c *Config) any { return c.Wait.Deadline }, 20 * time.Second},
		{"rd.retry=30", func(c *Config) any { return c.Wait.Deadline }, 30 * time.Second},
		{"rootwait rootdelay=5", func(c *Config) any { return c.Wait.Deadline }, timespan.Forever},
		{"rootwait=40", func(c *Config) any { return c.Wait.Deadline }, 40 * time.Second},
		{"rootdelay=5", func(c *Config) any { return c.Wait.Deadline }, 90 * time.Second},
		{"rootdelay=200", func(c *Config) any { return c.Wait.Deadline }, 200 * time.Second},
		{"rd.firstlight.degraded=3 rd.firstlight.explain=4s rd.firstlight.progress=500ms", func(c *Config) any { return c.Wait },
			Wait{90 * time.Second, 3 * time.Second, 4 * time.Second, 500 * time.Millisecond}},
		{"raid-member-delay=0", func(c *Config) any { return c.Wait.Degraded }, timespan.Forever},
		{"raid-member-delay=7", func(c *Config) any { return c.MD.Degraded }, Degraded{Wait: 7 * time.Second}},
		{"rd.md.degraded=30,ro raid-member-delay=7", func(c *Config) any { return c.MD.Degraded }, Degraded{30 * time.Second, DegradedReadOnly}},
		{"rd.lvm.degraded=30,overlay raid-member-delay=7", func(c *Config) any { return c.LVM.Degraded }, Degraded{30 * time.Second, DegradedOverlay}},
		{"rd.lvm.degraded=ro rd.firstlight.degraded=4", func(c *Config) any { return c.LVM.Degraded }, Degraded{4 * time.Second, DegradedReadOnly}},
		{"rd.md.degraded=overlay", func(c *Config) any { return c.MD.Degraded }, Degraded{15 * time.Second, DegradedOverlay}},
		{"btrfs-member-delay=7", func(c *Config) any { return c.BtrfsDegraded }, Degraded{Wait: 7 * time.Second}},
		{"rd.btrfs.degraded=30,overlay rd.firstlight.degraded=7", func(c *Config) any { return c.BtrfsDegraded }, Degraded{30 * time.Second, DegradedOverlay}},
		{"rd.btrfs.degraded=never,ro", func(c *Config) any { return c.BtrfsDegraded }, Degraded{timespan.Forever, DegradedReadOnly}},
		{"rd.md.degraded=never", func(c *Config) any { return c.MD.Degraded }, Degraded{Wait: timespan.Forever}},
		{"rd.md.degraded=never rd.md.degraded=3 rd.md.degraded=rw", func(c *Config) any { return c.MD.Degraded }, Degraded{Wait: 3 * time.Second}},
		// dracut does without a member after two thirds of its patience.
		{"rd.retry=12", func(c *Config) any { return c.MD.Degraded.Wait }, 8 * time.Second},
		{"rd.retry=180", func(c *Config) any { return c.Wait.Degraded }, 15 * time.Second},
		{"rd.timeout=0", func(c *Config) any { return c.Wait.Degraded }, 15 * time.Second},
		{"rd.retry=12 rd.firstlight.degraded=9", func(c *Config) any { return c.Wait.Degraded }, 9 * time.Second},
		{"rd.md.imsm=0 rd_NO_MDDDF", func(c *Config) any { return c.MD.IMSM || c.MD.DDF }, false},
		{"noiswmd", func(c *Config) any { return c.MD.IMSM }, false},
		{"rd.md.nojournal", func(c *Config) any { return c.MD.NoJournal }, true},

		{"rd.break=pre-mount rd.break=cmdline rd.break=pre_mount", func(c *Config) any { return c.Break }, []Stage{StageCmdline, StagePreMount}},
		{"rd.break", func(c *Config) any { return c.Break }, []Stage{StageSwitchRoot}},
		{"break", func(c *Config) any { return c.Break }, []Stage{StagePreMount}},
		{"break=top,modules,mountroot,bottom,init", func(c *Config) any { return c.Break }, []Stage{StageCmdline, StagePreTrigger, StageMount, StagePrePivot, StageSwitchRoot}},
		{"break=postmount", func(c *Config) any { return c.BreaksAt(StagePrePivot) && !c.BreaksAt(StageMount) }, true},
		{"rd.emergency", func(c *Config) any { return c.Break }, []Stage{StageCmdline}},
		{"rd.emergency=halt", func(c *Config) any { return c.Failure.Action }, ActionHalt},
		{"panic=30", func(c *Config) any { return c.Failure }, Failure{Panic: 30, PanicSet: true, Save: SavePstore}},
		{"rd.firstlight.save=efi,esp", func(c *Config) any { return c.Failure }, Failure{Shell: true, Save: SaveEFI | SaveESP}},
		{"rd.firstlight.save=efi rd.firstlight.save=no", func(c *Config) any { return c.Failure }, Failure{Shell: true}},
		{"panic=-1 rd.shell=1", func(c *Config) any { return c.Failure }, Failure{Shell: true, ShellSet: true, Panic: -1, PanicSet: true, Save: SavePstore}},
		{"rd.log=console|file", func(c *Config) any { return c.Log.Targets }, LogConsole | LogFile},
		{"rdlog=console", func(c *Config) any { return c.Log.Targets }, LogConsole},
		{"booster.log=debug,console", func(c *Config) any { return c.Log }, Log{Debug: true, Targets: LogConsole}},
		{"rd.udev.log-level=debug", func(c *Config) any { return c.Log.UdevDebug }, true},
		{"rdudevdebug", func(c *Config) any { return c.Log.UdevDebug }, true},
		{"rdudevdebug=0", func(c *Config) any { return c.Log.UdevDebug }, false},
		{"rd.ctty=/dev/ttyS1", func(c *Config) any { return c.CTTY }, "ttyS1"},
		{"console=null console=", func(c *Config) any { return c.Consoles == nil }, true},
		{"rd.hostonly=0 rd.auto rd.fstab=0 rootonly", func(c *Config) any { return []bool{c.HostOnly, c.Auto, c.UseFstab, c.RootOnly} }, []bool{false, true, false, true}},
	} {
		cfg, problems := cmdline(c.text)
		if d := cmp.Diff(c.want, c.get(cfg)); d != "" {
			t.Errorf("%s\n%s", c.text, d)
		}
		for _, p := range problems {
			if p.Kind == Malformed {
				t.Errorf("%s: %v", c.text, p)
			}
		}
	}
}

// Everything that can be wrong, as the person sees it. The value has no
// effect: the configuration stays as it would be without.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"rd.luks.uid=x", "rd.luks.uid=x: unknown parameter; did you mean rd.luks.uuid?"},
		{"rd.brake=mount", "rd.brake=mount: unknown parameter; did you mean rd.break?"},
		{"rd.nonsense", "rd.nonsense: unknown parameter"},
		{"rd.firstlight.degradet=1", "rd.firstlight.degradet=1: unknown parameter; did you mean rd.firstlight.degraded?"},
		{"fsck.mod=skip", "fsck.mod=skip: unknown parameter; did you mean fsck.mode?"},
		{"rd.shell=maybe", "rd.shell=maybe: neither yes nor no (1, yes, on, true; 0, no, off, false)"},
		{"root=sda1", "root=sda1: neither a path below /dev nor UUID=, LABEL=, PARTUUID=, PARTLABEL= or a device number"},
		{"root=/dev/root", "root=/dev/root: /dev/root is another name of what is asked for here"},
		{"root=UUID=", "root=UUID=: nothing follows UUID"},
		{"resume=nfs:a:/b", "resume=nfs:a:/b: not the name of a block device"},
		{"resume_offset=1_0", "resume_offset=1_0: not a number of pages"},
		{"rd.timeout=soon", "rd.timeout=soon: not a time such as 90, 90s or 1min30s"},
		{"rd.timeout=5x", "rd.timeout=5x: unknown unit of time x"},
		{"rd.timeout", "rd.timeout: a value must follow"},
		{"rd.break=lunch", `rd.break=lunch: "lunch" is not a stage: cmdline, pre-udev, pre-trigger, initqueue, pre-mount, mount, pre-pivot, cleanup, switch-root`},
		{"rd.break=shutdown", "rd.break=shutdown: it concerns the shutdown, which is not supported yet"},
		{"fsck.mode=never", "fsck.mode=never: not one of auto, force, skip"},
		{"rd.emergency=explode", "rd.emergency=explode: not one of reboot, poweroff, halt"},
		{"rd.lvm.lv=root", "rd.lvm.lv=root: not of the form VG/LV"},
		{"rd.lvm.vg=-x", "rd.lvm.vg=-x: not the name of a volume group"},
		{"rd.md.degraded=soon", `rd.md.degraded=soon: "soon" is none of never, rw, ro, overlay and not a number of seconds`},
		{"rd.md.uuid=123", "rd.md.uuid=123: not the UUID of an array, 32 hexadecimal digits"},
		{"rd.luks.uuid=root", "rd.luks.uuid=root: not a LUKS UUID or the beginning of one"},
		{"rd.luks.name=0a1b2c3d", "rd.luks.name=0a1b2c3d: not of the form UUID=NAME"},
		{"rd.luks.name=0a1b2c3d=a/b", `rd.luks.name=0a1b2c3d=a/b: "a/b" cannot be the name of a device-mapper device`},
		{"rd.luks.key=k", "rd.luks.key=k: not of the form PATH, PATH:KEYDEV, PATH:KEYDEV:LUKSDEV or UUID=PATH:KEYDEV, with an absolute path and devices such as UUID=… or /dev/…"},
		{"rd.luks.data=/dev/sda", "rd.luks.data=/dev/sda: not of the form UUID=DEVICE"},
		{"cryptdevice=HWPATH=pci-0:1:2:3:root", "cryptdevice=HWPATH=pci-0:1:2:3:root: not of the form DEVICE:NAME[:OPTIONS]; a device whose name has colons must be named in another way"},
		{"cryptkey=/k", "cryptkey=/k: not of the form rootfs:PATH, DEVICE:FSTYPE:PATH or DEVICE:OFFSET:SIZE"},
		{"cryptkey=/dev/sda:0:0", "cryptkey=/dev/sda:0:0: not of the form rootfs:PATH, DEVICE:FSTYPE:PATH or DEVICE:OFFSET:SIZE"},
		{"cryptopts=target=r", "cryptopts=target=r: not of the form target=NAME,source=DEVICE[,key=FILE][,OPTION…]"},
		{"modprobe.blacklist=a/b", `modprobe.blacklist=a/b: "a/b" is not the name of a module`},
		{"rootfstype=ext4,/x", `rootfstype=ext4,/x: "/x" is not a filesystem type`},
		{"init=bin/sh", "init=bin/sh: not an absolute path"},
		{"panic=x", "panic=x: not a number of seconds; taken for 0: no shell, no reboot"},
		{"rd.log=paper", `rd.log=paper: "paper" is not one of console, file, kmsg, all`},
		{"rd_NO_MD", "rd_NO_MD: an old spelling; write rd.md=0"},
		{"rd_LUKS_UUID=0a1b", "rd_LUKS_UUID=0a1b: an old spelling; write rd.luks.uuid"},
		{"ip=dhcp ip=dhcp6 nfsroot=h:/x boot=nfs", ""}, // the helper reads them
		{"rd.noverifyssl=1", ""}, {"netconsole=@/eth0", "netconsole=@/eth0: it concerns the network, which is not supported yet"},
		{"root=nfs:h:/x", ""}, {"root=dhcp", ""},
		{"root=nbd:h:/x", ""}, {"root=casync:h:/x", "root=casync:h:/x: a root of the kind casync is not supported yet"}, {"root=sshfs:h:/x", ""}, {"root=/dev/sshfs sshfsroot=u@h:d sshfsopts=x", ""},
		{"rd.iscsi.password=hunter2 iscsi_auto", ""},
		{"updates=http://me:hunter2@host", "updates=http://…@host: it concerns live images, which is not supported yet"},
		{"rd.luks.uuid=0a1b no_luks", "no_luks: encrypted devices are named as well, but this switches them all off"},
		{"rd.lvm=0 rd.lvm.vg=a", "rd.lvm=0: volumes are named as well, but this switches them all off"},
		{"rd.md rd.md=no rd.md.uuid=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f", "rd.md=no: arrays are named as well, but this switches them all off"},
		{"rd.dm.uuid=x rd.dm=0 rd.md.imsm=0 nodmraid noiswmd rd_NO_MDIMSM=0", "rd.dm.uuid=x: it concerns firmware RAID, which is not supported yet\nrd_NO_MDIMSM=0: an old spelling; write rd.md.imsm=0"},
		{"rd.lvm.mergetags=a", "rd.lvm.mergetags=a: it concerns LVM snapshots, which is not supported yet"},
		{"rd.foo rd.foo rd.foo=1", "rd.foo: unknown parameter"},
		{"rd.neednet=0 rd.plymouth=0 quiet rhgb net.ifnames=0 systemd.unit=x rd.systemd.unit=y foo.bar=1 Xyz=1", ""},
	} {
		cfg, problems := cmdline(c.text)
		var got []string
		for _, p := range problems {
			got = append(got, strings.TrimPrefix(p.String(), "/proc/cmdline: "))
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, s, c.want)
		}
		if len(problems) == 1 && problems[0].Kind == Malformed && problems[0].Param != "panic" && problems[0].Param != "cryptopts" {
			clean, _ := Parse()
			cfg.Params = nil
			if d := cmp.Diff(clean, cfg); d != "" {
				t.Errorf("%s has an effect:\n%s", c.text, d)
			}
		}
	}
}

func TestSecretsStayOutOfMessages(t *testing.T) {
	c, problems := cmdline("rd.iscsi.password=hunter2 cifspass=hunter2 root=iscsi:me:hunter2@h::::iqn rd.iscsi.in-password=hunter2")
	for _, p := range problems {
		if strings.Contains(p.String(), "hunter2") || strings.Contains(p.Value, "hunter2") {
			t.Error(p)
		}
	}
	for _, p := range c.Params {
		if strings.Contains(p.String(), "hunter2") {
			t.Error(p)
		}
	}
	if s := (Param{Name: "root", Value: "LABEL=my root", HasValue: true}).String(); s != `"root=LABEL=my root"` {
		t.Error(s)
	}
}

func TestTextsOfAnyLength(t *testing.T) {
	_, problems := Parse(Source{"/etc/cmdline", strings.Repeat("rd.unknown", maxText)})
	if len(problems) != 2 || problems[0].Kind != Malformed || problems[1].Kind != Unknown {
		t.Errorf("%d problems", len(problems))
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range documented {
		f.Add(e)
	}
	f.Add(`rd.luks.key=a=/k:/dev/x:UUID=1 "cryptkey=a:b:c" -- x="y z"`)
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := cmdline(text)
		again, _ := cmdline(text)
		if !reflect.DeepEqual(c, again) {
			t.Fatal("two readings differ")
		}
		if len(problems) > len(c.Params)*10+1 {
			// One word of a list may be one problem each.
			if len(problems) > len(text)+1 {
				t.Fatalf("%d problems", len(problems))
			}
		}
		for _, p := range problems {
			if p.Reason == "" || p.Param == "" && !strings.Contains(text, `"`) {
				t.Fatalf("%+v", p)
			}
		}
		if c.Wait.Deadline < 0 || c.Root.Device.Kind == devspec.Root {
			t.Fatalf("%+v", c.Wait)
		}
		c.Luks.Lookup(LuksIdentity{UUID: "0a1b", Is: func(devspec.Spec) bool { return true }})
		for m := range c.Modules.Params {
			c.Modules.Options(m)
		}
	})
}
