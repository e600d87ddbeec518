package blkid

import (
	"strconv"
	"strings"

	"firstlight/internal/blktext"
	"firstlight/internal/parttable"
)

// Udev returns the properties that systemd-udevd's builtin blkid sets
// (systemd 252): ID_FS_TYPE, ID_FS_UUID, ID_FS_UUID_ENC, ID_PART_TABLE_UUID
// and so on, with its encodings. On an ambiguous device it is
// ID_FS_AMBIVALENT alone, as blkid -o udev has it: "usage:type:version" of
// every signature, separated by blanks.
func (r *Result) Udev() []Pair {
	if !r.Ambiguous {
		return Udev(r.pairs)
	}
	var all []string
	for _, s := range r.Signatures {
		t := blktext.Encode(s.Usage) + ":" + blktext.Encode(s.Type)
		if _, ok := lookup(s.Pairs, "VERSION"); ok {
			t += ":" + blktext.Encode(s.Version)
		}
		all = append(all, t)
	}
	return []Pair{{"ID_FS_AMBIVALENT", strings.Join(all, " ")}}
}

// Udev turns libblkid's properties into those of udev's database, by the
// same rules as udev's builtin blkid; what that does not know is left out.
func Udev(pairs []Pair) []Pair {
	var out []Pair
	for _, p := range pairs {
		switch p.Key {
		case "TYPE", "USAGE", "VERSION":
			out = append(out, Pair{"ID_FS_" + p.Key, p.Value})
		case "UUID", "UUID_SUB", "LABEL":
			out = append(out, Pair{"ID_FS_" + p.Key, blktext.Safe(p.Value)},
				Pair{"ID_FS_" + p.Key + "_ENC", blktext.Encode(p.Value)})
		case "PTTYPE":
			out = append(out, Pair{"ID_PART_TABLE_TYPE", p.Value})
		case "PTUUID":
			out = append(out, Pair{"ID_PART_TABLE_UUID", p.Value})
		case "PART_ENTRY_NAME", "PART_ENTRY_TYPE":
			out = append(out, Pair{"ID_" + p.Key, blktext.Encode(p.Value)})
		case "SYSTEM_ID", "PUBLISHER_ID", "APPLICATION_ID", "BOOT_SYSTEM_ID",
			"VOLUME_ID", "LOGICAL_VOLUME_ID", "VOLUME_SET_ID", "DATA_PREPARER_ID":
			out = append(out, Pair{"ID_FS_" + p.Key, blktext.Encode(p.Value)})
		default:
			if strings.HasPrefix(p.Key, "PART_ENTRY_") {
				out = append(out, Pair{"ID_" + p.Key, p.Value})
			}
		}
	}
	return out
}

// PartEntry returns libblkid's PART_ENTRY_* of a partition, from the table
// of its disk: SCHEME, NAME, UUID, TYPE, FLAGS, NUMBER, OFFSET, SIZE and
// DISK, the last two but one in sectors of 512 bytes. start and size are the
// partition's in bytes, as the kernel has them; disk is the whole disk's
// "major:minor". It returns nil when the table has no such partition: a
// table that was changed behind the kernel's back says nothing of it. Udev
// turns the result into ID_PART_ENTRY_*.
func PartEntry(t *parttable.Table, start, size int64, disk string) []Pair {
	for i := range t.Entries {
		e := &t.Entries[i]
		// The kernel shows two sectors at most of an extended partition.
		if e.Start != start || e.Size != size && !(e.Extended() && t.Type == parttable.MBR && size <= 1024*512) {
			continue
		}
		scheme := t.Type
		if e.Scheme != "" {
			scheme = e.Scheme
		}
		out := []Pair{{"PART_ENTRY_SCHEME", scheme}}
		if e.Name != "" {
			out = append(out, Pair{"PART_ENTRY_NAME", e.Name})
		}
		if e.UUID != "" {
			out = append(out, Pair{"PART_ENTRY_UUID", e.UUID})
		}
		out = append(out, Pair{"PART_ENTRY_TYPE", e.Type})
		if e.Flags != 0 {
			out = append(out, Pair{"PART_ENTRY_FLAGS", "0x" + strconv.FormatUint(e.Flags, 16)})
		}
		return append(out,
			Pair{"PART_ENTRY_NUMBER", strconv.Itoa(e.Number)},
			Pair{"PART_ENTRY_OFFSET", strconv.FormatInt(e.Start/512, 10)},
			Pair{"PART_ENTRY_SIZE", strconv.FormatInt(e.Size/512, 10)},
			Pair{"PART_ENTRY_DISK", disk})
	}
	return nil
}
