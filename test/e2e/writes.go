package e2e

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"firstlight/internal/journal"
	"firstlight/test/guest/report"
)

// firstMount is how the journal says that a filesystem is mounted that the real
// system goes on with. What is mounted to read a key or a header is not of them:
// that must write nothing. The import of a ZFS pool writes to it: before it nothing
// may.
var firstMount = regexp.MustCompile(`^zpool import |^mount /dev/\S+ on (/sysroot|/run/rootfsbase|/run/initramfs/overlayfs|/media/root-r[ow]) as `)

// anything is for scenarios in which the field's own tools, or the kernel for the
// sake of metadata that it keeps, write before the mount.
var anything = []string{".*"}

// mountTime is when the first of them is mounted, in microseconds of the
// kernel's clock; 0 if none is.
func mountTime(records []journal.Record) int64 {
	for _, r := range records {
		if r.Kind == "do" && firstMount.MatchString(r.Text) {
			return r.Time.Microseconds()
		}
	}
	return 0
}

// inMemory says whether the root is on a disk of memory, which leaves no record,
// or in a file that came from a server, which is in memory although it is kept on a disk.
func inMemory(records []journal.Record) bool {
	return slices.ContainsFunc(records, func(r journal.Record) bool {
		if r.Kind == "do" && (r.Text == "mount memory on /run/initramfs/fetched" || strings.Contains(r.Text, " on /run/initramfs/kept as ")) {
			return true
		}
		return r.Kind == "do" && firstMount.MatchString(r.Text) && (strings.HasPrefix(r.Text, "mount /dev/ram") || strings.HasPrefix(r.Text, "mount /dev/zram"))
	})
}

// untouched checks that nothing was written to any disk before the root was
// mounted: not by assembling, activating or unlocking, nor by looking. The
// kernel recorded each request that a disk was sent, whoever sent it.
func (c *comparison) untouched(r *report.Requests, text []byte) {
	records, err := journal.Read(bytes.NewReader(text))
	if err != nil {
		c.problem("journal: %v", err)
		return
	}
	at := mountTime(records)
	switch {
	case at == 0:
		return // no disk has anything of the root
	case c.want.Hidden && r != nil && len(r.Reads) == 0:
		return
	case r == nil || len(r.Reads) == 0:
		c.problem("the kernel has recorded no requests to disks")
		return
	case r.Micros < at && !inMemory(records):
		c.problem("the kernel's record of requests to disks ends before the root is mounted")
	}
	for _, w := range r.Writes {
		if w.Micros < at && !slices.ContainsFunc(c.want.writes, func(p string) bool { return full(p).MatchString(w.String()) }) {
			c.problem("written to before the root was mounted: %v", w)
		}
	}
}
