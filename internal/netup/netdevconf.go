package netup

import (
	"strconv"
	"strings"

	"firstlight/internal/netfile"
	"firstlight/internal/rtnl"
)

// FromFiles are the links that files of networkd want to have made. read reads a
// file of the image, for keys. What cannot be done is a problem; a link that the
// command line makes goes before one of the same name.
func FromFiles(made []Made, devs []netfile.NetDev, nets []netfile.Network, read func(path string) ([]byte, error)) (list []Made, problems []string) {
	list = made
	for i := range devs {
		d := &devs[i]
		if named(list, d.Name) != nil {
			continue
		}
		m := Made{Name: d.Name, Kind: d.Kind, MTU: d.MTU, Address: d.Address}
		bad := m.options(d, read)
		for _, b := range bad {
			problems = append(problems, d.File+": "+b)
		}
		list = append(list, m)
	}
	for _, n := range nets {
		for _, name := range n.Names {
			if m := named(list, n.Master); m != nil && (m.Kind == "bond" || m.Kind == "bridge") && !has(m.Members, name) {
				m.Members = append(m.Members, name)
				if n.Primary {
					m.Primary = name
				}
			}
			for _, on := range n.On {
				m := named(list, on)
				switch {
				case m == nil || m.Kind == "bond" || m.Kind == "bridge":
				case m.On == "":
					m.On = name
				case m.On != name:
					problems = append(problems, on+" is to be on "+m.On+" and on "+name+": it is on the first")
				}
			}
		}
	}
	for i := range list {
		m := &list[i]
		switch m.Kind {
		case "vlan", "macvlan", "ipvlan", "ipoib":
			if m.On == "" && m.Cannot == "" {
				m.Cannot = "no .network file says what it is on: one with Name= of that link in [Match] and " + word(m.Kind) + "=" + m.Name + " in [Network]"
			}
		}
	}
	return list, problems
}

func word(kind string) string {
	if kind == "ipoib" {
		return "IPoIB"
	}
	return strings.ToUpper(kind)
}

func named(list []Made, name string) *Made {
	for i := range list {
		if list[i].Name == name && name != "" {
			return &list[i]
		}
	}
	return nil
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// options takes the options of a file for the link's kind.
func (m *Made) options(d *netfile.NetDev, read func(string) ([]byte, error)) (bad []string) {
	get := func(key string) (v string) {
		for _, o := range d.Options {
			if o.Name == key {
				v = o.Value
			}
		}
		return v
	}
	number := func(key string, bits, base int) uint64 {
		v := get(key)
		if v == "" {
			return 0
		}
		n, err := strconv.ParseUint(v, base, bits)
		if err != nil {
			bad = append(bad, key+": "+v+" is not a number of at most "+decimal(bits)+" bits")
		}
		return n
	}
	is := func(key string) bool { v, _ := netfile.Yes(get(key)); return v }
	ok := true
	switch m.Kind {
	case "vlan":
		id := number("Id", 12, 10)
		if id == 0 || id > 4094 {
			m.Cannot = "Id=" + get("Id") + " is not the number of a VLAN, 1 to 4094"
			return bad
		}
		reorder := get("ReorderHeader")
		m.Data = rtnl.VLAN(uint16(id), rtnl.VLANOptions{ServiceTag: strings.EqualFold(get("Protocol"), "802.1ad"), GVRP: is("GVRP"), MVRP: is("MVRP"),
			Loose: is("LooseBinding"), NoReorder: reorder != "" && !is("ReorderHeader")})
	case "bridge":
		o := rtnl.BridgeOptions{STP: is("STP"), Filtering: is("VLANFiltering"), HasPriority: get("Priority") != "", Priority: uint16(number("Priority", 16, 10)),
			HasForwardDelay: get("ForwardDelaySec") != ""}
		for _, t := range [...]struct {
			key string
			to  *uint32
		}{{"ForwardDelaySec", &o.ForwardDelay}, {"HelloTimeSec", &o.HelloTime}, {"MaxAgeSec", &o.MaxAge}, {"AgeingTimeSec", &o.Ageing}} {
			if v := get(t.key); v != "" {
				ms, good := netfile.Milliseconds(v)
				if !good {
					bad = append(bad, t.key+": "+v+" is not a time")
				}
				*t.to = ms / 10
			}
		}
		m.Data = rtnl.Bridge(o)
	case "bond":
		bad = m.bondFile(d)
	case "macvlan":
		mode := strings.ToLower(get("Mode"))
		if mode == "" {
			mode = "vepa"
		}
		m.Data, ok = rtnl.MACVLAN(mode)
	case "ipvlan":
		mode := strings.ToLower(get("Mode"))
		if mode == "" {
			mode = "l2"
		}
		m.Data, ok = rtnl.IPVLAN(mode)
	case "ipoib":
		key, err := strconv.ParseUint(get("PartitionKey"), 0, 16)
		if err != nil || key == 0 || key == 0x8000 {
			m.Cannot = "PartitionKey=" + get("PartitionKey") + " is not the key of a partition, 1 to 0xffff without 0x8000"
			return bad
		}
		m.Data, ok = rtnl.IPoIB(uint16(key)|0x8000, strings.ToLower(get("Mode"))) // with the bit of a full member, as the kernel wants it
	case "wireguard":
		return append(bad, m.wireGuard(d, read, uint16(number("ListenPort", 16, 10)), uint32(number("FirewallMark", 32, 0)))...)
	}
	if !ok {
		m.Cannot = "Mode=" + get("Mode") + " is not a mode of such a link"
	}
	return bad
}

// bondFile takes the options of a bond from a file.
func (m *Made) bondFile(d *netfile.NetDev) (bad []string) {
	var b rtnl.BondData
	b.Set("mode", "balance-rr")
	watched := false
	for _, o := range d.Options {
		option, time := bondOption(o.Name)
		values := []string{o.Value}
		switch {
		case option == "":
			bad = append(bad, o.Name+"= of a bond is not known")
			continue
		case time:
			ms, ok := netfile.Milliseconds(o.Value)
			if !ok {
				bad = append(bad, o.Name+": "+o.Value+" is not a time")
				continue
			}
			if values[0] = decimal(int(ms)); option == "lp_interval" {
				values[0] = decimal(int(ms / 1000))
			}
			watched = watched || (option == "miimon" || option == "arp_interval") && ms > 0
		case option == "arp_ip_target":
			values = strings.FieldsFunc(o.Value, func(r rune) bool { return r == ' ' || r == ',' })
		default:
			if v, ok := netfile.Yes(o.Value); ok && (option == "all_slaves_active" || option == "tlb_dynamic_lb") {
				values[0] = "off"
				if v {
					values[0] = "on"
				}
			}
		}
		m.LACP = m.LACP || option == "mode" && o.Value == "802.3ad"
		for _, v := range values {
			if err := b.Set(option, v); err != nil {
				bad = append(bad, o.Name+": "+err.Error())
			}
		}
	}
	if !watched {
		b.Set("miimon", watchLinks)
	}
	m.Data = b.Attrs()
	return bad
}

// bondOption is a bond's option for a key of systemd.netdev(5), and whether it is
// a time.
func bondOption(key string) (option string, time bool) {
	for _, k := range bondKeys() {
		if k.key == key {
			return k.option, k.time
		}
	}
	return "", false
}

// wireGuard takes the keys and peers of a tunnel.
func (m *Made) wireGuard(d *netfile.NetDev, read func(string) ([]byte, error), port uint16, mark uint32) (bad []string) {
	secret := func(s *netfile.Secret, what string) (key [32]byte, ok bool) {
		if s.File == "" {
			return s.Key, true
		}
		b, err := read(s.File)
		if err != nil {
			bad = append(bad, what+": "+err.Error()+"; take it into the image with --include "+s.File)
			return key, false
		}
		if key, ok = netfile.Key(string(b)); !ok {
			bad = append(bad, what+": what is in "+s.File+" is not a key of WireGuard")
		}
		return key, ok
	}
	w := &rtnl.WireGuard{ListenPort: port, Mark: mark}
	var ok bool
	if w.PrivateKey, ok = secret(d.Secret, "its private key"); !ok {
		m.Cannot = bad[len(bad)-1]
		return bad[:len(bad)-1]
	}
	for _, p := range d.Peers {
		peer := rtnl.WireGuardPeer{PublicKey: p.PublicKey, Endpoint: p.Endpoint, Keepalive: p.Keepalive, Allowed: p.Allowed}
		if p.Preshared != nil {
			if peer.Preshared, ok = secret(p.Preshared, "the key that is shared with a peer"); !ok {
				continue
			}
		}
		w.Peers = append(w.Peers, peer)
	}
	m.Keys = w
	return bad
}
