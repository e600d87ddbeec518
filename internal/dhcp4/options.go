package dhcp4

import (
	"encoding/binary"
	"net/netip"
)

// Code is the number of an option.
type Code byte

// The options that are read or written here, by the IANA's numbers.
const (
	OptNetmask     Code = 1
	OptRouter      Code = 3
	OptDNS         Code = 6
	OptHostName    Code = 12
	OptDomain      Code = 15
	OptRootPath    Code = 17
	OptMTU         Code = 26
	OptBroadcast   Code = 28
	OptNTP         Code = 42
	OptVendor      Code = 43
	OptRequested   Code = 50
	OptLeaseTime   Code = 51
	OptOverload    Code = 52
	OptType        Code = 53
	OptServer      Code = 54
	OptRequestList Code = 55
	OptMessage     Code = 56
	OptMaxSize     Code = 57
	OptRenewal     Code = 58
	OptRebinding   Code = 59
	OptVendorClass Code = 60
	OptClientID    Code = 61
	OptTFTPServer  Code = 66
	OptBootFile    Code = 67
	OptUserClass   Code = 77
	OptRapidCommit Code = 80  // RFC 4039
	OptRelayInfo   Code = 82  // RFC 3046, a relay's and none of our business
	OptSearch      Code = 119 // RFC 3397
	OptRoutes      Code = 121 // RFC 3442
	OptRoutesMS    Code = 249 // the same as 121, by Microsoft before there was a number
)

const (
	optPad = 0
	optEnd = 255
)

// Option is one option, of any length.
type Option struct {
	Code Code
	Data []byte
}

// Options are those of a message in the order in which they first appear, each
// once.
type Options []Option

// Get is the data of an option, nil if it is not there; an option without data
// has an empty slice that is not nil.
func (o Options) Get(c Code) []byte {
	for i := range o {
		if o[i].Code == c {
			return o[i].Data
		}
	}
	return nil
}

// Has says whether the option is there, with data or without.
func (o Options) Has(c Code) bool { return o.Get(c) != nil }

// Type is the type of the message, 0 if it has none.
func (o Options) Type() Type {
	if v := o.Get(OptType); len(v) == 1 {
		return Type(v[0])
	}
	return 0
}

// Addr is the value of an option that is one address.
func (o Options) Addr(c Code) (netip.Addr, bool) {
	v := o.Get(c)
	if len(v) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(v)), true
}

// Uint32 is the value of an option that is a number of four bytes.
func (o Options) Uint32(c Code) (uint32, bool) {
	v := o.Get(c)
	if len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// add appends data to an option. The data of the message are not written to:
// a slice is copied when it grows.
func (o *Options) add(c Code, data []byte) {
	for i := range *o {
		if old := &(*o)[i]; old.Code == c {
			old.Data = append(old.Data[:len(old.Data):len(old.Data)], data...)
			return
		}
	}
	*o = append(*o, Option{c, data[:len(data):len(data)]})
}

// parse adds the options of one field. A field without an end mark is
// tolerated: several servers leave it out where the field is full.
func (o *Options) parse(b []byte) error {
	for len(b) > 0 {
		switch b[0] {
		case optPad:
			b = b[1:]
			continue
		case optEnd:
			return nil
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return errOptions
		}
		n := 2 + int(b[1])
		o.add(Code(b[0]), b[2:n])
		b = b[n:]
	}
	return nil
}

// append writes the options, those longer than 255 bytes in pieces (RFC 3396).
func (o Options) append(b []byte) []byte {
	for _, opt := range o {
		data := opt.Data
		for first := true; first || len(data) > 0; first = false {
			n := min(len(data), 255)
			b = append(b, byte(opt.Code), byte(n))
			b = append(b, data[:n]...)
			data = data[n:]
		}
	}
	return b
}

// addrs reads a list of addresses and keeps those that can be a host's, at
// most limit of them, each once.
func addrs(v []byte, limit int) []netip.Addr {
	var list []netip.Addr
next:
	for ; len(v) >= 4 && len(list) < limit; v = v[4:] {
		a := netip.AddrFrom4([4]byte(v[:4]))
		if !isHost(a) {
			continue
		}
		for _, b := range list {
			if a == b {
				continue next
			}
		}
		list = append(list, a)
	}
	return list
}

// isHost says whether the address can be that of another host.
func isHost(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && a.As4()[0] != 0 && a.As4()[0] < 224
}
