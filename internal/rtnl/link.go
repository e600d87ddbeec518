package rtnl

// Flags of a link (linux/if.h).
const (
	flagUp       = 0x1
	flagLoopback = 0x8
	flagLowerUp  = 0x10000
)

// Attributes of a link (linux/if_link.h).
const (
	attrAddress  = 1
	attrAll      = 2 // IFLA_BROADCAST
	attrName     = 3
	attrMTU      = 4
	attrMaster   = 10
	attrWireless = 11
	attrAlias    = 20
	attrState    = 16
	attrInfo     = 18
	attrPerm     = 54
	attrKind     = 1 // within attrInfo
)

// stateDormant is IF_OPER_DORMANT: something above the link is not done with it, as
// the authentication of 802.1X (RFC 2863, linux/if.h).
const stateDormant = 5

// linkSize is the size of struct ifinfomsg in bytes.
const linkSize = 16

// Link is one network interface.
type Link struct {
	Index   int
	Type    uint16 // of the hardware, ARPHRD_*: 1 is Ethernet, 32 InfiniBand
	Name    string
	Address []byte // of the hardware; six bytes of Ethernet
	// Broadcast is the address of all on the link: InfiniBand's depends on its
	// partition.
	Broadcast []byte
	// Permanent is the address that the hardware has by itself, nil where that is
	// not known (before Linux 5.6, and of what software makes).
	Permanent []byte
	MTU       uint32 // bytes
	Master    int    // index of the bond or bridge that it is in, 0 for none
	Up        bool   // set up by an administrator
	Carrier   bool   // there is somebody at the other end
	Loopback  bool
	// Kind is what a link is that software makes ("bridge", "vlan", "dummy" …),
	// "" for hardware.
	Kind string
}

// parseLink reads a struct ifinfomsg and its attributes. Two kinds of message are no
// news of the link, and have not all that belongs to it: what a bridge says of its
// ports, which is of the family AF_BRIDGE and calls a port that leaves deleted, and
// events of a radio (IFLA_WIRELESS, net/wireless/wext-core.c), with neither address
// nor state.
func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < linkSize || b[0] != 0 {
		return l, false
	}
	flags := native.Uint32(b[8:])
	l = Link{Type: native.Uint16(b[2:]), Index: int(int32(native.Uint32(b[4:]))), Up: flags&flagUp != 0,
		Loopback: flags&flagLoopback != 0, Carrier: flags&flagLowerUp != 0}
	for typ, v := range attributes(b, linkSize) {
		switch typ {
		case attrWireless:
			return l, false
		case attrAddress:
			if len(v) <= maxHardware {
				l.Address = append([]byte(nil), v...)
			}
		case attrState:
			// Somebody is at the other end, and does not let the link in yet.
			if len(v) > 0 && v[0] == stateDormant {
				l.Carrier = false
			}
		case attrPerm:
			if len(v) <= maxHardware {
				l.Permanent = append([]byte(nil), v...)
			}
		case attrAll:
			if len(v) <= maxHardware {
				l.Broadcast = append([]byte(nil), v...)
			}
		case attrName:
			l.Name = text(v)
		case attrMTU:
			l.MTU = u32(v)
		case attrMaster:
			l.Master = int(u32(v))
		case attrInfo:
			for typ, v := range attributes(v, 0) {
				if typ == attrKind {
					l.Kind = text(v[:min(len(v), 16)])
				}
			}
		}
	}
	return l, l.Index > 0 && ValidName(l.Name)
}

// maxHardware bounds the address of hardware: InfiniBand has 20 bytes.
const maxHardware = 32

func u32(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return native.Uint32(v)
}

// ValidName says whether a name can be that of an interface: up to 15
// characters, none of them a slash, a colon, a space or a control character.
func ValidName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 15 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '/' || c == ':' || c >= 0x7f {
			return false
		}
	}
	return true
}

// setLink begins a request that changes a link; flags of mask are set to those
// of flags.
func setLink(index int, flags, mask uint32) *request {
	r := newRequest(typeNewLink, flagAck)
	r.fixed(0, 0, 0, 0)
	r.u32fixed(uint32(index))
	r.u32fixed(flags)
	r.u32fixed(mask)
	return r
}

// setUp sets a link up or down.
func setUp(index int, up bool) *request {
	var flags uint32
	if up {
		flags = flagUp
	}
	return setLink(index, flags, flagUp)
}

func setMTU(index int, mtu uint32) *request {
	r := setLink(index, 0, 0)
	r.u32(attrMTU, mtu)
	return r
}

func setName(index int, name string) *request {
	r := setLink(index, 0, 0)
	r.attr(attrName, append([]byte(name), 0))
	return r
}

func setHardware(index int, address []byte) *request {
	r := setLink(index, 0, 0)
	r.attr(attrAddress, address)
	return r
}

func setAlias(index int, text string) *request {
	r := setLink(index, 0, 0)
	r.attr(attrAlias, []byte(text))
	return r
}
