package netconf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// match reads the name or the hardware address of an interface.
func (p *parser) match(s string) (Match, bool) {
	if mac, ok := ParseMAC(s); ok {
		return Match{MAC: mac}, true
	}
	if !validInterface(s) {
		p.bad(strconv.Quote(s)+" is neither the name of an interface nor a hardware address", "")
		return Match{}, false
	}
	return Match{Name: s}, true
}

func (p *parser) bootdev() {
	if m, ok := p.match(p.arg.Value); ok {
		p.bootDev = m
	}
}

// bootif reads BOOTIF= as PXELINUX writes it: the hardware type, 01 for
// Ethernet and 20 for InfiniBand, before the address. The type may be missing.
func (p *parser) bootif() {
	v := p.arg.Value
	if len(v) == 20 || len(v) == 62 {
		if v[2] != '-' && v[2] != ':' {
			v = ""
		} else {
			v = v[3:]
		}
	}
	mac, ok := ParseMAC(v)
	if !ok {
		p.bad("not a hardware address", "BOOTIF=01-52-54-00-12-34-56")
		return
	}
	p.bootIF = Match{MAC: mac}
}

// ksdevice is the installers': an interface, or a word.
func (p *parser) ksdevice() {
	switch v := p.arg.Value; v {
	case "link": // the first that has a carrier, as without it
	case "bootif":
		p.ksBootIF = true
	case "ibft":
		p.c.IBFT = true
	default:
		if m, ok := p.match(v); ok {
			p.bootDev = m
		}
	}
}

func (p *parser) ifname() {
	name, addr, _ := strings.Cut(p.arg.Value, ":")
	mac, ok := ParseMAC(addr)
	if !ok {
		p.bad(strconv.Quote(addr)+" is not a hardware address", "ifname=bootnet:52:54:00:12:34:56")
		return
	}
	if !p.interfaceName(name) {
		return
	}
	for i, r := range p.c.Renames {
		switch {
		case r.MAC == mac:
			if r.Name != name {
				p.note("the same interface had another name, "+r.Name, "")
			}
			p.c.Renames[i].Name = name
			return
		case r.Name == name:
			p.bad("another interface has the name", "")
			return
		}
	}
	if rest, found := strings.CutPrefix(name, "eth"); found && strings.Trim(rest, "0123456789") == "" {
		p.note("the kernel gives names like it too, in the order of its drivers", "another name, such as bootnet")
	}
	p.c.Renames = append(p.c.Renames, Rename{name, mac})
}

func (p *parser) route() {
	f := fields(p.arg.Value)
	const form = "rd.route=192.0.2.0/24:198.51.100.1 or rd.route=192.0.2.0/24:198.51.100.1:eth0"
	if len(f) < 2 || len(f) > 3 {
		p.bad("not NETWORK:GATEWAY[:INTERFACE]", form)
		return
	}
	a, bits, ok := prefix(f[0])
	if !ok {
		p.bad(strconv.Quote(f[0])+" is not a network", form)
		return
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	r := Route{Dst: netip.PrefixFrom(a, bits).Masked()}
	if f[1] != "" {
		if r.Via, ok = address(f[1]); !ok || r.Via.Is4() != a.Is4() {
			p.bad("gateway "+strconv.Quote(f[1])+" is not an IP address of the network's family", form)
			return
		}
	}
	if len(f) == 3 && f[2] != "" {
		if !p.interfaceName(f[2]) {
			return
		}
		r.Interface = f[2]
	}
	if !r.Via.IsValid() && r.Interface == "" {
		p.bad("neither a gateway nor an interface", form)
		return
	}
	if !slices.Contains(p.c.Routes, r) {
		p.c.Routes = append(p.c.Routes, r)
	}
}

// members reads a list of interfaces.
func (p *parser) members(s string) ([]string, bool) {
	var list []string
	for w := range strings.SplitSeq(s, ",") {
		switch {
		case w == "":
		case !p.interfaceName(w):
			return nil, false
		case !slices.Contains(list, w):
			list = append(list, w)
		}
	}
	if len(list) == 0 || len(list) > maxMembers {
		p.bad("it names no interface to be made of, or more than "+strconv.Itoa(maxMembers), "")
		return nil, false
	}
	return list, true
}

// addLink adds a link; one of the same name takes the place of the older.
func (p *parser) addLink(l Link) {
	if slices.Contains(l.Members, l.Name) {
		p.bad("it is made of itself", "")
		return
	}
	for i := range p.c.Links {
		if p.c.Links[i].Name == l.Name {
			p.note("there are two links "+l.Name+"; this one counts", "")
			p.c.Links[i] = l
			return
		}
	}
	p.c.Links = append(p.c.Links, l)
}

// vlan reads vlan=NAME:INTERFACE. The identifier is the number at the end of
// the name.
func (p *parser) vlan() {
	const form = "vlan=eth0.5:eth0 or vlan=vlan5:eth0"
	name, on, ok := strings.Cut(p.arg.Value, ":")
	if !ok {
		p.bad("not NAME:INTERFACE", form)
		return
	}
	if !p.interfaceName(name) || !p.interfaceName(on) {
		return
	}
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	id, err := strconv.Atoi(digits)
	if err != nil || id < 1 || id > 4094 {
		p.bad("the name does not end with the number of a VLAN, 1 to 4094", form)
		return
	}
	p.addLink(Link{Kind: VLAN, Name: name, Members: []string{on}, ID: uint16(id)})
}

func (p *parser) bridge() {
	v := p.arg.Value
	if v == "" {
		v = "br0:eth0"
	}
	name, ports, ok := strings.Cut(v, ":")
	if !ok {
		p.bad("not NAME:INTERFACES", "bridge=br0:eth0,eth1")
		return
	}
	if !p.interfaceName(name) {
		return
	}
	if m, ok := p.members(ports); ok {
		p.addLink(Link{Kind: Bridge, Name: name, Members: m})
	}
}

// runners are teamd's, with the mode of a bond that does the same; "" for none.
var runners = [...]struct{ runner, mode string }{
	{"activebackup", "active-backup"}, {"roundrobin", "balance-rr"}, {"broadcast", "broadcast"},
	{"loadbalance", "balance-xor"}, {"lacp", "802.3ad"}, {"random", ""},
}

func (p *parser) team() {
	v := p.arg.Value
	if v == "" {
		v = "team0:eth0,eth1:activebackup"
	}
	f := strings.Split(v, ":")
	if len(f) < 2 || len(f) > 3 {
		p.bad("not NAME:INTERFACES[:RUNNER]", "team=team0:eth0,eth1:activebackup")
		return
	}
	l := Link{Kind: Team, Name: f[0], Runner: "activebackup"}
	if len(f) == 3 && f[2] != "" {
		l.Runner = f[2]
	}
	if _, known := l.teamMode(); !known {
		p.bad(strconv.Quote(l.Runner)+" is not a runner", "activebackup, roundrobin, broadcast, loadbalance, lacp or random")
		return
	}
	if !p.interfaceName(f[0]) {
		return
	}
	var ok bool
	if l.Members, ok = p.members(f[1]); ok {
		p.addLink(l)
	}
}

func (l *Link) teamMode() (mode string, known bool) {
	for _, r := range runners {
		if r.runner == l.Runner {
			return r.mode, true
		}
	}
	return "", false
}

// AsBond is the bond that does what a team does, without teamd; false if there
// is none. The time between looks at the members' links is teamd's.
func (l *Link) AsBond() (Link, bool) {
	mode, _ := l.teamMode()
	if l.Kind != Team || mode == "" {
		return Link{}, false
	}
	return Link{Kind: Bond, Name: l.Name, Members: l.Members, MTU: l.MTU,
		Options: []Option{{"mode", mode}, {"miimon", "100"}}}, true
}

// modes are a bond's, by number.
var modes = [...]string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}

// bondOptions are the options of a bond (Documentation/networking/bonding.rst);
// those that end in ';' have several values.
const bondOptions = " mode miimon updelay downdelay use_carrier arp_interval arp_ip_target; ns_ip6_target; arp_validate" +
	" arp_all_targets arp_missed_max primary primary_reselect fail_over_mac xmit_hash_policy resend_igmp num_grat_arp" +
	" num_unsol_na all_slaves_active min_links lp_interval packets_per_slave tlb_dynamic_lb lacp_rate lacp_active" +
	" ad_select ad_actor_sys_prio ad_actor_system ad_user_port_key peer_notif_delay coupled_control "

func (p *parser) bond() {
	v := p.arg.Value
	if v == "" {
		v = "bond0"
	}
	f := fields(v)
	if len(f) > 4 {
		p.bad("not NAME[:INTERFACES[:OPTIONS[:MTU]]]", "bond=bond0:eth0,eth1:mode=active-backup,miimon=100")
		return
	}
	l := Link{Kind: Bond, Name: f[0], Options: []Option{{"mode", modes[0]}}}
	if !p.interfaceName(l.Name) {
		return
	}
	slaves := "eth0,eth1"
	if len(f) > 1 {
		slaves = f[1]
	}
	var ok bool
	if l.Members, ok = p.members(slaves); !ok {
		return
	}
	if len(f) > 2 && !p.bondOptions(&l, f[2]) {
		return
	}
	if len(f) > 3 && f[3] != "" && !p.size(&l.MTU, f[3]) {
		return
	}
	p.addLink(l)
}

// bondOptions reads NAME=VALUE,NAME=VALUE;VALUE.
func (p *parser) bondOptions(l *Link, text string) bool {
	for w := range strings.SplitSeq(text, ",") {
		if w == "" {
			continue
		}
		name, value, _ := strings.Cut(w, "=")
		many := strings.Contains(bondOptions, " "+name+"; ")
		if name == "" || strings.ContainsAny(name, "; ") || !many && !strings.Contains(bondOptions, " "+name+" ") {
			p.bad(strconv.Quote(name)+" is not an option of a bond", "")
			return false
		}
		if name == "mode" {
			mode, ok := bondMode(value)
			if !ok {
				p.bad(strconv.Quote(value)+" is not a mode of a bond", strings.Join(modes[:], ", "))
				return false
			}
			l.Options[0].Value = mode
			continue
		}
		if !many {
			if !bondValue(value) {
				p.bad("the value of "+name+" is not a word", "")
				return false
			}
			l.Options = append(l.Options, Option{name, value})
			continue
		}
		for a := range strings.SplitSeq(value, ";") {
			target, ok := address(a)
			if !ok || target.Is4() != (name == "arp_ip_target") {
				p.bad(strconv.Quote(a)+" is not an IP address for "+name, "them separated by ';'")
				return false
			}
			l.Options = append(l.Options, Option{name, target.String()})
		}
	}
	return true
}

// bondMode reads a mode by its name or its number.
func bondMode(s string) (string, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(modes) && len(s) == 1 {
		return modes[n], true
	}
	return s, slices.Contains(modes[:], s)
}

// bondValue says whether the text is a word as the bond's options have.
func bondValue(s string) bool {
	return s != "" && len(s) <= 32 && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') && !strings.ContainsRune("+-_.:", r)
	}) < 0
}

// checkLinks reports links that are made of each other, and interfaces that
// are part of two.
func (p *parser) checkLinks() {
	report := func(l *Link, what string) {
		p.problems = append(p.problems, Problem{Param: l.Kind.String() + "=" + l.Name, What: what})
	}
	owner := map[string]string{}
	p.c.Links = slices.DeleteFunc(p.c.Links, func(l Link) bool {
		if l.Kind == VLAN {
			return false // an interface may carry many, and be itself in use
		}
		for _, m := range l.Members {
			if other, taken := owner[m]; taken {
				report(&l, m+" is a part of "+other+" already")
				return true
			}
		}
		for _, m := range l.Members {
			owner[m] = l.Name
		}
		return false
	})
	// What is left when all that stand on something there have been taken away
	// stands on itself.
	made := map[string]bool{}
	for _, l := range p.c.Links {
		made[l.Name] = true
	}
	for again := true; again; {
		again = false
		for _, l := range p.c.Links {
			if made[l.Name] && !slices.ContainsFunc(l.Members, func(m string) bool { return made[m] }) {
				delete(made, l.Name)
				again = true
			}
		}
	}
	p.c.Links = slices.DeleteFunc(p.c.Links, func(l Link) bool {
		if made[l.Name] {
			report(&l, "it is made of what is made of it")
		}
		return made[l.Name]
	})
}
