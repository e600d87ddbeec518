package disks

// More arrays: every level, what an array can have beside its members, and
// what can have happened to one.
var (
	RAIDLinear = raid("raid-linear", "linear", "1.2", blank(64, "d0", "d1"))
	RAID0      = raid("raid0", "0", "1.2", two(64))
	RAID4      = raid("raid4", "4", "1.2", blank(64, "d0", "d1", "d2"))
	RAID6      = raid("raid6", "6", "1.2", blank(64, "d0", "d1", "d2", "d3"))
	RAID10     = raid("raid10", "10", "1.2", blank(64, "d0", "d1", "d2", "d3"))
	RAIDBitmap = Layout{Name: "raid-bitmap", Disks: two(96), Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}, More: []string{"--bitmap=internal"}},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
	RAIDSpare = Layout{Name: "raid-spare", Disks: blank(96, "d0", "d1", "s0"), Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}, Spare: []string{"s0"}},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
	RAIDPPL = Layout{Name: "raid-ppl", Disks: blank(64, "d0", "d1", "d2"), Steps: []Step{
		MD{Name: "array", Level: "5", Metadata: "1.2", On: []string{"d0", "d1", "d2"}, More: []string{"--consistency-policy=ppl"}},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
	RAIDJournal = Layout{Name: "raid-journal", Disks: blank(64, "d0", "d1", "d2", "j0"), Steps: []Step{
		MD{Name: "array", Level: "5", Metadata: "1.2", On: []string{"d0", "d1", "d2"}, Journal: "j0"},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
)

// use assembles the array anew of some of its members, and writes to it.
func use(label string, members ...string) []Step {
	argv := []string{"mdadm", "--assemble", "--run", "{array}"}
	for _, m := range members {
		argv = append(argv, "{"+m+"}")
	}
	return []Step{Tool{Argv: argv}, Tool{Argv: []string{"tune2fs", "-L", label, "{array}"}}}
}

// happened is a mirror to which something has happened; the steps leave the
// array running.
func happened(name string, disks []Disk, steps ...[]Step) Layout {
	l := Layout{Name: name, Disks: disks, Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
	for _, s := range steps {
		l.Steps = append(l.Steps, s...)
	}
	return l
}

var stop = []Step{Tool{Argv: []string{"mdadm", "--stop", "{array}"}}}

// RAIDStale has a member that the other one has gone on without, RAIDSplit two
// that each have, RAIDTwice a copy of one on a third disk.
var (
	RAIDStale = happened("raid-stale", two(96), stop, use("without", "d0"))
	RAIDSplit = happened("raid-split", two(96), stop, use("first", "d0"), stop, use("second", "d1"))
	RAIDTwice = happened("raid-twice", blank(96, "d0", "d1", "c0"), stop, []Step{
		Tool{Argv: []string{"@copy", "{d0}", "{c0}"}},
		Tool{Argv: []string{"mdadm", "--assemble", "--readonly", "{array}", "{d0}", "{d1}"}},
	})
)

// RAIDReshape grows from three members to four, and was stopped while it did.
var RAIDReshape = Layout{Name: "raid-reshape", Disks: blank(96, "d0", "d1", "d2", "d3"), Steps: []Step{
	MD{Name: "array", Level: "5", Metadata: "1.2", On: []string{"d0", "d1", "d2"}},
	FS{On: "array", Type: "ext4", Content: tiny},
	Tool{Argv: []string{"@write", "/proc/sys/dev/raid/speed_limit_min"}, Stdin: "10"},
	Tool{Argv: []string{"@write", "/proc/sys/dev/raid/speed_limit_max"}, Stdin: "100"},
	Tool{Argv: []string{"mdadm", "{array}", "--add", "{d3}"}},
	Tool{Argv: []string{"mdadm", "--grow", "{array}", "--raid-devices=4"}},
	Tool{Argv: []string{"mdadm", "--detail", "{array}"}},
	Tool{Argv: []string{"mdadm", "--stop", "{array}"}},
	Tool{Argv: []string{"mdadm", "--examine", "{d0}"}},
	Tool{Argv: []string{"mdadm", "--assemble", "--readonly", "{array}", "{d0}", "{d1}", "{d2}", "{d3}"}},
	Tool{Argv: []string{"@write", "/proc/sys/dev/raid/speed_limit_max"}, Stdin: "200000"},
}}
