package rtnl

import "encoding/binary"

// Attr is an attribute of a link that software makes, which depends on its kind
// (IFLA_INFO_DATA). It has a value, or attributes within it.
type Attr struct {
	Type   uint16
	Value  []byte
	Nested []Attr
}

// Number types of attributes; integers are in the machine's byte order.
func attr8(typ uint16, v uint8) Attr   { return Attr{Type: typ, Value: []byte{v}} }
func attr16(typ uint16, v uint16) Attr { return Attr{Type: typ, Value: native.AppendUint16(nil, v)} }
func attr32(typ uint16, v uint32) Attr { return Attr{Type: typ, Value: native.AppendUint32(nil, v)} }

// NewLink is a link to be made by software.
type NewLink struct {
	// Kind is the kernel's name of what it is: "vlan", "bond", "bridge",
	// "dummy", "macvlan", "ipvlan", "ipoib", "wireguard".
	Kind string
	Name string
	On   int    // index of the link that it is on, 0 for none
	MTU  uint32 // bytes; 0 is the kernel's choice
	// Address of the hardware, nil for the kernel's choice.
	Address []byte
	Data    []Attr
}

// Attributes of links that software makes (linux/if_link.h).
const (
	attrLink     = 5
	attrInfoData = 2      // within attrInfo
	nested       = 0x8000 // NLA_F_NESTED
	flagExcl     = 0x200  // NLM_F_EXCL
)

// nest adds an attribute that has others within it.
func (r *request) nest(typ uint16, fill func()) {
	at := len(r.b)
	r.b = native.AppendUint16(r.b, 0)
	r.b = native.AppendUint16(r.b, typ|nested)
	fill()
	native.PutUint16(r.b[at:], uint16(len(r.b)-at))
}

func (r *request) attrs(list []Attr) {
	for _, a := range list {
		if a.Nested != nil {
			r.nest(a.Type, func() { r.attrs(a.Nested) })
			continue
		}
		r.attr(a.Type, a.Value)
	}
}

// info adds what kind of link it is, and its attributes.
func (r *request) info(kind string, data []Attr) {
	r.nest(attrInfo, func() {
		r.attr(attrKind, append([]byte(kind), 0))
		if len(data) > 0 {
			r.nest(attrInfoData, func() { r.attrs(data) })
		}
	})
}

// makeLink makes a request for a new link. One of the same name is an error.
func makeLink(n NewLink) *request {
	r := newRequest(typeNewLink, flagAck|flagCreate|flagExcl)
	r.fixed(make([]byte, linkSize)...)
	r.attr(attrName, append([]byte(n.Name), 0))
	if n.On > 0 {
		r.u32(attrLink, uint32(n.On))
	}
	if n.MTU > 0 {
		r.u32(attrMTU, n.MTU)
	}
	if n.Address != nil {
		r.attr(attrAddress, n.Address)
	}
	r.info(n.Kind, n.Data)
	return r
}

// changeLink changes attributes of a link that is there.
func changeLink(index int, kind string, data []Attr) *request {
	r := setLink(index, 0, 0)
	r.info(kind, data)
	return r
}

// setMaster puts a link into a bond or a bridge; 0 takes it out.
func setMaster(index, master int) *request {
	r := setLink(index, 0, 0)
	r.u32(attrMaster, uint32(master))
	return r
}

// VLANs (linux/if_link.h, IFLA_VLAN_*; linux/if_ether.h).
const (
	vlanID       = 1
	vlanFlags    = 2
	vlanProtocol = 5
	etherQ       = 0x8100 // ETH_P_8021Q
	etherAD      = 0x88a8 // ETH_P_8021AD
	// VLAN_FLAG_*
	flagReorder, flagGVRP, flagLoose, flagMVRP = 1, 2, 4, 16
)

// VLANOptions are those of a VLAN beside its number.
type VLANOptions struct {
	ServiceTag        bool // 802.1ad: the outer tag of two
	GVRP, MVRP, Loose bool
	NoReorder         bool // the header stays in what packet sockets see
}

// VLAN is the data of a VLAN with a number from 1 to 4094.
func VLAN(id uint16, o VLANOptions) []Attr {
	protocol := uint16(etherQ)
	if o.ServiceTag {
		protocol = etherAD
	}
	list := []Attr{attr16(vlanID, id), {Type: vlanProtocol, Value: binary.BigEndian.AppendUint16(nil, protocol)}}
	var flags, mask uint32
	for _, f := range [...]struct {
		want, value bool
		flag        uint32
	}{{o.NoReorder, false, flagReorder}, {o.GVRP, true, flagGVRP}, {o.MVRP, true, flagMVRP}, {o.Loose, true, flagLoose}} {
		if f.want {
			mask |= f.flag
			if f.value {
				flags |= f.flag
			}
		}
	}
	if mask != 0 { // struct ifla_vlan_flags
		list = append(list, Attr{Type: vlanFlags, Value: native.AppendUint32(native.AppendUint32(nil, flags), mask)})
	}
	return list
}

// Bridges (linux/if_link.h, IFLA_BR_*).
const (
	bridgeForwardDelay = 1 // hundredths of a second
	bridgeHello        = 2
	bridgeMaxAge       = 3
	bridgeAgeing       = 4
	bridgeSTP          = 5
	bridgePriority     = 6
	bridgeFiltering    = 7
)

// BridgeOptions are those of a bridge. Times are in hundredths of a second, 0
// is the kernel's choice.
type BridgeOptions struct {
	// STP: the bridge speaks the spanning tree protocol, and a port forwards
	// nothing before twice ForwardDelay. Without it a port forwards at once.
	STP                                     bool
	ForwardDelay, HelloTime, MaxAge, Ageing uint32
	Priority                                uint16
	HasPriority, HasForwardDelay            bool
	Filtering                               bool // by VLAN
}

// Bridge is the data of a bridge.
func Bridge(o BridgeOptions) []Attr {
	stp := uint32(0)
	if o.STP {
		stp = 1
	}
	list := []Attr{attr32(bridgeSTP, stp)}
	if !o.STP || o.HasForwardDelay {
		list = append(list, attr32(bridgeForwardDelay, o.ForwardDelay))
	}
	for _, t := range [...]struct {
		typ uint16
		v   uint32
	}{{bridgeHello, o.HelloTime}, {bridgeMaxAge, o.MaxAge}, {bridgeAgeing, o.Ageing}} {
		if t.v > 0 {
			list = append(list, attr32(t.typ, t.v))
		}
	}
	if o.HasPriority {
		list = append(list, attr16(bridgePriority, o.Priority))
	}
	if o.Filtering {
		list = append(list, attr8(bridgeFiltering, 1))
	}
	return list
}

// Modes of a macvlan (linux/if_link.h, MACVLAN_MODE_*) and of an ipvlan
// (IPVLAN_MODE_*).
const (
	macvlanMode = 1
	ipvlanMode  = 1
)

// modeNumber is the number of a mode.
func modeNumber(word string, list []value) (uint32, bool) {
	for _, m := range list {
		if m.name == word {
			return m.number, true
		}
	}
	return 0, false
}

// MACVLAN is the data of a macvlan; the mode is "private", "vepa", "bridge",
// "passthru" or "source".
func MACVLAN(mode string) ([]Attr, bool) {
	n, ok := modeNumber(mode, []value{{"private", 1}, {"vepa", 2}, {"bridge", 4}, {"passthru", 8}, {"source", 16}})
	return []Attr{attr32(macvlanMode, n)}, ok
}

// IPVLAN is the data of an ipvlan; the mode is "l2", "l3" or "l3s".
func IPVLAN(mode string) ([]Attr, bool) {
	n, ok := modeNumber(mode, []value{{"l2", 0}, {"l3", 1}, {"l3s", 2}})
	return []Attr{attr16(ipvlanMode, uint16(n))}, ok
}

// IPoIB (linux/if_link.h, IFLA_IPOIB_*).
const (
	ipoibPKey = 1
	ipoibMode = 2
)

// IPoIB is the data of a child of an InfiniBand link for a partition key; the
// mode is "datagram", "connected" or "" for the parent's.
func IPoIB(pkey uint16, mode string) ([]Attr, bool) {
	list := []Attr{attr16(ipoibPKey, pkey)}
	if mode == "" {
		return list, true
	}
	n, ok := modeNumber(mode, []value{{"datagram", 0}, {"connected", 1}})
	return append(list, attr16(ipoibMode, uint16(n))), ok
}
