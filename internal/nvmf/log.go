package nvmf

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Sizes of the discovery log page: its header, and each entry, in bytes; and how
// many entries are read.
const (
	LogHeader  = 1024
	LogEntry   = 1024
	MaxEntries = 128
)

// Values of an entry's fields.
const (
	typeRDMA, typeFC, typeTCP       = 1, 2, 3
	subReferral, subNVMe, subItself = 1, 2, 3
)

var errLog = errors.New("the list of subsystems is cut off")

// LogSize is how long a log page is, in bytes, from its header: the entries that
// there are, and no more than are read. generation is another one when the list
// has changed meanwhile.
func LogSize(header []byte) (size int, generation uint64, err error) {
	if len(header) < 18 {
		return 0, 0, errLog
	}
	n := binary.LittleEndian.Uint64(header[8:])
	if f := binary.LittleEndian.Uint16(header[16:]); f != 0 {
		return 0, 0, errors.New("the list of subsystems is of a format that is not known")
	}
	return LogHeader + LogEntry*int(min(n, MaxEntries)), binary.LittleEndian.Uint64(header), nil
}

// ParseLog reads a discovery log page: the subsystems that from lists, and further
// discovery controllers. Those that this machine cannot reach by the same transport
// are left out.
func ParseLog(b []byte, from Target) ([]Target, error) {
	size, _, err := LogSize(b)
	if err != nil {
		return nil, err
	}
	if size > len(b) {
		return nil, errLog
	}
	var list []Target
	for e := b[LogHeader:size]; len(e) >= LogEntry; e = e[LogEntry:] {
		t := Target{Address: field(e[512:768]), Service: field(e[32:64]), NQN: field(e[256:512]), HostAddr: from.HostAddr, HostIface: from.HostIface,
			Host: from.Host, CtrlSecret: from.CtrlSecret, HeaderDigest: from.HeaderDigest, DataDigest: from.DataDigest, From: from.From}
		switch e[0] {
		case typeTCP:
			t.Transport = "tcp"
		case typeRDMA:
			t.Transport = "rdma"
		case typeFC:
			t.Transport = "fc"
		}
		switch e[2] {
		case subReferral:
			t.Discovery = true
		case subNVMe:
		default:
			continue // itself, or nothing that is known
		}
		if t.Transport != from.Transport || t.check() != nil {
			continue
		}
		if a, err := netip.ParseAddr(t.Address); err == nil && a.IsUnspecified() {
			t.Address = from.Address // at every address of the same machine
		}
		if !t.same(from) {
			list = Add(list, t)
		}
	}
	return list, nil
}

// field is a text that ends with blanks or zeroes.
func field(b []byte) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b)
}
