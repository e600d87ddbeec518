package e2e

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// firmwareTable is the ACPI table of a firmware that reached a namespace of the
// subsystem at the server's port by the machine's first card, with an address of its
// own (NVM Express Boot Specification 1.0): descriptors in their order, and a heap
// behind them.
func firmwareTable(port string) []byte {
	const header, control, host, hfi, transport, ssns = 64, 64, 32, 32, 128, 128
	const atHFI, atSSNS, atHeap = header + control, header + control + hfi, header + control + hfi + ssns
	var heap []byte
	le16 := func(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
	le32 := func(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
	object := func(b []byte) []byte { // where it is in the heap, and how long
		at := atHeap + len(heap)
		heap = append(append(heap, b...), 0)
		return append(le32(at), le16(len(b))...)
	}
	address := func(s string) []byte { a := netip.MustParseAddr(s).As16(); return a[:] }
	padded := func(n int, parts ...[]byte) []byte {
		b := slices.Concat(parts...)
		return append(b, make([]byte, n-len(b))...)
	}
	me := object(padded(host, []byte{2, 1 | 4 | 0x10}, slices.Repeat([]byte{0x11}, 16), object([]byte(hostNQN))))
	card := object(padded(transport, []byte{7, 1, 3, 1}, le16(1), []byte{1}, le32(8), []byte{0x52, 0x54, 0, 7, 1, 1}, le16(0),
		[]byte{1}, address("::ffff:10.7.0.9"), []byte{24}, address("::"), []byte{0}, le16(0), address("::"), address("::"), address("::"), make([]byte, 6)))
	space := padded(ssns, []byte{4}, le16(1), le16(1), []byte{3}, le16(1), []byte{1, 0}, object(address("::ffff:"+serverAddress)), object([]byte(port)),
		le16(0), le32(1), []byte{0}, make([]byte, 16), []byte{0, 1, 0}, object([]byte{1}), object([]byte(subsystem)))
	b := slices.Concat(
		padded(header, []byte("NBFT"), le32(0), []byte{1, 0}, []byte("FLTESTFIRSTLIG"), le32(1), le32(2), le32(3), le32(atHeap), le32(len(heap))),
		padded(control, []byte{1, 1, 0, 0}, le16(control), []byte{1, 0}, me, []byte{1, 0}, le32(atHFI), le16(hfi), []byte{1, 1}, le32(atSSNS), le16(ssns), []byte{1, 1}),
		padded(hfi, []byte{3, 1, 1, 3}, make([]byte, 12), card), space, heap)
	copy(b[4:], le32(len(b)))
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return b
}
