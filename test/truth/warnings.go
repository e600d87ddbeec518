package truth

import (
	"slices"
	"strings"

	"firstlight/test/e2e"
)

// warranted are the warnings of good images that are true, each with the
// scenarios that it is true of.
var warranted = []struct {
	text string // a part of it
	of   func(e2e.Scenario) bool
}{
	{"degraded", func(s e2e.Scenario) bool { return len(s.Absent) > 0 }},
	{"out of date", func(s e2e.Scenario) bool {
		return strings.HasSuffix(s.Name, "raid1-stale") || strings.HasSuffix(s.Name, "raid-stale")
	}},
	{"md-level-5: module is not in this image", func(s e2e.Scenario) bool { return s.Name == "interop-md" || s.Name == "interop-md-boot1" }}, // of the array beside the root's
	{"has missed writes of it", func(s e2e.Scenario) bool { return strings.HasPrefix(s.Name, "btrfs-stale") }},
	{"Mounting it degraded", func(s e2e.Scenario) bool { return strings.HasPrefix(s.Name, "btrfs-stale") }},
	{"as rootfallback= says", func(s e2e.Scenario) bool { return s.Name == "root-fallback" }},
	{"without its write journal", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "rd.md.nojournal") }},
	{"cannot be written", func(s e2e.Scenario) bool { return len(s.Protected) > 0 }},
	{"the boot waits in vain for", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "resume=UUID=deadbeef") }},
	{"without its cache", func(s e2e.Scenario) bool { return len(s.Absent) > 0 }},
	{"are forgotten, as rd.overlay.reset asks", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "rd.overlay.reset") }},
	{"since it has the file", func(s e2e.Scenario) bool { return strings.HasPrefix(s.Name, "fsck-forced") }},
	{"nothing is kept", func(s e2e.Scenario) bool { return s.Name == "live-keep-missing" }},
	{"as zfs_force asks", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "zfs_force=1") }},
	{"as mkfs=1 asks", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "mkfs=1") }},
	{"as rd.break asks", func(s e2e.Scenario) bool { return strings.Contains(s.Append, "rd.break") }},
	{"does not open", func(s e2e.Scenario) bool { return tried[s.Name] }},
}

// falseWarnings are the warnings of a case that nothing warrants. What a check
// says of a changed image is about the change.
func falseWarnings(c Case, warned []string) []string {
	if c.Change != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(warned), func(text string) bool {
		for _, w := range warranted {
			if strings.Contains(text, w.text) && w.of(c.Base) {
				return true
			}
		}
		return false
	})
}
