package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/journal"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// Two boots of the same disks in which the storage of the root is put together by
// Firstlight and by the field's own tool: what either has written until the root
// is mounted has to be the same, in the same places.

// sectorSize is the unit in which the kernel counts.
const sectorSize = 512

// Mask is bytes of a sector that need not be the same, and why.
type Mask struct {
	Disk   string // "" is every disk
	Sector int64
	Bytes  [][2]int // each from, to; to is not part of it
	// Rest says that this sector and all after it are written wherever whoever
	// writes them finds room, and not compared.
	Rest bool
	Why  string
}

// placed are those sectors of a disk that are compared.
func placed(masks []Mask, disk string, spans []span) []span {
	for _, m := range masks {
		if !m.Rest || m.Disk != "" && m.Disk != disk {
			continue
		}
		var list []span
		for _, s := range spans {
			if s.End = min(s.End, m.Sector); s.First < s.End {
				list = append(list, s)
			}
		}
		spans = list
	}
	return spans
}

// early is what a boot wrote: which sectors it sent, and what the disks have
// that they had not before.
type early struct {
	sent    map[string][]span // by disk, sorted, not touching each other
	changed map[string]map[int64][]byte
}

// span are the sectors from First up to, and without, End.
type span struct{ First, End int64 }

// earlyWrites is what a boot has written to its disks. The system that it started
// must have written nothing after the mount.
func earlyWrites(ctx context.Context, ms []report.Message, attached []vm.Disk, bases []string) (early, error) {
	e := early{sent: map[string][]span{}, changed: map[string]map[int64][]byte{}}
	records, err := journal.Read(bytes.NewReader(report.Files(ms)["journal"]))
	if err != nil {
		return e, err
	}
	at := mountTime(records)
	var requests *report.Requests
	for _, m := range ms {
		if m.Boot != nil {
			requests = m.Boot.Requests
		}
	}
	if at == 0 || requests == nil {
		return e, errors.New("no root was mounted, or no requests were recorded")
	}
	for _, w := range requests.Writes {
		if w.Micros < at {
			e.sent[w.Disk] = append(e.sent[w.Disk], span{w.Sector, w.Sector + w.Sectors})
		}
	}
	for disk, spans := range e.sent {
		e.sent[disk] = joined(spans)
	}
	for i, base := range bases {
		changed, err := changedSectors(ctx, base, attached[i].File)
		if err != nil {
			return e, err
		}
		if len(changed) > 0 {
			e.changed[attached[i].Serial] = changed
		}
	}
	return e, nil
}

// joined is the same sectors in as few spans as can be.
func joined(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(a.First - b.First) })
	var list []span
	for _, s := range spans {
		if n := len(list); n > 0 && s.First <= list[n-1].End {
			list[n-1].End = max(list[n-1].End, s.End)
		} else {
			list = append(list, s)
		}
	}
	return list
}

// changedSectors are the sectors of an overlay that its base has otherwise.
func changedSectors(ctx context.Context, base, overlay string) (map[int64][]byte, error) {
	raw := overlay + ".raw"
	defer os.Remove(raw)
	if _, err := host.Run(ctx, "qemu-img", "convert", "-O", "raw", overlay, raw); err != nil {
		return nil, err
	}
	var files [2]*os.File
	for i, name := range []string{base, raw} {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("compare disks: %w", err)
		}
		defer f.Close()
		files[i] = f
	}
	changed := map[int64][]byte{}
	var was, is [1 << 16]byte
	for at := int64(0); ; {
		n, err := io.ReadFull(files[1], is[:])
		if n == 0 {
			return changed, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("compare disks: %w", err)
		}
		if _, err := io.ReadFull(files[0], was[:n]); err != nil {
			return nil, fmt.Errorf("compare disks: %s is shorter: %w", base, err)
		}
		for i := 0; i < n && !bytes.Equal(was[:n], is[:n]); i += sectorSize {
			if !bytes.Equal(was[i:i+sectorSize], is[i:i+sectorSize]) {
				changed[(at+int64(i))/sectorSize] = bytes.Clone(is[i : i+sectorSize])
			}
		}
		at += int64(n)
	}
}

// sameEarly compares what two boots wrote.
func sameEarly(ours, theirs early, masks []Mask) []string {
	var problems []string
	for _, disk := range names(ours.sent, theirs.sent) {
		if a, b := placed(masks, disk, ours.sent[disk]), placed(masks, disk, theirs.sent[disk]); !slices.Equal(a, b) {
			problems = append(problems, fmt.Sprintf("%s: Firstlight's boot wrote sectors %v, that of the tool %v", disk, a, b))
		}
	}
	for who, e := range map[string]early{"Firstlight": ours, "the tool": theirs} {
		for disk, sectors := range e.changed {
			for s := range sectors {
				if len(placed(masks, disk, []span{{s, s + 1}})) == 0 {
					continue
				}
				if !slices.ContainsFunc(e.sent[disk], func(r span) bool { return r.First <= s && s < r.End }) {
					problems = append(problems, fmt.Sprintf("%s: sector %d was changed in the boot of %s, and not before the mount", disk, s, who))
				}
			}
		}
	}
	for _, disk := range names(ours.changed, theirs.changed) {
		a, b := ours.changed[disk], theirs.changed[disk]
		for _, s := range sectorsOf(a, b) {
			if d := differing(masked(masks, disk, s, a[s]), masked(masks, disk, s, b[s])); d != "" {
				problems = append(problems, fmt.Sprintf("%s: sector %d is not as the tool left it: %s", disk, s, d))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// names are the disks in either.
func names[V any](a, b map[string]V) []string {
	var list []string
	for _, m := range []map[string]V{a, b} {
		for k := range m {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func sectorsOf(a, b map[int64][]byte) []int64 {
	var list []int64
	for _, m := range []map[int64][]byte{a, b} {
		for k := range m {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// masked is a sector without the bytes that may differ.
func masked(masks []Mask, disk string, sector int64, data []byte) []byte {
	data = bytes.Clone(data)
	for _, m := range masks {
		if m.Disk != "" && m.Disk != disk {
			continue
		}
		if m.Rest && sector >= m.Sector {
			return nil
		}
		if m.Sector == sector && data != nil {
			for _, r := range m.Bytes {
				clear(data[r[0]:r[1]])
			}
		}
	}
	return data
}

// differing says where two sectors differ, "" if they do not.
func differing(a, b []byte) string {
	switch {
	case bytes.Equal(a, b):
		return ""
	case a == nil:
		return "it is as it was"
	case b == nil:
		return "the tool left it as it was"
	}
	var at []string
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			continue
		}
		end := i
		for end < len(a) && a[end] != b[end] {
			end++
		}
		if len(at) < 8 {
			at = append(at, fmt.Sprintf("bytes %d to %d are %s, not %s", i, end, hex.EncodeToString(a[i:end]), hex.EncodeToString(b[i:end])))
		}
		i = end
	}
	return strings.Join(at, ", ")
}

// wrote is what boot n of a scenario wrote, from its report.
func wrote(ctx context.Context, dir string, n int, attached []vm.Disk, bases []string) (early, error) {
	text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("report%d.log", n)))
	if err != nil {
		return early{}, err
	}
	ms, err := report.Parse(text)
	if err != nil {
		return early{}, err
	}
	return earlyWrites(ctx, ms, attached, bases)
}
