package netconf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/fcoe"
	"firstlight/internal/timespan"
)

// Limits of a configuration.
const (
	maxParams  = 256 // that are about the network
	maxMembers = 64
	maxName    = 15 // IFNAMSIZ, without the end
)

// parser is the state of one Parse.
type parser struct {
	c        *Config
	arg      Param
	problems []Problem
	bootIF   Match // BOOTIF=
	useBoot  bool  // rd.bootif
	ksBootIF bool  // ksdevice=bootif
	bootDev  Match // bootdev=, ksdevice=
	gateway  netip.Addr
	netmask  int // bits, -1 for none
	mtu      int
	root     string // root=
	rootArg  Param
	netroot  []Param
	nfsroot  Param
	bootNFS  bool // boot=nfs
	nfsOpts  string
	// sshfsroot is make-initrd's.
	sshfsroot Param
	nbdroot   Param
	nbddev    string
	nbdport   string
	target    target // of iSCSI
	ipSeen    bool
	fcoeOn    bool // rd.fcoe, unless it is off
	adapters  []Match
}

// handlers are the parameters, with '_' for '-' in their names.
var handlers = [...]struct {
	name string
	read func(*parser)
}{
	{"ip", (*parser).ip},
	{"nfsaddrs", (*parser).ip},
	{"ifname", (*parser).ifname},
	{"rd.route", (*parser).route},
	{"route", (*parser).route},
	{"bootdev", (*parser).bootdev},
	{"ksdevice", (*parser).ksdevice},
	{"BOOTIF", (*parser).bootif},
	{"rd.bootif", func(p *parser) { p.bool(&p.useBoot) }},
	{"rd.neednet", func(p *parser) { p.bool(&p.c.Need) }},
	{"rd.peerdns", func(p *parser) { p.bool(&p.c.PeerDNS) }},
	{"nameserver", (*parser).nameserver},
	{"dns", (*parser).nameserver},
	{"domain", (*parser).domain},
	{"hostname", (*parser).hostname},
	{"gateway", func(p *parser) { p.addr(&p.gateway) }},
	{"netmask", (*parser).mask},
	{"mtu", func(p *parser) { p.size(&p.mtu, p.arg.Value) }},
	{"vlan", (*parser).vlan},
	{"bond", (*parser).bond},
	{"team", (*parser).team},
	{"bridge", (*parser).bridge},
	{"rd.nvmf.nonbft", func(p *parser) {
		off := false
		p.bool(&off)
		p.c.NBFT = p.c.NBFT && !off
	}},
	{"rd.net.dhcp.retry", (*parser).retry},
	{"rd.net.dhcp.vendor_class", func(p *parser) { p.text(&p.c.DHCP.VendorClass) }},
	{"rd.net.dhcp.client_id", func(p *parser) { p.text(&p.c.DHCP.ClientID) }},
	{"rd.net.timeout.dhcp", func(p *parser) { p.seconds(&p.c.Timeouts.DHCP) }},
	{"rd.net.timeout.iflink", func(p *parser) { p.seconds(&p.c.Timeouts.Link) }},
	{"rd.net.timeout.ifup", func(p *parser) { p.seconds(&p.c.Timeouts.Up) }},
	{"rd.net.timeout.carrier", func(p *parser) { p.seconds(&p.c.Timeouts.Carrier) }},
	{"rd.net.timeout.route", func(p *parser) { p.seconds(&p.c.Timeouts.Route) }},
	{"rd.net.timeout.ipv6dad", func(p *parser) { p.seconds(&p.c.Timeouts.IPv6DAD) }},
	{"rd.net.timeout.ipv6auto", func(p *parser) { p.seconds(&p.c.Timeouts.IPv6Auto) }},
	{"iptimeout", func(p *parser) { p.seconds(&p.c.Timeouts.DHCP) }},
	{"root", func(p *parser) { p.root, p.rootArg = p.arg.Value, p.arg }},
	{"netroot", func(p *parser) { p.netroot = append(p.netroot, p.arg) }},
	{"nfsroot", func(p *parser) { p.nfsroot = p.arg }},
	{"nfsopts", func(p *parser) { p.text(&p.nfsOpts) }},
	{"sshfsroot", func(p *parser) { p.sshfsroot = p.arg }},
	{"nbdroot", func(p *parser) { p.nbdroot = p.arg }},
	{"nbddev", func(p *parser) { p.text(&p.nbddev) }},
	{"nbdport", func(p *parser) { p.text(&p.nbdport) }},
	{"rd.nvmf.connect", (*parser).fabrics},
	{"rd.nvmf.discover", (*parser).fabrics},
	{"nvmf.connect", (*parser).fabrics},
	{"nvmf.discover", (*parser).fabrics},
	{"nvmf_connect", (*parser).fabrics},
	{"nvmf_discover", (*parser).fabrics},
	{"fcoe", (*parser).fcoe},
	{"rd.fcoe", func(p *parser) { p.bool(&p.fcoeOn) }},
	{"boot", func(p *parser) { p.bootNFS = p.arg.Value == "nfs" }},
}

// Names are the parameters that Parse reads, beside root= and boot=, which are
// not its alone, sorted, with '_' for '-'.
func Names() []string {
	var list []string
	for i := range handlers {
		if name := handlers[i].name; name != "root" && name != "boot" {
			list = append(list, name)
		}
	}
	for _, h := range iscsiParams {
		list = append(list, "iscsi_"+h.name)
		rest, in := strings.CutPrefix(h.name, "in_")
		rest = strings.Replace(rest, "target_", "target.", 1)
		if in {
			rest = "in." + rest
		}
		list = append(list, "rd.iscsi."+rest)
	}
	slices.Sort(list)
	return list
}

// Parse reads the parameters, later ones winning for single values and adding
// to lists, and returns what is wrong with them in order. Those that are not
// about the network are passed over.
func Parse(params []Param) (*Config, []Problem) {
	p := &parser{
		fcoeOn:  true,
		c:       &Config{PeerDNS: true, NBFT: true, DHCP: DHCP{Retry: 1}},
		netmask: -1, useBoot: true,
	}
	used := 0
	for _, arg := range params {
		name := strings.ReplaceAll(arg.Name, "-", "_")
		i := 0
		for i < len(handlers) && handlers[i].name != name {
			i++
		}
		read := iscsiParam(name)
		if i < len(handlers) {
			read = handlers[i].read
		}
		if read == nil {
			continue
		}
		p.arg = arg
		if used++; used > maxParams {
			p.bad("more than "+strconv.Itoa(maxParams)+" parameters for the network, the rest is not read", "")
			break
		}
		read(p)
	}
	p.finish()
	return p.c, p.problems
}

// bad reports the current parameter, which has no effect then.
func (p *parser) bad(what, write string) { p.problem(what, write, false) }

// note reports the current parameter, which has an effect.
func (p *parser) note(what, write string) { p.problem(what, write, true) }

func (p *parser) problem(what, write string, used bool) {
	s := p.arg.Name
	if p.arg.HasValue {
		s += "=" + redact(p.arg.Value)
	}
	q := Problem{Param: s, What: what, Write: write, Used: used}
	if !slices.Contains(p.problems, q) {
		p.problems = append(p.problems, q)
	}
}

// redact hides the names and passwords that stand before an '@' in the value of
// a root.
func redact(v string) string {
	at := strings.LastIndexByte(v, '@')
	scheme, _, ok := strings.Cut(v, ":")
	if at < 0 || !ok || len(scheme) > at {
		return v
	}
	return scheme + ":…" + v[at:]
}

func (p *parser) bool(dst *bool) {
	switch v := p.arg.Value; {
	case !p.arg.HasValue, v == "1", v == "yes", v == "on", v == "true", v == "y":
		*dst = true
	case v == "0", v == "no", v == "off", v == "false", v == "n":
		*dst = false
	default:
		p.bad("neither yes nor no", p.arg.Name+"=1 or "+p.arg.Name+"=0")
	}
}

// text takes what can be seen and has no blanks.
func (p *parser) text(dst *string) {
	if v := p.arg.Value; v == "" || len(v) > 255 || !visible(v) {
		p.bad("not a text without blanks of at most 255 bytes", "")
	} else {
		*dst = v
	}
}

func (p *parser) seconds(dst *time.Duration) {
	d, err := timespan.Parse(p.arg.Value)
	if err != nil {
		p.bad(err.Error(), p.arg.Name+"=30")
		return
	}
	*dst = d
}

// fabrics are NVMe subsystems, which are reached over the network unless they are
// on Fibre Channel. What they are is package nvmfconf's business.
func (p *parser) fabrics() {
	if transport, _, _ := strings.Cut(p.arg.Value, ","); transport == "tcp" || transport == "rdma" {
		p.c.Need = true
	}
}

// fcoe has the link of an adapter of Fibre Channel set up.
func (p *parser) fcoe() {
	i, err := fcoe.Parse(p.arg.Value)
	if err != nil {
		p.bad(err.Error(), "fcoe=eth0:nodcb")
		return
	}
	p.adapters = append(p.adapters, Match{Name: i.Link, MAC: MAC(i.MAC)})
}

// bareAdapters adds the links of adapters of Fibre Channel that no ip= is for: they need
// no address.
func (p *parser) bareAdapters() {
	if !p.fcoeOn {
		return
	}
	for _, m := range p.adapters {
		p.c.Need = true
		at := slices.IndexFunc(p.c.Interfaces, func(in Interface) bool { return in.Match == m || in.Match.IsAny() })
		if at < 0 {
			at = len(p.c.Interfaces)
			p.c.Interfaces = append(p.c.Interfaces, Interface{Match: m, By: []string{"fcoe"}})
		}
		p.c.Interfaces[at].Bare = true
	}
}

func (p *parser) retry() {
	n, err := strconv.Atoi(p.arg.Value)
	if err != nil || n < 1 || n > 1000 {
		p.bad("not a number of tries from 1 to 1000", p.arg.Name+"=3")
		return
	}
	p.c.DHCP.Retry = n
}

// size reads an MTU.
func (p *parser) size(dst *int, text string) bool {
	n, err := strconv.Atoi(text)
	if err != nil || n < 68 || n > 65535 {
		p.bad(strconv.Quote(text)+" is not an MTU from 68 to 65535", "")
		return false
	}
	*dst = n
	return true
}

func (p *parser) addr(dst *netip.Addr) {
	a, ok := address(p.arg.Value)
	if !ok {
		p.bad("not an IP address", "")
		return
	}
	*dst = a
}

func (p *parser) mask() {
	if bits, ok := maskBits(p.arg.Value, 32); ok {
		p.netmask = bits
	} else {
		p.bad("not a netmask", p.arg.Name+"=255.255.255.0")
	}
}

func (p *parser) nameserver() {
	for w := range strings.SplitSeq(p.arg.Value, ",") {
		a, ok := address(w)
		if !ok {
			p.bad(strconv.Quote(w)+" is not an IP address", "")
			return
		}
		addTo(&p.c.DNS, a)
	}
}

func addTo(list *[]netip.Addr, a netip.Addr) {
	if !slices.Contains(*list, a) {
		*list = append(*list, a)
	}
}

func (p *parser) domain() {
	for w := range strings.SplitSeq(p.arg.Value, ",") {
		if !validHost(w) {
			p.bad(strconv.Quote(w)+" is not the name of a domain", "")
			return
		}
		p.c.Domains = append(p.c.Domains, w)
	}
}

func (p *parser) hostname() {
	if !validHost(p.arg.Value) || len(p.arg.Value) > 64 {
		p.bad("not the name of a host", "")
		return
	}
	p.c.HostName = p.arg.Value
}

// finish puts together what several parameters say.
func (p *parser) finish() {
	p.roots()
	c := p.c
	if c.Off && (len(c.Interfaces) > 0 || c.IBFT) {
		c.Off = false
		p.problems = append(p.problems, Problem{Param: "ip=off", What: "another parameter configures an interface"})
	}
	switch {
	case !p.bootDev.IsAny():
		c.Boot = p.bootDev
	case p.useBoot || p.ksBootIF:
		c.Boot = p.bootIF
	}
	if len(c.Roots) > 0 {
		c.Need = true
	}
	if c.Need && !p.ipSeen && len(c.Interfaces) == 0 && !c.IBFT {
		in := Interface{Method: DHCP4 | SLAAC | Either}
		if c.Bare() {
			in.Method = 0
		}
		c.Interfaces = append(c.Interfaces, in)
	}
	p.bareAdapters()
	for i := range c.Interfaces {
		p.complete(&c.Interfaces[i])
	}
	p.checkLinks()
}

// Bare says whether links are wanted that need no address: all roots are disks of ATA
// over Ethernet.
func (c *Config) Bare() bool {
	for i := range c.Roots {
		if c.Roots[i].Kind != RootAoE {
			return false
		}
	}
	return len(c.Roots) > 0
}

// complete adds to an interface what parameters of their own say of it.
func (p *parser) complete(in *Interface) {
	if in.Match.IsAny() && !slices.ContainsFunc(p.c.Interfaces, func(o Interface) bool { return o.Match == p.c.Boot }) {
		in.Match = p.c.Boot
	}
	if in.HostName != "" && p.c.HostName == "" {
		p.c.HostName = in.HostName
	}
	if in.MTU == 0 {
		in.MTU = p.mtu
	}
	if p.gateway.IsValid() && in.Method&Static != 0 && !in.hasGateway(p.gateway) {
		in.Gateways = append(in.Gateways, p.gateway)
	}
	if in.Method&Static == 0 {
		return
	}
	for i, a := range in.Addrs {
		if a.Bits() >= 0 {
			continue
		}
		p.arg = Param{Name: "ip", Value: in.By[0], HasValue: true}
		p.arg.Name, p.arg.Value, _ = strings.Cut(in.By[0], "=")
		bits := p.netmask
		switch {
		case a.Addr().Is6():
			bits = 64
			p.note("no prefix length for "+a.Addr().String()+", taken for 64", "it in the place of the netmask")
		case bits < 0:
			bits = classBits(a.Addr())
			p.note("no netmask for "+a.Addr().String()+", taken for "+strconv.Itoa(bits)+" bits by its class",
				"it in the fourth place: ip="+a.Addr().String()+":::255.255.255.0")
		}
		in.Addrs[i] = netip.PrefixFrom(a.Addr(), bits)
	}
}

// hasGateway says whether there is one of the same family.
func (in *Interface) hasGateway(a netip.Addr) bool {
	return slices.ContainsFunc(in.Gateways, func(b netip.Addr) bool { return a.Is4() == b.Is4() })
}

// classBits is the prefix length of the class of an IPv4 address, as the
// kernel takes it where no netmask is given.
func classBits(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}
