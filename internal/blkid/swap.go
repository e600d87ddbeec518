package blkid

// Swap space. Its signature is the last ten bytes of the first page, whose
// size is that of the machine that made it; its header starts at 1024 (the
// kernel's include/linux/swap.h), in the byte order of that machine:
//
//	0 u32 version, 1       4 u32 last page   12 UUID
//	28 label, 16 bytes   172 two words that are zero when UUID and label hold
//
// Hibernation replaces the signature, so that nobody swaps over the image;
// TuxOnIce puts its own at the very start instead. A device like that is
// "swsuspend": it holds somebody's memory until it is resumed from.
const (
	swapMinSize = 10 * 4096
	tuxOnIce    = "\xed\xc3\x02\xe9\x98\x56\xe5\x0c"
)

var swapMagics = []magic{
	{off: 4<<10 - 10, bytes: "SWAP-SPACE"}, {off: 4<<10 - 10, bytes: "SWAPSPACE2"},
	{off: 8<<10 - 10, bytes: "SWAP-SPACE"}, {off: 8<<10 - 10, bytes: "SWAPSPACE2"},
	{off: 16<<10 - 10, bytes: "SWAP-SPACE"}, {off: 16<<10 - 10, bytes: "SWAPSPACE2"},
	{off: 32<<10 - 10, bytes: "SWAP-SPACE"}, {off: 32<<10 - 10, bytes: "SWAPSPACE2"},
	{off: 64<<10 - 10, bytes: "SWAP-SPACE"}, {off: 64<<10 - 10, bytes: "SWAPSPACE2"},
}

var suspendMagics = []magic{
	{bytes: tuxOnIce},
	{off: 4<<10 - 10, bytes: "S1SUSPEND"}, {off: 4<<10 - 10, bytes: "S2SUSPEND"},
	{off: 4<<10 - 10, bytes: "ULSUSPEND"}, {off: 4<<10 - 10, bytes: "LINHIB0001"},
	{off: 8<<10 - 10, bytes: "S1SUSPEND"}, {off: 8<<10 - 10, bytes: "S2SUSPEND"},
	{off: 8<<10 - 10, bytes: "ULSUSPEND"}, {off: 8<<10 - 10, bytes: "LINHIB0001"},
	{off: 16<<10 - 10, bytes: "S1SUSPEND"}, {off: 16<<10 - 10, bytes: "S2SUSPEND"},
	{off: 16<<10 - 10, bytes: "ULSUSPEND"}, {off: 16<<10 - 10, bytes: "LINHIB0001"},
	{off: 32<<10 - 10, bytes: "S1SUSPEND"}, {off: 32<<10 - 10, bytes: "S2SUSPEND"},
	{off: 32<<10 - 10, bytes: "ULSUSPEND"}, {off: 32<<10 - 10, bytes: "LINHIB0001"},
	{off: 64<<10 - 10, bytes: "S1SUSPEND"}, {off: 64<<10 - 10, bytes: "S2SUSPEND"},
	{off: 64<<10 - 10, bytes: "ULSUSPEND"}, {off: 64<<10 - 10, bytes: "LINHIB0001"},
}

func probeSwap(p *probe, m *magic) bool {
	if b := p.bytes(0, 8); b == nil || string(b) == tuxOnIce {
		return false
	}
	if m.bytes == "SWAP-SPACE" {
		p.version("0") // has neither UUID nor label
		return true
	}
	return p.setSwap("1")
}

func probeSuspend(p *probe, m *magic) bool {
	version := ""
	switch m.bytes {
	case "S1SUSPEND":
		version = "s1suspend"
	case "S2SUSPEND":
		version = "s2suspend"
	case "ULSUSPEND":
		version = "ulsuspend"
	case "LINHIB0001":
		version = "linhib0001"
	default:
		version = "tuxonice"
	}
	return p.setSwap(version)
}

func (p *probe) setSwap(version string) bool {
	b := p.bytes(1024, 516)
	if b == nil {
		return false
	}
	if version == "1" && (le.Uint32(b) != 1 && be.Uint32(b) != 1 || zero(b[4:8])) {
		return false
	}
	if zero(b[172:180]) {
		p.label(b[28:44])
		p.uuid(b[12:])
	}
	p.version(version)
	return true
}
