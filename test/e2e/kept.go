package e2e

import (
	"time"

	"firstlight/test/disks"
)

// program puts firstlight into the real root.
var program = Installed{Path: "/usr/bin/firstlight", From: "bin/firstlight"}

// unit is the service that keeps the records, as a package installs it.
var unit = []Installed{program,
	{Path: "/etc/systemd/system/firstlight-keep.service", From: "dist/systemd/firstlight-keep.service"},
	{Path: "/etc/systemd/system/multi-user.target.wants/firstlight-keep.service", Link: "../firstlight-keep.service"}}

// keptByDebian is a Debian with the service: as many boots as are given, after
// one that failed if the machine has a store.
func keptByDebian(name string, s Scenario, boots int, trace ...string) Scenario {
	l := disks.DebianPlain("bookworm")
	s.Name, s.Layouts, s.Memory, s.Install = name, on(l), 1024, unit
	if s.Store {
		s.Boots = []Boot{{Append: uuid(wrongUUID(l)) + " rd.timeout=5 rd.emergency=poweroff", Want: Want{NoBoot: true}}}
	}
	for i := range boots {
		b := Boot{Append: "ro " + uuid(l.FSUUID("root")) + " fltest.password=" + secretWord, Limit: 6 * time.Minute, Want: Want{Debian: true, Timers: s.Store, Trace: []string{"^Result=success$", "^ActiveState=inactive$", `^/run/firstlight-report.tar.gz: \d+ files, `}}}
		if i == boots-1 {
			b.Want.Trace = append(b.Want.Trace, trace...)
		}
		s.Boots = append(s.Boots, b)
	}
	return s
}

// kept are boots whose records and reasons the next boot of the same machine
// keeps.
func kept() []Scenario {
	plain := disks.Plain
	wrong := wrongUUID(plain)
	// Two boots: one with a root that there is not, which leaves its reason,
	// and a good one, which finds it.
	failed := func(name, places string, s Scenario, found ...string) Scenario {
		s.Name, s.Layouts, s.For, s.Features, s.Install = name, on(plain), small("ext4"), []string{"save-failure"}, []Installed{program}
		s.Append = "rw"
		s.Boots = []Boot{
			{Append: uuid(wrong) + " rd.timeout=5 rd.emergency=poweroff rd.firstlight.save=" + places,
				Want: Want{NoBoot: true, Console: []Seen{see("cannot be started")}}},
			{Append: uuid(plain.FSUUID("root")) + " fltest.do=keep rd.driver.pre=efi-pstore,efivarfs,vfat,nls_cp437,nls_ascii",
				Want: Want{Root: "/dev/vda2 ext4", Timers: true, Trace: append(found,
					`^a boot failed before this one: /var/lib/firstlight/boots/000001-failed/failure.txt$`,
					`^kept in /var/lib/firstlight/boots/000002-`,
					`^      1  .*FAILED     6\.`,
					`^     2\*.*started    6\.`,
					`^Needs:   root=UUID=`+wrong+` was not found$`,
					`^           LABEL=fl-root: differs in the last character$`,
					`^goal root: given up`,
				), NoTrace: []string{`^# left `}}},
		}
		return s
	}
	full := failed("failure-to-efi-pstore", "pstore", Scenario{UEFI: true}, `^# found /sys/fs/pstore/dmesg-efi`)
	full.Full = true
	eleven := keptByDebian("bookworm-keeps-ten", Scenario{Full: true}, 11, `^      2 `, `^    11\*`)
	eleven.Boots[10].Want.NoTrace = []string{`^      1 `}
	return []Scenario{
		failed("failure-kept", "pstore,efi,esp", Scenario{UEFI: true, Store: true},
			`^# found /sys/fs/pstore/dmesg-erst-\S*, \d{4,5} bytes$`,
			`^# found /sys/firmware/efi/efivars/FirstlightFailure-\S*, \d{4,5} bytes$`,
			`^# found /efi/firstlight-failure.txt, \d{4,6} bytes$`),
		full,
		eleven,
	}
}

// wrongUUID is that of the root but for the last character.
func wrongUUID(l disks.Layout) string {
	id := l.FSUUID("root")
	last := "0"
	if id[len(id)-1] == '0' {
		last = "1"
	}
	return id[:len(id)-1] + last
}
