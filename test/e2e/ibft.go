package e2e

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// iscsiTable is the ACPI table of a firmware that reached unit 1 of the target by the
// machine's first card, with an address of its own and passwords both ways (IBM,
// "iSCSI Boot Firmware Table" 1.03): a control structure, the structures that it
// refers to, and their texts.
func iscsiTable() []byte {
	const atControl, control, initiator, nic, target = 48, 18, 74, 102, 54
	const atInitiator, atNIC = 72, 152
	const atTarget, atTexts = atNIC + 104, atNIC + 104 + 56
	var texts []byte
	le16 := func(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
	text := func(s string) []byte { // how long it is, and where
		at := atTexts + len(texts)
		texts = append(append(texts, s...), 0)
		return append(le16(len(s)), le16(at)...)
	}
	address := func(s string) []byte { a := netip.MustParseAddr(s).As16(); return a[:] }
	none := address("::")
	padded := func(n int, parts ...[]byte) []byte {
		b := slices.Concat(parts...)
		return append(b, make([]byte, n-len(b))...)
	}
	b := slices.Concat(
		padded(atControl, []byte("iBFT"), make([]byte, 4), []byte{1, 0}, []byte("FLTESTFIRSTLIG")),
		padded(atInitiator-atControl, []byte{1, 1}, le16(control), []byte{0, 0}, le16(0), le16(atInitiator), le16(atNIC), le16(atTarget)),
		padded(atNIC-atInitiator, []byte{2, 1}, le16(initiator), []byte{0, 3}, none, none, none, none, text(iscsiInitiator)),
		padded(atTarget-atNIC, []byte{3, 1}, le16(nic), []byte{0, 7}, address("::ffff:10.7.0.9"), []byte{24, 1}, none, none, none, none, le16(0),
			[]byte{0x52, 0x54, 0, 7, 1, 1}, le16(0), text("")),
		padded(atTexts-atTarget, []byte{4, 1}, le16(target), []byte{0, 3}, address("::ffff:"+serverAddress), le16(3260), []byte{0, 1, 0, 0, 0, 0, 0, 0}, []byte{2, 0},
			text(iscsiTarget), text("machine"), text(chapSecret), text("target"), text(chapSecretIn)),
		texts)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return b
}
