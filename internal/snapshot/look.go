package snapshot

import (
	"bytes"
	"slices"
	"strings"

	"firstlight/internal/luksfmt"
	"firstlight/internal/mountinfo"
)

// untouched are the options with which a filesystem that is not mounted is read
// without a byte being written to it, not even to replay its journal. What is
// not in the list is not looked into.
var untouched = map[string][]string{
	"ext4": {"ro", "noload"}, "xfs": {"ro", "norecovery"}, "btrfs": {"ro", "rescue=nologreplay"},
	"vfat": {"ro"}, "exfat": {"ro"}, "squashfs": {"ro"}, "erofs": {"ro"}, "iso9660": {"ro"}, "udf": {"ro"},
}

// maxKept bounds the content of a file, in bytes: the header of an encrypted
// device has up to 16 MiB, most of it zeros.
const maxKept = 32 << 20

// Look looks for further files on the machine of a snapshot, which is the one
// that o describes. It says whether it has found out anything; what could not
// be looked at is among the Notes.
func (s *Snapshot) Look(o Options, files []File) bool {
	t := &taker{o: o, s: s}
	found := false
	for _, f := range files {
		before := len(s.Notes)
		t.file(f)
		found = found || len(s.Notes) == before
	}
	return found
}

// file looks for a file where its filesystem is mounted, or else aside.
func (t *taker) file(f File) {
	node := nodeOf(t.s.Sys, "/class/block/"+f.Device, f.Device)
	devnum, _ := t.s.Sys.Read("/class/block/" + f.Device + "/dev")
	look := func(sub *taker) { sub.follow("/", f.Path, true) }
	on := func(m *Mount) bool { return m.Devnum == devnum && devnum != "" || m.Source == node }
	for _, m := range t.s.Mounts {
		if on(m) && m.Root == "/" {
			t.within(m, strings.TrimSuffix(t.o.Prefix+m.Point, "/"), look)
			return
		}
	}
	options, known := untouched[f.FSType]
	dir := t.elsewhere(devnum)
	if dir == "" {
		if t.o.Aside == nil || !known {
			t.note("the %s on %s was not looked into", f.FSType, node)
			return
		}
		aside, done, err := t.o.Aside(f.FSType, node, options...)
		if err != nil {
			t.note("%v", err)
			return
		}
		defer done()
		dir = aside
	}
	at := slices.IndexFunc(t.s.Aside, func(m *Mount) bool { return on(m) && m.Root == "" && m.Entries != nil })
	if at < 0 {
		t.s.Aside = append(t.s.Aside, &Mount{Devnum: devnum, FSType: f.FSType, Source: node, Options: strings.Join(options, ","), Entries: map[string]Entry{}})
		at = len(t.s.Aside) - 1
	}
	t.within(t.s.Aside[at], dir, look)
}

// elsewhere is where a filesystem is mounted outside of the real system, as
// what lies below an overlay is in an initramfs; "" for nowhere. It cannot be
// mounted once more in another way.
func (t *taker) elsewhere(devnum string) string {
	text, err := t.o.Root.ReadFile("/proc/self/mountinfo")
	if err != nil || devnum == "" || t.o.Prefix == "" {
		return ""
	}
	for _, m := range mountinfo.Parse(string(text)) {
		if m.Devnum == devnum && m.Root == "/" {
			return m.Target
		}
	}
	return ""
}

// withoutRest leaves of a LUKS header what it says and its keyslots: the rest of
// the 16 MiB that one has is random. Any other content it leaves as it is.
func withoutRest(b []byte) []byte {
	h, err := luksfmt.Read(bytes.NewReader(b))
	if err != nil {
		return b
	}
	out := make([]byte, len(b))
	first := int64(len(b))
	for _, k := range keyAreas(h) {
		if k.off < k.end && k.end <= int64(len(b)) {
			copy(out[k.off:k.end], b[k.off:])
			first = min(first, k.off)
		}
	}
	copy(out[:first], b)
	return out
}

// withoutZeros is a content without the zeros at its end.
func withoutZeros(b []byte) []byte {
	return append([]byte{}, bytes.TrimRight(b, "\x00")...)
}
