package mpathconf

import (
	"maps"
	"reflect"
	"regexp"
	"testing"
	"time"
)

const conf = `# made by hand
defaults {
	user_friendly_names yes
	path_grouping_policy multibus
	path_selector "round-robin 0"
	no_path_retry queue # for ever
	find_multipaths yes
}
blacklist {
	devnode "^(ram|raw|loop|fd|md|dm-|sr|scd|st)[0-9]*"
	wwid 3500a
	device { vendor "QEMU" product "CD.*" }
}
blacklist_exceptions {
	wwid "3500ab"
}
multipaths {
	multipath { wwid 36001 alias data }
	multipath {
		wwid 36002
		alias "root disk"
	}
}
devices {
	device { vendor "X" features "1 queue_if_no_path" }
}
`

func TestParse(t *testing.T) {
	c, problems := Parse(conf)
	if len(problems) != 0 || !c.FriendlyNames || c.Find != FindOn || c.Alias["36001"] != "data" {
		t.Errorf("%+v, %v", c, problems)
	}
	bindings := map[string]string{"36009": "mpathb"}
	for wwid, want := range map[string]string{"36001": "data", "36002": "36002", "36009": "mpathb", "36010": "36010"} {
		if got := c.Name(wwid, bindings); got != want {
			t.Errorf("%s is called %s, want %s", wwid, got, want)
		}
	}
	if got := Default().Name("36009", bindings); got != "36009" {
		t.Errorf("without friendly names: %s", got)
	}
	twice, _ := Parse("multipaths {\nmultipath {\nwwid 1\nalias a\n}\nmultipath {\nwwid 2\nalias a\n}\n}\n")
	if twice.Name("1", nil) != "1" || twice.Name("2", nil) != "2" {
		t.Error("one name is given to two disks")
	}
}

func TestEachQuestionOfTheBlacklistIsItsOwn(t *testing.T) {
	wwn := []string{"DEVNAME", "ID_WWN"}
	for _, c := range []struct {
		conf string
		disk Disk
		want string
	}{
		{conf, Disk{WWID: "36001", Devnode: "sda", Vendor: "QEMU", Product: "HARDDISK", Properties: wwn}, ""},
		{conf, Disk{WWID: "36001", Devnode: "sr0", Properties: wwn}, "devnode"},
		{conf, Disk{WWID: "3500a", Devnode: "sda", Properties: wwn}, "wwid"},
		{conf, Disk{WWID: "3500ab", Devnode: "sda", Properties: wwn}, ""}, // an exception
		{conf, Disk{WWID: "3500ab", Devnode: "loop1", Properties: wwn}, "devnode"},
		{conf, Disk{WWID: "36001", Devnode: "sda", Vendor: "QEMU", Product: "CD-ROM", Properties: wwn}, "device"},
		// A disk of which nothing says that it is one and the same everywhere.
		{conf, Disk{WWID: "36001", Devnode: "sda", Properties: []string{"ID_SERIAL"}}, "property"},
		{"blacklist_exceptions {\nproperty ID_SERIAL\n}\n", Disk{WWID: "36001", Devnode: "sda", Properties: []string{"ID_SERIAL"}}, ""},
		{"blacklist {\nproperty ID_USB_.*\n}\n", Disk{WWID: "36001", Devnode: "sda", Properties: []string{"ID_WWN", "ID_USB_SERIAL"}}, "property"},
		{"blacklist {\nprotocol \"scsi:(ata|usb)\"\n}\n", Disk{WWID: "36001", Devnode: "sda", Protocol: "scsi:ata", Properties: wwn}, "protocol"},
		{"blacklist {\nprotocol \"scsi:(ata|usb)\"\n}\n", Disk{WWID: "36001", Devnode: "sda", Protocol: "scsi:fcp", Properties: wwn}, ""},
	} {
		conf, _ := Parse(c.conf)
		if got := conf.Excluded(c.disk); got != c.want {
			t.Errorf("%+v is excluded by %q, want %q", c.disk, got, c.want)
		}
	}
}

func TestWhichDisksHavePaths(t *testing.T) {
	for value, want := range map[string]Find{"strict": FindStrict, "yes": FindOn, "on": FindOn, "smart": FindSmart, "no": FindGreedy, "off": FindGreedy, "greedy": FindGreedy, "x": FindStrict} {
		c, _ := Parse("defaults {\nfind_multipaths " + value + "\nfind_multipaths_timeout -3\n}\n")
		if c.Find != want || c.FindTimeout != -3*time.Second {
			t.Errorf("%s: %+v", value, c)
		}
	}
}

// What is said of one disk counts more than what is said of all, that of a
// model more than what is said of every disk.
func TestLayout(t *testing.T) {
	const levels = `defaults {
	path_grouping_policy multibus
	path_selector "round-robin 0"
	no_path_retry queue
}
devices {
	device { vendor "DGC" features "2 pg_init_retries 50" hardware_handler "1 alua" path_grouping_policy group_by_prio no_path_retry 12 }
	device { vendor "DGC" product "RAID" path_selector "queue-length 0" }
}
multipaths {
	multipath { wwid 7 path_grouping_policy failover features "1 queue_if_no_path" }
}
`
	for _, c := range []struct {
		conf string
		disk Disk
		want Layout
	}{
		{"", Disk{}, Layout{Selector: "service-time 0"}},
		{levels, Disk{Vendor: "X"}, Layout{Policy: Multibus, PolicySaid: true, Selector: "round-robin 0", Queue: true}},
		{levels, Disk{Vendor: "DGC"}, Layout{Policy: ByPriority, PolicySaid: true, Selector: "round-robin 0", Features: []string{"pg_init_retries", "50"}, Handler: []string{"alua"}}},
		{levels, Disk{Vendor: "DGC", Product: "RAID 5", WWID: "7"}, Layout{PolicySaid: true, Selector: "queue-length 0", Handler: []string{"alua"}}},
		{levels + "overrides {\npath_grouping_policy group_by_serial\nno_path_retry fail\n}\n", Disk{Vendor: "X"}, Layout{Policy: BySerial, PolicySaid: true, Selector: "round-robin 0"}},
		// Nothing gets into a table that is no word of one.
		{"defaults {\npath_selector \"service-time 0 1; x\"\nfeatures \"9 a\"\nhardware_handler \"1 a;b\"\n}", Disk{}, Layout{Selector: "service-time 0"}},
	} {
		conf, problems := Parse(c.conf)
		if got := conf.Layout(c.disk); !reflect.DeepEqual(got, c.want) || len(problems) > 0 {
			t.Errorf("%+v of %q:\n%+v, want\n%+v (%v)", c.disk, c.conf, got, c.want, problems)
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for _, text := range []string{"}", "defaults {", "defaults {\nfind_multipaths\n}", "a { a { a { a { a {"} {
		if _, problems := Parse(text); len(problems) == 0 {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestWWIDsAndBindings(t *testing.T) {
	got := WWIDs("# Multipath wwids, Version : 1.0\n/36001/\n/360 02/\n36003\n//\n")
	if !maps.Equal(got, map[string]bool{"36001": true}) {
		t.Errorf("%v", got)
	}
	names := Bindings("# bindings\nmpatha 36001\nmpathb 36002\nmpathb 36003\nmpathc 36001\nmpathd 36004\n")
	if !maps.Equal(names, map[string]string{"36004": "mpathd"}) {
		t.Errorf("%v", names)
	}
}

// The patterns are those of the standard library, as far as they go.
func TestPatterns(t *testing.T) {
	patterns := []string{"^(ram|raw|loop|fd|md|dm-|sr|scd|st)[0-9]*", "^hd[a-z]", "^(td|hd|vd)[a-z]", ".*", "a+b?c", "x|y$", "^$", "[^a]b", `\.`, "(ab)*c", "((a|b)+c)?d$", "[]a]", "sd[a-z][0-9]+$"}
	texts := []string{"", "a", "b", "ab", "abc", "ac", "aac", "c", "abababc", "sda", "sda1", "sdaa", "hda", "vdb", "ram0", "dm-3", "x", "y", "yx", "xb", ".", "]", "acbcd", "bcd", "d", "loop"}
	for _, p := range patterns {
		re := regexp.MustCompile(p)
		for _, text := range texts {
			if got := matches(p, text); got != re.MatchString(text) {
				t.Errorf("%q on %q: %t", p, text, got)
			}
			if matches("!"+p, text) == re.MatchString(text) {
				t.Errorf("%q is not turned around on %q", p, text)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(conf, "^(a|b)*[c-d]+$", "abcd")
	f.Fuzz(func(t *testing.T, text, pattern, on string) {
		c, _ := Parse(text)
		d := Disk{WWID: on, Devnode: on, Vendor: on, Product: on, Protocol: on, Properties: []string{on}}
		c.Excluded(d)
		for _, w := range append(c.Layout(d).Features, c.Layout(d).Handler...) {
			if !word(w) {
				t.Errorf("%q gets into a table", w)
			}
		}
		matches(pattern, on)
		if name := c.Name(on, Bindings(text)); Proper(on) && !Proper(name) {
			t.Errorf("%q is called %q", on, name)
		}
	})
}
