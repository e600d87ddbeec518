package rtnl

import (
	"net/netip"
	"strconv"

	"firstlight/internal/fmt"
)

// value is a word of an option with the kernel's number for it.
type value struct {
	name   string
	number uint32
}

// bondOption is an option of a bond: its name in sysfs and on command lines
// (Documentation/networking/bonding.rst), its attribute (linux/if_link.h,
// IFLA_BOND_*), the size of its number in bytes, and the words it knows
// (drivers/net/bonding/bond_options.c).
type bondOption struct {
	name   string
	typ    uint16
	size   int
	values []value
}

// Attributes of a bond that are no number.
const (
	bondARPTargets = 8
	bondPrimary    = 11 // the index of a link
	bondSystem     = 26 // a hardware address
	bondNSTargets  = 31
)

func noYes() []value { return []value{{"off", 0}, {"on", 1}} }

// bondTable are the options that are numbers.
func bondTable() []bondOption {
	return []bondOption{
		{"mode", 1, 1, []value{{"balance-rr", 0}, {"active-backup", 1}, {"balance-xor", 2}, {"broadcast", 3}, {"802.3ad", 4}, {"balance-tlb", 5}, {"balance-alb", 6}}},
		{"miimon", 3, 4, nil},
		{"updelay", 4, 4, nil},
		{"downdelay", 5, 4, nil},
		{"use_carrier", 6, 1, noYes()},
		{"arp_interval", 7, 4, nil},
		{"arp_validate", 9, 4, []value{{"none", 0}, {"active", 1}, {"backup", 2}, {"all", 3}, {"filter", 4}, {"filter_active", 5}, {"filter_backup", 6}}},
		{"arp_all_targets", 10, 4, []value{{"any", 0}, {"all", 1}}},
		{"primary_reselect", 12, 1, []value{{"always", 0}, {"better", 1}, {"failure", 2}}},
		{"fail_over_mac", 13, 1, []value{{"none", 0}, {"active", 1}, {"follow", 2}}},
		{"xmit_hash_policy", 14, 1, []value{{"layer2", 0}, {"layer3+4", 1}, {"layer2+3", 2}, {"encap2+3", 3}, {"encap3+4", 4}, {"vlan+srcmac", 5}}},
		{"resend_igmp", 15, 4, nil},
		{"num_grat_arp", 16, 1, nil},
		{"num_unsol_na", 16, 1, nil},
		{"all_slaves_active", 17, 1, noYes()},
		{"min_links", 18, 4, nil},
		{"lp_interval", 19, 4, nil},
		{"packets_per_slave", 20, 4, nil},
		{"lacp_rate", 21, 1, []value{{"slow", 0}, {"fast", 1}}},
		{"ad_select", 22, 1, []value{{"stable", 0}, {"bandwidth", 1}, {"count", 2}}},
		{"ad_actor_sys_prio", 24, 2, nil},
		{"ad_user_port_key", 25, 2, nil},
		{"tlb_dynamic_lb", 27, 1, noYes()},
		{"peer_notif_delay", 28, 4, nil},
		{"lacp_active", 29, 1, noYes()},
		{"arp_missed_max", 30, 1, nil},
		{"coupled_control", 32, 1, noYes()},
	}
}

// BondData collects the options of a bond.
type BondData struct {
	numbers []Attr
	arp, ns []Attr
}

// Set takes an option by its name in sysfs; of those with several values each
// comes by itself. An error says what is wrong with it. The primary link, whose
// index only the caller knows, is none of them: see BondPrimary.
func (d *BondData) Set(name, text string) error {
	switch name {
	case "arp_ip_target", "ns_ip6_target":
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != (name == "arp_ip_target") {
			return fmt.Errorf("%s: %q is no such address", name, text)
		}
		list := &d.arp
		if a.Is6() {
			list = &d.ns
		}
		*list = append(*list, Attr{Type: uint16(len(*list)), Value: a.AsSlice()})
		return nil
	case "ad_actor_system":
		hw, ok := hardwareAddress(text)
		if !ok {
			return fmt.Errorf("%s: %q is not a hardware address", name, text)
		}
		d.put(Attr{Type: bondSystem, Value: hw})
		return nil
	}
	for _, o := range bondTable() {
		if o.name == name {
			n, err := o.number(text)
			if err != nil {
				return err
			}
			a := attr32(o.typ, n)
			switch o.size {
			case 1:
				a = attr8(o.typ, uint8(n))
			case 2:
				a = attr16(o.typ, uint16(n))
			}
			d.put(a)
			return nil
		}
	}
	return fmt.Errorf("a bond has no option %q", name)
}

// put takes an attribute; a later one of the same type wins.
func (d *BondData) put(a Attr) {
	for i := range d.numbers {
		if d.numbers[i].Type == a.Type {
			d.numbers[i] = a
			return
		}
	}
	d.numbers = append(d.numbers, a)
}

func (o bondOption) number(text string) (uint32, error) {
	words := ""
	for _, v := range o.values {
		if v.name == text {
			return v.number, nil
		}
		words += " " + v.name
	}
	n, err := strconv.ParseUint(text, 10, 8*o.size)
	if err != nil && words != "" {
		return 0, fmt.Errorf("%s: %q is none of%s", o.name, text, words)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of %d bits", o.name, text, 8*o.size)
	}
	return uint32(n), nil
}

// Attrs are the options as the kernel takes them.
func (d *BondData) Attrs() []Attr {
	list := append([]Attr(nil), d.numbers...)
	if d.arp != nil {
		list = append(list, Attr{Type: bondARPTargets, Nested: d.arp})
	}
	if d.ns != nil {
		list = append(list, Attr{Type: bondNSTargets, Nested: d.ns})
	}
	return list
}

// BondPrimary is the member that a bond prefers, by its index.
func BondPrimary(index int) []Attr { return []Attr{attr32(bondPrimary, uint32(index))} }

// hardwareAddress reads six bytes with colons between them.
func hardwareAddress(s string) ([]byte, bool) {
	if len(s) != 17 {
		return nil, false
	}
	var out []byte
	for i := 0; i < len(s); i += 3 {
		n, err := strconv.ParseUint(s[i:i+2], 16, 8)
		if err != nil || i > 0 && s[i-1] != ':' {
			return nil, false
		}
		out = append(out, byte(n))
	}
	return out, true
}
