package bootsector

import (
	"bytes"

	"firstlight/internal/blkread"
)

// BitLockerKind is the generation of a BitLocker header.
type BitLockerKind int

// The three headers that Windows writes.
const (
	BitLockerVista BitLockerKind = iota
	BitLockerWin7
	BitLockerToGo
)

// BitLocker is the header of a BitLocker volume, as libbde's "BitLocker
// Drive Encryption (BDE) format specification" describes it:
//
//	Windows 7: 67 u32 volume serial, 176 u64 offset of the FVE metadata
//	To Go:    440 u64 offset of the FVE metadata
type BitLocker struct {
	Kind    BitLockerKind
	Serial  []byte // 4 bytes as stored; Windows 7 only
	Version uint16 // of the FVE metadata; not on Vista
}

var bitLockerMagics = [...]string{
	BitLockerVista: "\xeb\x52\x90-FVE-FS-",
	BitLockerWin7:  "\xeb\x58\x90-FVE-FS-",
	BitLockerToGo:  "\xeb\x58\x90MSWIN4.1",
}

// FindBitLocker returns the BitLocker header at the start of the device, or
// nil. Newer headers count only when they lead to FVE metadata.
func FindBitLocker(d *blkread.Reader) *BitLocker {
	b := d.Bytes(0, 512)
	if b == nil {
		return nil
	}
	for kind, magic := range bitLockerMagics {
		if !bytes.HasPrefix(b, []byte(magic)) {
			continue
		}
		v := &BitLocker{Kind: BitLockerKind(kind)}
		at := 440
		switch v.Kind {
		case BitLockerVista:
			return v
		case BitLockerWin7:
			at, v.Serial = 176, b[67:71]
		}
		off := le.Uint64(b[at:])
		if off == 0 {
			return nil
		}
		fve := d.Bytes(off, 12)
		if fve == nil || !bytes.HasPrefix(fve, []byte("-FVE-FS-")) {
			return nil
		}
		v.Version = le.Uint16(fve[10:])
		return v
	}
	return nil
}
