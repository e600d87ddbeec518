package netup

import (
	"strings"

	"firstlight/internal/netconf"
	"firstlight/internal/rtnl"
)

// watchLinks is how often a bond looks at its members' carriers where nothing is
// said of that, in milliseconds: without it, or ARP, it would send into a cable
// that is not there. NetworkManager takes the same.
const watchLinks = "100"

// madeOf are the links that a command line wants to have made.
func madeOf(c *netconf.Config) []Made {
	var list []Made
	for i := range c.Links {
		list = append(list, madeFrom(c.Links[i]))
	}
	return list
}

// madeFrom is one of them. A team is the bond that does the same.
func madeFrom(l netconf.Link) Made {
	m := Made{Name: l.Name, MTU: uint32(max(l.MTU, 0))}
	if l.Kind == netconf.Team {
		bond, ok := l.AsBond()
		if !ok {
			m.Kind, m.Members = "bond", l.Members
			m.Cannot = "no bond does what a team with the runner " + l.Runner + " does: use activebackup, roundrobin, broadcast, loadbalance or lacp"
			return m
		}
		l = bond
	}
	switch l.Kind {
	case netconf.VLAN:
		m.Kind, m.On, m.Data = "vlan", l.Members[0], rtnl.VLAN(l.ID, rtnl.VLANOptions{})
		m.Text = netdev(m.Name, "vlan", m.MTU) + "\n[VLAN]\nId=" + decimal(int(l.ID)) + "\n"
	case netconf.Bridge:
		m.Kind, m.Members, m.Data = "bridge", l.Members, rtnl.Bridge(rtnl.BridgeOptions{})
		m.Text = netdev(m.Name, "bridge", m.MTU) + "\n[Bridge]\nSTP=no\nForwardDelaySec=0\n"
	case netconf.Bond:
		m.Kind, m.Members = "bond", l.Members
		m.bond(l.Options)
	}
	return m
}

// bond takes the options of a bond.
func (m *Made) bond(options []netconf.Option) {
	var d rtnl.BondData
	watched := false
	text := netdev(m.Name, "bond", m.MTU) + "\n[Bond]\n"
	for _, o := range options {
		watched = watched || (o.Name == "miimon" || o.Name == "arp_interval") && strings.Trim(o.Value, "0") != ""
		m.LACP = m.LACP || o.Name == "mode" && (o.Value == "802.3ad" || o.Value == "4")
		if o.Name == "primary" {
			m.Primary = o.Value
			continue
		}
		if err := d.Set(o.Name, o.Value); err != nil {
			m.Cannot = "its option " + err.Error()
			return
		}
		text += bondLine(o)
	}
	if !watched {
		d.Set("miimon", watchLinks)
		text += "MIIMonitorSec=" + watchLinks + "ms\n"
	}
	m.Data, m.Text = d.Attrs(), text
}

// netdev begins a file of systemd.netdev(5).
func netdev(name, kind string, mtu uint32) string {
	text := made + "[NetDev]\nName=" + name + "\nKind=" + kind + "\n"
	if mtu > 0 {
		text += "MTUBytes=" + decimal(int(mtu)) + "\n"
	}
	return text
}

// bondName is an option of a bond with its key in systemd.netdev(5); time says
// that the key is a time, and the option a number of milliseconds.
type bondName struct {
	option, key string
	time        bool
}

func bondKeys() []bondName {
	return []bondName{
		{"mode", "Mode", false}, {"miimon", "MIIMonitorSec", true}, {"updelay", "UpDelaySec", true}, {"downdelay", "DownDelaySec", true},
		{"arp_interval", "ARPIntervalSec", true}, {"arp_ip_target", "ARPIPTargets", false}, {"arp_validate", "ARPValidate", false},
		{"arp_all_targets", "ARPAllTargets", false}, {"arp_missed_max", "ARPMissedMax", false}, {"lacp_rate", "LACPTransmitRate", false},
		{"xmit_hash_policy", "TransmitHashPolicy", false}, {"min_links", "MinLinks", false}, {"fail_over_mac", "FailOverMACPolicy", false},
		{"ad_select", "AdSelect", false}, {"resend_igmp", "ResendIGMP", false}, {"primary_reselect", "PrimaryReselectPolicy", false},
		{"packets_per_slave", "PacketsPerSlave", false}, {"ad_actor_system", "AdActorSystem", false}, {"ad_actor_sys_prio", "AdActorSystemPriority", false},
		{"ad_user_port_key", "AdUserPortKey", false}, {"all_slaves_active", "AllSlavesActive", false}, {"tlb_dynamic_lb", "DynamicTransmitLoadBalancing", false},
		{"num_grat_arp", "GratuitousARP", false}, {"lp_interval", "LearnPacketIntervalSec", true}, {"peer_notif_delay", "PeerNotifyDelaySec", true},
	}
}

// bondLine is the line of a file of systemd.netdev(5) for an option of a bond, ""
// where it has none with the same values.
func bondLine(o netconf.Option) string {
	for _, k := range bondKeys() {
		if k.option == o.Name && o.Name != "lp_interval" {
			unit := ""
			if k.time {
				unit = "ms"
			}
			return k.key + "=" + o.Value + unit + "\n"
		}
	}
	return ""
}
