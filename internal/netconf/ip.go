package netconf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/spell"
)

// methods are the words of ip=, with what they ask for.
var methods = [...]struct {
	word   string
	method Method
	first  bool // of several interfaces the first one
}{
	{word: "dhcp", method: DHCP4 | SLAAC | Either},
	{word: "on", method: DHCP4 | SLAAC | Either},
	{word: "any", method: DHCP4 | SLAAC | Either},
	{word: "auto", method: DHCP4 | SLAAC | Either},
	{word: "single-dhcp", method: DHCP4 | SLAAC | Either, first: true},
	{word: "dhcp4", method: DHCP4},
	{word: "dhcp6", method: DHCP6},
	{word: "auto6", method: SLAAC},
	{word: "either6", method: SLAAC | Fallback6},
	{word: "link6", method: Link6},
	{word: "link-local", method: Link4 | Link6},
	{word: "ibft", method: IBFT},
	{word: "bootp", method: DHCP4},
	{word: "both", method: DHCP4},
	{word: "none"}, {word: "off"}, {word: "static"}, {word: "done"},
}

const methodWords = "dhcp, dhcp4, dhcp6, auto6, either6, link6, link-local, ibft, none, off"

// method reads a word; what is wrong with it is reported.
func (p *parser) method(word string) (m Method, first, ok bool) {
	for _, k := range methods {
		if k.word == word {
			if word == "bootp" || word == "both" {
				p.note("BOOTP is asked for; DHCP is used, which its servers answer too", "dhcp")
			}
			return k.method, k.first, true
		}
	}
	if word == "rarp" {
		p.bad("RARP is not supported", "dhcp")
		return 0, false, false
	}
	best, least := "", 3
	for _, k := range methods {
		if d := spell.Distance(k.word, word); d < least {
			best, least = k.word, d
		}
	}
	if best == "" {
		best = "one of " + methodWords
	}
	p.bad(strconv.Quote(word)+" is not a way to get an address", best)
	return 0, false, false
}

func isMethod(word string) bool {
	for _, k := range methods {
		if k.word == word {
			return true
		}
	}
	return word == "rarp"
}

// ip reads ip= in all its forms.
func (p *parser) ip() {
	p.ipSeen = true
	f := fields(p.arg.Value)
	in := Interface{By: []string{p.arg.Name + "=" + p.arg.Value}}
	ok := false
	switch {
	case len(f) == 1:
		ok = p.ipWord(&in, f[0])
	case isShort(f):
		ok = p.ipShort(&in, f)
	default:
		ok = p.ipLong(&in, f)
	}
	if !ok {
		return
	}
	if in.Method&IBFT != 0 {
		p.c.IBFT = true
	}
	p.addInterface(in)
}

// ipWord reads ip=METHOD, klibc's ip=INTERFACE and the kernel's ip=ADDRESS.
func (p *parser) ipWord(in *Interface, word string) (ok bool) {
	switch {
	case word == "", word == "all":
		word = "dhcp"
	case word == "none", word == "off", word == "done":
		p.c.Off = true
		return false
	case !isMethod(word):
		if a, bits, isAddr := prefix(word); isAddr {
			return p.static(in, a, bits)
		}
		// The name of an interface has a digit, that of a method as well at
		// times: what is nearly a method is one.
		if validInterface(word) && strings.ContainsAny(word, "0123456789") && !p.nearMethod(word) {
			in.Match.Name, word = word, "dhcp"
		}
	}
	in.Method, in.First, ok = p.method(word)
	return ok
}

func (p *parser) nearMethod(word string) bool {
	for _, k := range methods {
		if len(k.word) > 4 && spell.Distance(k.word, word) == 1 || len(k.word) >= 4 && strings.EqualFold(k.word, word) {
			return true
		}
	}
	return false
}

// isShort says whether the value is dracut's and make-initrd's
// INTERFACE:METHOD[:MTU][:MAC].
func isShort(f []string) bool {
	if _, _, isAddr := prefix(f[0]); f[0] == "" || isAddr {
		return false
	}
	if isMethod(f[1]) {
		return true
	}
	_, _, isAddr := prefix(f[1])
	return f[1] != "" && !isAddr && validInterface(f[0]) && !isHex(f[0])
}

// isHex says whether it may be the beginning of an IPv6 address.
func isHex(s string) bool {
	return s != "" && len(s) <= 4 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func isEmpty(f []string) bool { return !slices.ContainsFunc(f, func(s string) bool { return s != "" }) }

func (p *parser) ipShort(in *Interface, f []string) (ok bool) {
	if !p.interfaceName(f[0]) {
		return false
	}
	in.Match.Name = f[0]
	if in.Method, in.First, ok = p.method(f[1]); !ok {
		return false
	}
	return p.ipTail(in, f[2:], false)
}

// interfaceName reports a name that no interface can have.
func (p *parser) interfaceName(s string) bool {
	if validInterface(s) {
		return true
	}
	p.bad(strconv.Quote(s)+" is not the name of an interface (at most 15 characters)", "")
	return false
}

// ipLong reads CLIENT:PEER:GATEWAY:NETMASK:HOST:INTERFACE:METHOD and what
// follows it.
func (p *parser) ipLong(in *Interface, f []string) bool {
	const client, peer, gateway, mask, host, name, method, rest = 0, 1, 2, 3, 4, 5, 6, 7
	at := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	if n := at(name); n != "" && n != "all" {
		if !p.interfaceName(n) {
			return false
		}
		in.Match.Name = n
	}
	if _, _, ok := prefix(at(client)); !ok && at(client) != "" {
		p.bad(strconv.Quote(at(client))+" is not an IP address", p.bracketHint(f))
		return false
	}
	word := at(method)
	if word == "" {
		// Nothing is said: an address is used as it is, else there is none.
		if word = "dhcp"; at(client) != "" {
			word = "none"
		}
	}
	var ok bool
	if in.Method, in.First, ok = p.method(word); !ok {
		return false
	}
	if s := at(client); s != "" {
		a, bits, _ := prefix(s)
		if m := at(mask); m != "" {
			if bits, ok = maskBits(m, a.BitLen()); !ok {
				p.bad(strconv.Quote(m)+" is not a netmask or the length of a prefix", "255.255.255.0 or 24")
				return false
			}
		}
		if !a.IsUnspecified() && !p.static(in, a, bits) {
			return false
		}
	}
	if in.Method&Static == 0 && (word == "none" || word == "off" || word == "static") {
		if in.Match.IsAny() {
			// The kernel's spelling of no configuration.
			p.c.Off = true
			return false
		}
	}
	if s := at(host); s != "" {
		if !validHost(s) || len(s) > 64 {
			p.bad(strconv.Quote(s)+" is not the name of a host", "")
			return false
		}
		in.HostName = s
	}
	if !p.ipGateway(in, at(gateway)) || !p.ipPeer(in, at(peer)) {
		return false
	}
	if len(f) <= rest {
		return true
	}
	return p.ipTail(in, f[rest:], true)
}

// bracketHint says what is likely wrong with an address that is none.
func (p *parser) bracketHint(f []string) string {
	if isHex(f[0]) && !strings.Contains(p.arg.Value, "[") {
		return "IPv6 addresses between brackets: [2001:db8::1]"
	}
	return ""
}

// static adds an address. bits is -1 if nothing was said of the network.
func (p *parser) static(in *Interface, a netip.Addr, bits int) bool {
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		p.bad(a.String()+" is not an address for an interface", "")
		return false
	}
	if bits == 0 {
		p.bad("a netmask of 0 bits", "255.255.255.0 or 24")
		return false
	}
	in.Method |= Static
	in.Addrs = append(in.Addrs, netip.PrefixFrom(a, bits))
	return true
}

func (p *parser) ipGateway(in *Interface, s string) bool {
	if s == "" {
		return true
	}
	g, ok := address(s)
	if !ok {
		p.bad("gateway "+strconv.Quote(s)+" is not an IP address", "")
		return false
	}
	if g.IsUnspecified() {
		return true // the kernel's spelling of none
	}
	in.Gateways = append(in.Gateways, g)
	for _, a := range in.Addrs {
		if a.Addr() == g {
			p.bad("the gateway is the machine itself", "")
			return false
		}
		if a.Bits() >= 0 && !a.IsSingleIP() && a.Addr().Is4() && g.Is4() && !a.Contains(g) {
			p.note("gateway "+g.String()+" is not in "+a.Masked().String()+"; used as if it were on the link", "")
		}
	}
	return true
}

// ipPeer reads the second field: dracut's address of the other end, or the
// kernel's server. It is the other end if it says so by a length, or if there
// is no network beside it.
func (p *parser) ipPeer(in *Interface, s string) bool {
	if s == "" {
		return true
	}
	a, bits, ok := prefix(s)
	if !ok {
		p.bad(strconv.Quote(s)+" is neither a peer nor a server, which are IP addresses", "")
		return false
	}
	single := len(in.Addrs) > 0 && in.Addrs[0].IsSingleIP()
	switch {
	case a.IsUnspecified():
	case bits >= 0:
		in.Peer = netip.PrefixFrom(a, bits)
	case single && in.Method == Static:
		in.Peer = netip.PrefixFrom(a, a.BitLen())
	default:
		in.Server = a
	}
	return true
}

// ipTail reads what follows the method: an MTU and a hardware address, or
// addresses of name servers and, third, of a time server.
func (p *parser) ipTail(in *Interface, f []string, addrs bool) bool {
	if len(f) > 0 && f[0] != "" {
		if a, ok := address(f[0]); ok && addrs {
			return p.ipServers(in, a, f[1:])
		}
		if !p.size(&in.MTU, f[0]) {
			return false
		}
	}
	if len(f) < 2 || isEmpty(f[1:]) {
		return true
	}
	rest := f[1:]
	if mac, ok := ParseMAC(strings.Join(rest, ":")); ok {
		in.MAC = mac
		return true
	}
	if a, ok := address(rest[0]); ok && addrs && f[0] == "" {
		return p.ipServers(in, netip.Addr{}, append([]string{a.String()}, rest[1:]...))
	}
	if addrs && isEmpty(rest[:1]) && len(rest) == 2 {
		return p.ipServers(in, netip.Addr{}, rest)
	}
	p.bad(strconv.Quote(strings.Join(rest, ":"))+" is not a hardware address", "it as 52:54:00:12:34:56")
	return false
}

// ipServers adds up to two name servers and one for the time.
func (p *parser) ipServers(in *Interface, first netip.Addr, rest []string) bool {
	if len(rest) > 2 {
		p.bad("there are too many fields", "IPv6 addresses, if there are any, between brackets: [2001:db8::1]")
		return false
	}
	if first.IsValid() {
		addTo(&in.DNS, first)
	}
	for i, s := range rest {
		if s == "" {
			continue
		}
		a, ok := address(s)
		if !ok {
			p.bad(strconv.Quote(s)+" is not an IP address", "")
			return false
		}
		if i == 1 {
			addTo(&in.NTP, a)
		} else {
			addTo(&in.DNS, a)
		}
	}
	return true
}

// addInterface adds to what is said of the same interface already.
func (p *parser) addInterface(in Interface) {
	for i := range p.c.Interfaces {
		old := &p.c.Interfaces[i]
		if old.Match != in.Match {
			continue
		}
		old.Method |= in.Method
		old.First = old.First || in.First
		for _, a := range in.Addrs {
			if !slices.Contains(old.Addrs, a) {
				old.Addrs = append(old.Addrs, a)
			}
		}
		for _, g := range in.Gateways {
			if !old.hasGateway(g) {
				old.Gateways = append(old.Gateways, g)
			} else if !slices.Contains(old.Gateways, g) {
				p.note("another gateway for the same interface; it is not used", "rd.route= for other networks")
			}
		}
		for _, a := range in.DNS {
			addTo(&old.DNS, a)
		}
		for _, a := range in.NTP {
			addTo(&old.NTP, a)
		}
		set(&old.HostName, in.HostName)
		set(&old.MAC, in.MAC)
		set(&old.MTU, in.MTU)
		set(&old.Peer, in.Peer)
		set(&old.Server, in.Server)
		old.By = append(old.By, in.By...)
		return
	}
	p.c.Interfaces = append(p.c.Interfaces, in)
}

// set changes a value to one that is not zero.
func set[T comparable](dst *T, v T) {
	var zero T
	if v != zero {
		*dst = v
	}
}
