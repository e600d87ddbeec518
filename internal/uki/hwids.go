package uki

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deviceEntry is the size of a record of .hwids in bytes: a word with kind and
// size, the hardware id as a GUID, and where name and compatible are.
const deviceEntry = 28

// deviceTreeEntry says that an entry chooses a device tree, in the upper four
// bits, and its size.
const deviceTreeEntry = 1<<28 | deviceEntry

// HWIDs makes the section .hwids out of descriptions of machines: objects in JSON
// with name, compatible and hwids, a list of the computer hardware ids that the
// firmware's tables give such a machine. The stub chooses the .dtbauto by them.
// The files are taken in the order that they are given in.
func HWIDs(files [][]byte) ([]byte, error) {
	type machine struct{ name, compatible string }
	var order []machine
	ids := map[machine]map[string]bool{}
	texts := map[string]uint32{}
	for _, f := range files {
		var d struct {
			Name, Compatible *string
			HWIDs            *[]string
		}
		if err := json.Unmarshal(f, &d); err != nil {
			return nil, fmt.Errorf("a description of a machine for .hwids: %w", err)
		}
		if d.Name == nil || d.Compatible == nil || d.HWIDs == nil {
			return nil, fmt.Errorf("a description of a machine for .hwids lacks name, compatible or hwids: %w", ErrInvalid)
		}
		m := machine{*d.Name, *d.Compatible}
		if ids[m] == nil {
			ids[m] = map[string]bool{}
			order = append(order, m)
		}
		texts[m.name], texts[m.compatible] = 0, 0
		for _, id := range *d.HWIDs {
			raw, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(id, "{}"), "-", ""))
			if err != nil || len(raw) != 16 {
				return nil, fmt.Errorf("%q of %s is no hardware id: %w", id, m.name, ErrInvalid)
			}
			ids[m][string(raw)] = true
		}
	}
	count := 1
	for _, m := range order {
		count += len(ids[m])
	}
	var blob []byte
	for _, t := range slices.SortedFunc(maps.Keys(texts), cmp.Compare) {
		texts[t] = uint32(count*deviceEntry + len(blob))
		blob = append(append(blob, t...), 0)
	}
	le := binary.LittleEndian
	var out []byte
	for _, m := range order {
		for _, id := range slices.Sorted(maps.Keys(ids[m])) {
			out = le.AppendUint32(out, deviceTreeEntry)
			g := []byte(id)
			slices.Reverse(g[0:4]) // a GUID's first three fields are little-endian
			slices.Reverse(g[4:6])
			slices.Reverse(g[6:8])
			out = append(out, g...)
			out = le.AppendUint32(le.AppendUint32(out, texts[m.name]), texts[m.compatible])
		}
	}
	out = append(out, make([]byte, deviceEntry)...)
	return append(out, blob...), nil
}
