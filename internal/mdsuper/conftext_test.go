package mdsuper

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestConfIsReadFromWhereMdadmHasIt(t *testing.T) {
	text := func(files map[string]string) string {
		return ConfText(func(p string) string { return files[p] }, func(dir string) []string {
			var names []string
			for _, f := range slices.Sorted(maps.Keys(files)) {
				if name, ok := strings.CutPrefix(f, dir+"/"); ok {
					names = append(names, name)
				}
			}
			return names
		})
	}
	for want, files := range map[string]map[string]string{
		"":         {},
		"a":        {"/etc/mdadm/mdadm.conf": "a", "/etc/mdadm.conf": "b"},
		"b":        {"/etc/mdadm.conf": "b"},
		"a\nx\ny":  {"/etc/mdadm/mdadm.conf": "a", "/etc/mdadm/mdadm.conf.d/2.conf": "y", "/etc/mdadm/mdadm.conf.d/1.conf": "x", "/etc/mdadm/mdadm.conf.d/z": "z", "/etc/mdadm/mdadm.conf.d/.h.conf": "h"},
		"b\nw":     {"/etc/mdadm.conf": "b", "/etc/mdadm.conf.d/w.conf": "w"},
		"\nonly.d": {"/etc/mdadm/mdadm.conf.d/1.conf": "only.d"},
	} {
		if got := text(files); got != want {
			t.Errorf("%v: %q, want %q", files, got, want)
		}
	}
}

// Every line of mdadm.conf(5) is understood, whether it is of use here or not; of
// what an array would not be given, that is said.
func TestEveryKeywordOfTheManualIsKnown(t *testing.T) {
	c, errs := ParseConf("c", `DEVICE /dev/sd* partitions containers
ARRAY /dev/md0 UUID=817be13c:af87725b:16e3e66b:a51c6e16 level=mirror num-devices=2 spares=1 spare-group=a auto=mdp bitmap=/x
ARRAY /dev/md1 super-minor=1 devices=/dev/sda1,/dev/sdb[12] metadata=0.90
ARRAY metadata=imsm UUID=817be13c:af87725b:16e3e66b:a51c6e17
ARRAY /dev/md/Volume0 container=817be13c:af87725b:16e3e66b:a51c6e17 member=0 UUID=817be13c:af87725b:16e3e66b:a51c6e18
ARRAY <ignore> name=any:old
MAILADDR root@example.org
MAILFROM md
PROGRAM /usr/sbin/handle-mdadm-events
CREATE group=system mode=0640 auto=part-8 names=yes bbl=no
HOMEHOST <ignore>
HOMECLUSTER <none>
AUTO +1.x homehost -all
POLICY domain=domain1 metadata=imsm path=pci-0000:00:1f.2-scsi-* action=spare
PART-POLICY domain=domain1 metadata=imsm path=pci-0000:04:00.0-scsi-[01]* action=include
SYSFS name=/dev/md/raid5 group_thread_count=4
MONITORDELAY 60
ENCRYPTION_NO_VERIFY sata_opal
`)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "c:16: SYSFS is left to the real system") || len(c.Arrays) != 5 || len(c.Devices) != 3 {
		t.Fatalf("%v: %+v", errs, c)
	}
	super := func(uuid string) *Super {
		u, err := ParseUUID(uuid)
		if err != nil {
			t.Fatal(err)
		}
		return &Super{Version: Version{1, 2}, UUID: u, Level: 1, RaidDisks: 2, Name: "any:old"}
	}
	// A line for a container, or for an array in one, is not about native arrays.
	for uuid, want := range map[string]int{"817be13c:af87725b:16e3e66b:a51c6e16": 2, "817be13c:af87725b:16e3e66b:a51c6e17": 6, "817be13c:af87725b:16e3e66b:a51c6e18": 6} {
		if l := c.Match(super(uuid), "/dev/sda1", ""); l == nil || l.Line != want {
			t.Errorf("%s: %+v, want line %d", uuid, l, want)
		}
	}
	if !c.Arrays[4].Ignored() {
		t.Error("<ignore> is not")
	}
}
