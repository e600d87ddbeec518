package build

import (
	"slices"
	"strings"
	"testing"

	"firstlight/internal/udevd/glob"
)

// A machine whose disk hangs on a driver that the image has not is told which
// driver that is, and how to add it.
func TestDriversThatAreNotInTheImageAreListed(t *testing.T) {
	_, b := mustBuild(t, options(t, plain))
	text := string(cat(t, b, "/etc/firstlight/other-drivers"))
	match := func(alias string) (modules []string) {
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if slices.ContainsFunc(f[2:], func(p string) bool { return glob.Match(p, alias) }) {
				modules = append(modules, f[0]+" "+f[1])
			}
		}
		return modules
	}
	for alias, want := range map[string]string{
		"pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02": "nvme nvme",
		"pci:v00008086d0000A102sv00008086sd00007270bc01sc06i01": "ahci ata",
		"pci:v00001000d0000005Bsv00001028sd00001F38bc01sc04i00": "megaraid_sas -",
		"virtio:d00000008v00001AF4":                             "virtio_scsi virtio-scsi",
		"usb:v0781p5583d0100dc00dsc00dp00ic08isc06ip50in00":     "usb_storage usb-storage",
		"virtio:d00000002v00001AF4":                             "", // these are in the image
		"pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00": "",
		"pci:v00008086d000015B8sv00001462sd00007B17bc02sc00i00": "", // a network card leads to no disk
		"acpi:PNP0A08:PNP0A03:":                                 "",
	} {
		got := match(alias)
		if want == "" && len(got) != 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", alias, got, want)
		}
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.Contains(f[2], ":") {
			t.Fatalf("line %q", line)
		}
		for _, p := range f[2:] {
			if !slices.ContainsFunc(enumerable[:], func(bus string) bool { return strings.HasPrefix(p, bus) && len(p) > len(bus)+1 }) {
				t.Errorf("%s: the pattern %q stands for too much", f[0], p)
			}
		}
	}
	if n := len(text); n < 10000 || n > 200000 {
		t.Errorf("%d bytes", n)
	}
}

func TestPatternsLoseOnlyWhatStandsForAnything(t *testing.T) {
	got := compact([]string{"pci:v00001AF4d00001042sv*sd*bc*sc*i*", "pci:v*d*sv*sd*bc01sc08i02*", "usb:v05E3p0701d*dc*dsc*dp*ic*isc*ip*in*",
		"of:N*T*Cvendor,device", "virtio:d00000002v*", "pci:v00001000d*sv*sd*bc*sc*i*", "virtio:d00000002v*"})
	want := []string{"pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001000*", "pci:v00001AF4d00001042*", "usb:v05E3p0701*", "virtio:d00000002v*"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
