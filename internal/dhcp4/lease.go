package dhcp4

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"strings"
	"time"

	"firstlight/internal/fmt"
	"firstlight/internal/timespan"
)

// Limits of what is taken from one answer.
const (
	maxAddrs  = 8
	maxRoutes = 64
	maxNotes  = 16
	// minMTU is the least that every host has to take, RFC 791. What is less
	// would only slow the machine down.
	minMTU = 576
	// noLeaseTime is the lease of a server that does not say how long.
	noLeaseTime = time.Hour
	// minLease is the shortest lease that is taken.
	minLease = 10
)

// Route is one route of a lease.
type Route struct {
	Dst netip.Prefix // without host bits
	// Via is the router; it is not valid for what is on the link itself.
	Via netip.Addr
	// OnLink says that the router is reached directly although its address is
	// not in the network of the lease.
	OnLink bool
}

// Lease is what a server has given, checked. Nothing in it has a character that
// is not seen, a blank in a name, or an address that no host has.
type Lease struct {
	Addr   netip.Prefix // the address and its network
	Server netip.Addr   // the server's identifier
	// Broadcast is the network's broadcast address, if the server said it and
	// it is in the network.
	Broadcast netip.Addr
	Routes    []Route
	DNS, NTP  []netip.Addr
	HostName  string
	Domain    string
	Search    []string // domains to search, from option 119 or the domain
	MTU       int      // 0: nothing was said
	RootPath  string   // option 17 as it is
	// NextServer, TFTPServer and BootFile are from siaddr, option 66 or sname,
	// option 67 or file.
	NextServer netip.Addr
	TFTPServer string
	BootFile   string
	Vendor     []byte // option 43 as it is

	// Lifetime, Renew (T1) and Rebind (T2) count from the request that the
	// server answered; timespan.Forever is a lease without an end.
	Lifetime, Renew, Rebind time.Duration

	// Notes are what of the answer was not used, each a sentence's part for a
	// person: "MTU 68 is less than 576".
	Notes []string
}

// note keeps what was not used; the number is bounded.
func (l *Lease) note(format string, args ...any) {
	if len(l.Notes) < maxNotes {
		l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
	}
}

var (
	errNoAddress = errors.New("no address in it")
	errNoServer  = errors.New("it does not say which server it is from")
)

// Lease is what an offer or an acknowledgement gives, or what makes it useless.
func (m *Message) Lease() (*Lease, error) {
	l := &Lease{NextServer: m.SIAddr, Vendor: append([]byte(nil), m.Options.Get(OptVendor)...)}
	if !m.YIAddr.IsValid() {
		return nil, errNoAddress
	}
	if !isHost(m.YIAddr) {
		return nil, fmt.Errorf("%s is not an address for a host", m.YIAddr)
	}
	var ok bool
	if l.Server, ok = m.Options.Addr(OptServer); !ok || !isHost(l.Server) {
		return nil, errNoServer
	}
	bits, err := l.netmask(m)
	if err != nil {
		return nil, err
	}
	l.Addr = netip.PrefixFrom(m.YIAddr, bits)
	if bits < 31 {
		switch m.YIAddr {
		case l.Addr.Masked().Addr():
			return nil, fmt.Errorf("%s is the address of the network itself", l.Addr)
		case lastOf(l.Addr):
			return nil, fmt.Errorf("%s is the broadcast address of its network", l.Addr)
		}
	}
	if err := l.times(m); err != nil {
		return nil, err
	}
	if a, ok := m.Options.Addr(OptBroadcast); ok {
		if l.Addr.Contains(a) && a != m.YIAddr {
			l.Broadcast = a
		} else {
			l.note("broadcast address %s is not in %s", a, l.Addr.Masked())
		}
	}
	l.routes(m)
	l.DNS = addrs(m.Options.Get(OptDNS), maxAddrs)
	l.NTP = addrs(m.Options.Get(OptNTP), maxAddrs)
	l.mtu(m)
	l.names(m)
	return l, nil
}

// netmask is the length of the network's prefix; that of the address's class if
// the server says nothing.
func (l *Lease) netmask(m *Message) (int, error) {
	v := m.Options.Get(OptNetmask)
	if v == nil {
		bits := classBits(m.YIAddr)
		l.note("no netmask; taken for /%d", bits)
		return bits, nil
	}
	if len(v) == 4 {
		if bits, ok := MaskBits([4]byte(v)); ok && bits > 0 {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("netmask %x is not one", v)
}

// MaskBits is the length of the prefix that a netmask stands for.
func MaskBits(mask [4]byte) (bits int, ok bool) {
	v := binary.BigEndian.Uint32(mask[:])
	for v&(1<<31) != 0 {
		bits++
		v <<= 1
	}
	return bits, v == 0
}

// classBits is the prefix length of the class that the address is of.
func classBits(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	v := p.Addr().As4()
	n := binary.BigEndian.Uint32(v[:]) | uint32(uint64(1)<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(v[:], n)
	return netip.AddrFrom4(v)
}

// times reads the length of the lease and when it is to be renewed.
func (l *Lease) times(m *Message) error {
	secs, ok := m.Options.Uint32(OptLeaseTime)
	switch {
	case !ok:
		l.note("no lease time; taken for %d s", int64(noLeaseTime/time.Second))
		secs = uint32(noLeaseTime / time.Second)
	case secs < minLease:
		return fmt.Errorf("a lease of %d s, less than %d s", secs, minLease)
	case secs == math.MaxUint32:
		l.Lifetime, l.Renew, l.Rebind = timespan.Forever, timespan.Forever, timespan.Forever
		return nil
	}
	l.Lifetime = time.Duration(secs) * time.Second
	l.Renew, l.Rebind = l.Lifetime/2, l.Lifetime/8*7
	t1, has1 := m.Options.Uint32(OptRenewal)
	t2, has2 := m.Options.Uint32(OptRebinding)
	renew, rebind := l.Renew, l.Rebind
	if has1 {
		renew = time.Duration(t1) * time.Second
	}
	if has2 {
		rebind = time.Duration(t2) * time.Second
	}
	if renew > 0 && renew <= rebind && rebind < l.Lifetime {
		l.Renew, l.Rebind = renew, rebind
	} else if has1 || has2 {
		l.note("times of renewal %d s and %d s make no sense for a lease of %d s", t1, t2, secs)
	}
	return nil
}

func (l *Lease) mtu(m *Message) {
	v := m.Options.Get(OptMTU)
	if len(v) != 2 {
		return
	}
	if n := int(binary.BigEndian.Uint16(v)); n < minMTU {
		l.note("MTU %d is less than %d", n, minMTU)
	} else {
		l.MTU = n
	}
}

// names reads what is not a number.
func (l *Lease) names(m *Message) {
	get := func(c Code, what string) string {
		v := m.Options.Get(c)
		if len(v) == 0 {
			return ""
		}
		s, ok := text(v)
		if !ok {
			l.note("%s has characters that no name has", what)
		}
		return s
	}
	if s := get(OptHostName, "the host's name"); ValidHostName(s) {
		l.HostName = s
	} else if s != "" {
		l.note("host name %q is not one", s)
	}
	// Several servers send a list of domains where there is one.
	for s := range strings.FieldsSeq(get(OptDomain, "the domain")) {
		switch {
		case !ValidDomain(s):
			l.note("domain %q is not one", s)
		case len(l.Search) < maxSearch:
			l.Search = append(l.Search, strings.TrimSuffix(s, "."))
		}
	}
	if len(l.Search) > 0 {
		l.Domain = l.Search[0]
	}
	if v := m.Options.Get(OptSearch); v != nil {
		if list, err := domainList(v); err != nil {
			l.note("the domains to search: %v", err)
		} else if len(list) > 0 {
			l.Search = list
		}
	}
	l.RootPath = get(OptRootPath, "the path of the root")
	if l.TFTPServer = get(OptTFTPServer, "the name of the TFTP server"); l.TFTPServer == "" {
		l.TFTPServer, _ = text(m.SName)
	}
	if l.BootFile = get(OptBootFile, "the name of the boot file"); l.BootFile == "" {
		l.BootFile, _ = text(m.File)
	}
}

// routes reads the classless routes, and the routers only where there are none
// (RFC 3442).
func (l *Lease) routes(m *Message) {
	for _, c := range [...]Code{OptRoutes, OptRoutesMS} {
		v := m.Options.Get(c)
		if len(v) == 0 {
			continue
		}
		if list, ok := classless(v); ok {
			for _, r := range list {
				l.addRoute(r.Dst, r.Via)
			}
			return
		}
		l.note("the routes of option %d cannot be read", byte(c))
	}
	// The first router is the preferred one; two default routes of one
	// interface would only be in each other's way.
	for _, a := range addrs(m.Options.Get(OptRouter), maxAddrs) {
		if l.addRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), a) {
			return
		}
	}
}

// addRoute keeps a route that can be one.
func (l *Lease) addRoute(dst netip.Prefix, via netip.Addr) bool {
	r := Route{Dst: dst, Via: via}
	switch {
	case !via.IsValid():
	case !isHost(via) || via == l.Addr.Addr():
		l.note("%s cannot be a router", via)
		return false
	case !l.Addr.Contains(via):
		r.OnLink = true
		if !l.onLink(via) {
			l.note("router %s is not in %s; used as if it were on the link", via, l.Addr.Masked())
		}
	}
	if first := dst.Addr().As4()[0]; dst.Bits() > 0 && (first == 127 || first >= 224 && dst.Bits() >= 4) {
		l.note("a route to %s", dst)
		return false
	}
	if len(l.Routes) == maxRoutes {
		l.note("more than %d routes", maxRoutes)
		return false
	}
	for _, have := range l.Routes {
		if have.Dst == dst {
			return false
		}
	}
	l.Routes = append(l.Routes, r)
	return true
}

// onLink says whether the server itself says that the address is reached
// without a router: by a route, or by a network of one address alone.
func (l *Lease) onLink(a netip.Addr) bool {
	for _, r := range l.Routes {
		if !r.Via.IsValid() && r.Dst.Contains(a) {
			return true
		}
	}
	return l.Addr.IsSingleIP()
}

// classless reads option 121: for each route the length of its prefix, as many
// bytes as are not zero by that, and the router, 0.0.0.0 for the link itself.
func classless(v []byte) (list []Route, ok bool) {
	for len(v) > 0 {
		bits := int(v[0])
		n := 1 + (bits+7)/8
		if bits > 32 || len(v) < n+4 {
			return nil, false
		}
		var dst [4]byte
		copy(dst[:], v[1:n])
		list = append(list, Route{
			Dst: netip.PrefixFrom(netip.AddrFrom4(dst), bits).Masked(),
			Via: addrAt(v, n),
		})
		v = v[n+4:]
	}
	return list, true
}
