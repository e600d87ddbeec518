package netconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/bootcmd"
)

// params reads a command line without quotes.
func params(line string) []Param {
	var list []Param
	for w := range strings.FieldsSeq(line) {
		name, value, has := strings.Cut(w, "=")
		list = append(list, Param{name, value, has})
	}
	return list
}

// show is an interface in a few words.
func (in Interface) show() string {
	var b strings.Builder
	b.WriteString(in.Match.String())
	for i, w := range []string{"static", "dhcp4", "dhcp6", "slaac", "fallback6", "either", "link6", "link4", "ibft"} {
		if in.Method>>i&1 == 1 {
			b.WriteString(" " + w)
		}
	}
	say := func(what string, v any, is bool) {
		if is {
			fmt.Fprintf(&b, " %s=%v", what, v)
		}
	}
	say("first", in.First, in.First)
	say("addr", in.Addrs, in.Addrs != nil)
	say("peer", in.Peer, in.Peer.IsValid())
	say("gw", in.Gateways, in.Gateways != nil)
	say("host", in.HostName, in.HostName != "")
	say("mtu", in.MTU, in.MTU != 0)
	say("mac", in.MAC, in.MAC != "")
	say("dns", in.DNS, in.DNS != nil)
	say("ntp", in.NTP, in.NTP != nil)
	say("server", in.Server, in.Server.IsValid())
	return b.String()
}

// The forms that the kernel's nfsroot.rst, dracut.cmdline(7),
// initramfs-tools(7), klibc's ipconfig, systemd-network-generator(8) and
// make-initrd document.
func TestEveryDocumentedFormOfIP(t *testing.T) {
	const dhcp = " dhcp4 slaac either"
	for _, test := range []struct{ line, want string }{
		// One word.
		{"ip=dhcp", "any interface" + dhcp}, {"ip=on", "any interface" + dhcp}, {"ip=any", "any interface" + dhcp},
		{"ip=all", "any interface" + dhcp}, {"ip=", "any interface" + dhcp}, {"ip", "any interface" + dhcp},
		{"ip=dhcp4", "any interface dhcp4"}, {"ip=dhcp6", "any interface dhcp6"}, {"ip=auto6", "any interface slaac"},
		{"ip=either6", "any interface slaac fallback6"}, {"ip=link6", "any interface link6"},
		{"ip=link-local", "any interface link6 link4"}, {"ip=single-dhcp", "any interface" + dhcp + " first=true"},
		{"ip=ibft", "any interface ibft"}, {"ip=bootp", "any interface dhcp4"}, {"ip=both", "any interface dhcp4"},
		{"ip=eth0", "eth0" + dhcp}, {"ip=enp1s0f1", "enp1s0f1" + dhcp},
		{"ip=off", ""}, {"ip=none", ""}, {"ip=:::::eth0:none", "eth0"}, {"ip=::::::off", ""},
		// INTERFACE:METHOD[:MTU][:MAC]
		{"ip=eth0:dhcp", "eth0" + dhcp}, {"ip=eth0:dhcp6", "eth0 dhcp6"}, {"ip=eth0:link6", "eth0 link6"},
		{"ip=eth0.3:auto", "eth0.3" + dhcp}, {"ip=eth0:off", "eth0"}, {"ip=bond0.100:auto6:9000", "bond0.100 slaac mtu=9000"},
		{"ip=eth0:dhcp::52:54:00:12:34:56", "eth0" + dhcp + " mac=52:54:00:12:34:56"},
		{"ip=eth0:dhcp:1500:52:54:00:AB:34:56", "eth0" + dhcp + " mtu=1500 mac=52:54:00:ab:34:56"},
		{"ip=eth0:dhcp:1500:52-54-00-12-34-56", "eth0" + dhcp + " mtu=1500 mac=52:54:00:12:34:56"},
		{"ip=ib0:dhcp::00:00:10:29:fe:80:00:00:00:00:00:00:b8:ce:f6:03:00:99:4c:42",
			"ib0" + dhcp + " mac=00:00:10:29:fe:80:00:00:00:00:00:00:b8:ce:f6:03:00:99:4c:42"},
		{"ip=eth0:any:", "eth0" + dhcp}, {"ip=lan:dhcp", "lan" + dhcp},
		// CLIENT:PEER:GATEWAY:NETMASK:HOST:INTERFACE:METHOD …
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0:foo:eth0:none",
			"eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] host=foo"},
		{"ip=192.168.0.10::192.168.0.1:24::eth0:off", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1]"},
		{"ip=192.168.0.10/24::192.168.0.1:::eth0", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1]"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none:1400:52:54:00:12:34:56",
			"eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] mtu=1400 mac=52:54:00:12:34:56"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none::52:54:00:12:34:56",
			"eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] mac=52:54:00:12:34:56"},
		{"ip=192.168.0.10:192.168.0.2:192.168.0.1:255.255.255.0:foo:eth0:static:8.8.8.8:8.8.4.4:10.0.0.9",
			"eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] host=foo dns=[8.8.8.8 8.8.4.4] ntp=[10.0.0.9] server=192.168.0.2"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none:8.8.8.8", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] dns=[8.8.8.8]"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none::8.8.4.4", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] dns=[8.8.4.4]"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none:::10.0.0.9", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1] ntp=[10.0.0.9]"},
		{"ip=192.168.0.10::192.168.0.1:255.255.255.0::eth0:none::", "eth0 static addr=[192.168.0.10/24] gw=[192.168.0.1]"},
		{"ip=[2001:db8::10]::[2001:db8::1]:64::eth0:none", "eth0 static addr=[2001:db8::10/64] gw=[2001:db8::1]"},
		{"ip=[2001:db8::10/48]::[2001:db8::1]:::eth0:none:[2001:db8::53]", "eth0 static addr=[2001:db8::10/48] gw=[2001:db8::1] dns=[2001:db8::53]"},
		{"ip=[2001:db8::10]::[fe80::1]:ffff:ffff::::eth0:none", "!\"ffff\" is not a netmask"},
		{"ip=[2001:db8::10]::[fe80::1]:[ffff:ffff::]::eth0:none", "eth0 static addr=[2001:db8::10/32] gw=[fe80::1]"},
		// A link between two has a network of one address, or says how long.
		{"ip=10.0.0.1:10.0.0.2::255.255.255.255::ppp0:none", "ppp0 static addr=[10.0.0.1/32] peer=10.0.0.2/32"},
		{"ip=10.0.0.1:10.0.0.2/24::32::eth0:none", "eth0 static addr=[10.0.0.1/32] peer=10.0.0.2/24"},
		// A lease, and something beside it.
		{"ip=::::node7:eth0:dhcp", "eth0" + dhcp + " host=node7"}, {"ip=::::node7::dhcp", "any interface" + dhcp + " host=node7"},
		{"ip=:::::eth0:dhcp6", "eth0 dhcp6"}, {"ip=:::::eth0:", "eth0" + dhcp}, {"ip=0.0.0.0::0.0.0.0:0.0.0.0::eth0:dhcp", "eth0" + dhcp},
		{"ip=:192.168.0.2::::eth0:dhcp", "eth0" + dhcp + " server=192.168.0.2"},
		{"ip=::::::dhcp:1.1.1.1", "any interface" + dhcp + " dns=[1.1.1.1]"},
		{"ip=10.0.0.5:::24::eth0:dhcp", "eth0 static" + dhcp + " addr=[10.0.0.5/24]"},
		{"nfsaddrs=10.0.0.5:10.0.0.2:10.0.0.1:255.0.0.0", "any interface static addr=[10.0.0.5/8] gw=[10.0.0.1] server=10.0.0.2"},
		// Netmasks that are not there are those of the kernel's classes, with a word to the person.
		{"ip=10.0.0.5", "any interface static addr=[10.0.0.5/8]"}, {"ip=172.20.1.1::::::none", "any interface static addr=[172.20.1.1/16]"},
		{"ip=192.168.7.9:::::eth0", "eth0 static addr=[192.168.7.9/24]"},
		{"ip=[2001:db8:10:d0fb:face:0:1:0]:::::ether0:none", "ether0 static addr=[2001:db8:10:d0fb:face:0:1:0/64]"},
		{"ip=192.168.0.5 netmask=255.255.0.0 gateway=192.168.0.1 mtu=9000 hostname=h",
			"any interface static addr=[192.168.0.5/16] gw=[192.168.0.1] mtu=9000"},
		// Several, of one interface and of two.
		{"ip=10.0.0.5::10.0.0.1:24:h:eth0:none ip=[2001:db8::5]::[2001:db8::1]:64::eth0:none:[2001:db8::53]",
			"eth0 static addr=[10.0.0.5/24 2001:db8::5/64] gw=[10.0.0.1 2001:db8::1] host=h dns=[2001:db8::53]"},
		{"ip=eth0:dhcp4 ip=eth0:auto6", "eth0 dhcp4 slaac"}, {"ip=eth0:dhcp4 ip=eth1:off", "eth0 dhcp4; eth1"},
		{"ip=eth0:dhcp4 ip=dhcp6", "eth0 dhcp4; any interface dhcp6"},
		// The interface that was booted from.
		{"ip=dhcp4 BOOTIF=01-52-54-00-12-34-56", "52:54:00:12:34:56 dhcp4"}, {"ip=dhcp4 BOOTIF=52:54:00:12:34:56", "52:54:00:12:34:56 dhcp4"},
		{"ip=dhcp4 BOOTIF=01-52-54-00-12-34-56 rd.bootif=0", "any interface dhcp4"},
		{"ip=dhcp4 BOOTIF=01-52-54-00-12-34-56 bootdev=eth7", "eth7 dhcp4"},
		{"ip=dhcp4 bootdev=52:54:00:12:34:56", "52:54:00:12:34:56 dhcp4"},
		{"ip=dhcp4 ksdevice=eth1", "eth1 dhcp4"}, {"ip=dhcp4 ksdevice=link", "any interface dhcp4"},
		{"ip=dhcp4 ksdevice=bootif BOOTIF=01-52-54-00-12-34-56 rd.bootif=0", "52:54:00:12:34:56 dhcp4"},
		{"ip=eth0:dhcp4 ip=eth1:dhcp4 bootdev=eth1", "eth0 dhcp4; eth1 dhcp4"},
		{"ip=dhcp4 BOOTIF=20-00-00-10-29-fe-80-00-00-00-00-00-00-b8-ce-f6-03-00-99-4c-42",
			"00:00:10:29:fe:80:00:00:00:00:00:00:b8:ce:f6:03:00:99:4c:42 dhcp4"},
		// The network is needed, and nothing is said of it.
		{"rd.neednet=1", "any interface" + dhcp}, {"rd.neednet", "any interface" + dhcp}, {"rd.neednet=0", ""},
		{"root=/dev/nfs", "any interface" + dhcp}, {"root=dhcp BOOTIF=01-52-54-00-12-34-56", "52:54:00:12:34:56" + dhcp},
		{"rd.neednet=1 ip=off", ""}, {"rd.neednet=1 rd.iscsi.ibft=1", ""},
	} {
		c, problems := Parse(params(test.line))
		var list []string
		for _, in := range c.Interfaces {
			list = append(list, in.show())
		}
		got := strings.Join(list, "; ")
		if want, bad := strings.CutPrefix(test.want, "!"); bad {
			if got != "" || len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
				t.Errorf("%s: %q, %v", test.line, got, problems)
			}
			continue
		}
		if got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.line, got, test.want)
		}
		for _, p := range problems {
			if !p.Used {
				t.Errorf("%s: %v", test.line, p)
			}
		}
	}
}

// What is wrong says so, and what to write instead.
func TestWhatIsWrongSaysWhatToWrite(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"ip=dhpc", `ip=dhpc: "dhpc" is not a way to get an address; write dhcp`},
		{"ip=dhcp5", `ip=dhcp5: "dhcp5" is not a way to get an address; write dhcp`},
		{"ip=eth0:dhpc", `ip=eth0:dhpc: "dhpc" is not a way to get an address; write dhcp`},
		{"ip=something", "write one of dhcp, dhcp4"}, {"ip=rarp", "RARP is not supported; write dhcp"},
		{"ip=2001:db8::5::2001:db8::1:64::eth0:none", `"2001" is not an IP address; write IPv6 addresses between brackets`},
		{"ip=192.168.0.300::192.168.0.1:24::eth0:none", `"192.168.0.300" is not an IP address`},
		{"ip=192.168.0.3::192.168.0.1:255.0.255.0::eth0:none", `"255.0.255.0" is not a netmask or the length of a prefix; write 255.255.255.0 or 24`},
		{"ip=192.168.0.3::192.168.0.1:33::eth0:none", `"33" is not a netmask`}, {"ip=192.168.0.3:::0::eth0:none", "a netmask of 0 bits"},
		{"ip=192.168.0.3::192.168.0.3:24::eth0:none", "the gateway is the machine itself"},
		{"ip=192.168.0.3::x:24::eth0:none", `gateway "x" is not an IP address`},
		{"ip=192.168.0.3::10.0.0.1:24::eth0:none", "gateway 10.0.0.1 is not in 192.168.0.0/24; used as if it were on the link"},
		{"ip=224.0.0.1:::24::eth0:none", "not an address for an interface"}, {"ip=127.0.0.1:::8::lo:none", "not an address for an interface"},
		{"ip=192.168.0.3:::24:a_b!:eth0:none", `"a_b!" is not the name of a host`},
		{"ip=192.168.0.3:::24::averylonginterface:none", "at most 15 characters"}, {"ip=a/b:dhcp", "not the name of an interface"},
		{"ip=eth0:dhcp:65536", "not an MTU"}, {"ip=eth0:dhcp:1500:zz:54:00:12:34:56", "not a hardware address; write it as 52:54"},
		{"ip=192.168.0.3:::24::eth0:none:1.1.1.1:2.2.2.2:3.3.3.3:4.4.4.4", "too many fields"},
		{"ip=192.168.0.3:::24::eth0:none:1.1.1.1:x", `"x" is not an IP address`}, {"ip=192.168.0.3:y::24::eth0:none", "neither a peer nor a server"},
		{"ip=10.0.0.5", "no netmask for 10.0.0.5, taken for 8 bits by its class; write it in the fourth place"},
		{"ip=bootp", "DHCP is used, which its servers answer too; write dhcp"},
		{"ip=off ip=eth0:dhcp", "another parameter configures an interface"},
		{"ip=10.0.0.5::10.0.0.1:24::eth0:none ip=10.0.0.6::10.0.0.2:24::eth0:none", "another gateway for the same interface"},
		{"BOOTIF=eth0", "not a hardware address; write BOOTIF=01-52-54"}, {"BOOTIF=0152-54-00-12-34-566", "not a hardware address"},
		{"bootdev=a/b", "neither the name of an interface nor a hardware address"},
		{"ifname=x:1:2:3", "not a hardware address; write ifname=bootnet:"}, {"ifname=eth0:52:54:00:12:34:56", "the kernel gives names like it too"},
		{"ifname=bootif0:8b:3f:d2:1c:d6:bc:ab", "not a hardware address"},
		{"ifname=a:52:54:00:12:34:56 ifname=a:52:54:00:12:34:57", "another interface has the name"},
		{"ifname=a:52:54:00:12:34:56 ifname=b:52:54:00:12:34:56", "had another name, a"},
		{"rd.route=10.0.0.0", "not NETWORK:GATEWAY"}, {"rd.route=10.0.0.0/33:10.0.0.1", "not a network"},
		{"rd.route=10.0.0.0/8:[2001:db8::1]", "not an IP address of the network's family"}, {"rd.route=10.0.0.0/8:", "neither a gateway nor an interface"},
		{"nameserver=a", "not an IP address"}, {"hostname=-a", "not the name of a host"}, {"netmask=1.2.3.4", "not a netmask; write netmask=255"},
		{"rd.neednet=maybe", "neither yes nor no; write rd.neednet=1"}, {"rd.net.dhcp.retry=0", "not a number of tries"},
		{"rd.net.timeout.dhcp=x", "not a time"}, {"vlan=v:eth0", "does not end with the number of a VLAN"}, {"vlan=v4095:eth0", "1 to 4094"},
		{"vlan=v5", "not NAME:INTERFACE"}, {"bond=bond0:eth0:mode=fast", `"fast" is not a mode of a bond; write balance-rr, active-backup`},
		{"bond=bond0:eth0:nonsense=1", `"nonsense" is not an option`}, {"bond=bond0:bond0", "made of itself"}, {"bond=bond0:", "names no interface"},
		{"bond=bond0:eth0:arp_ip_target=1.2.3.4;x", `"x" is not an IP address for arp_ip_target`}, {"bond=bond0:eth0::9", "not an MTU"},
		{"bond=bond0:eth0:miimon=$(x)", "the value of miimon is not a word"}, {"bond=b:eth0:a:1:2", "not NAME[:INTERFACES"},
		{"bond=bond0:eth0:arp_ip_target;=1.2.3.4", "is not an option"},
		{"team=t:eth0:fast", `"fast" is not a runner`}, {"bridge=br0", "not NAME:INTERFACES"},
		{"bridge=br0:eth0 bond=bond0:eth0", "eth0 is a part of br0 already"}, {"bridge=br0:eth0 bridge=br0:eth1", "two links br0"},
		{"netroot=foo", "not a root on the network"}, {"nfsroot=1.2.3.4:/x root=/dev/sda1", "no effect beside another root; write root=/dev/nfs"},
		{"root=nfs:1.2.3.4:x", "does not begin with '/'"}, {"root=/dev/nfs nfsroot=1.2.3.4:", "does not begin with '/'; write nfsroot="},
		{"root=iscsi:user:secret@1.2.3.4::x::iqn.a", `root=iscsi:…@1.2.3.4::x::iqn.a: "x" is not a port`},
		{"root=iscsi:secret@1.2.3.4::::iqn.a", "not USER:PASSWORD"},
	} {
		_, problems := Parse(params(test.line))
		if len(problems) != 1 || !strings.Contains(problems[0].String(), test.want) {
			t.Errorf("%s: %q, want %q", test.line, problems, test.want)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "secret") {
				t.Errorf("%s: the password is in %q", test.line, p)
			}
		}
	}
	if _, problems := Parse(params(strings.Repeat("nameserver=1.1.1.1 ", 300))); len(problems) != 1 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestLinksOfDracutAndSystemd(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"vlan=vlan0005:eth0", "[{vlan vlan0005 [eth0] 5 []  0}]"}, {"vlan=vlan5:eth0", "[{vlan vlan5 [eth0] 5 []  0}]"},
		{"vlan=eth0.0005:eth0", "[{vlan eth0.0005 [eth0] 5 []  0}]"}, {"vlan=eth0.5:eth0", "[{vlan eth0.5 [eth0] 5 []  0}]"},
		{"bond", "[{bond bond0 [eth0 eth1] 0 [{mode balance-rr}]  0}]"}, {"bond=bond1", "[{bond bond1 [eth0 eth1] 0 [{mode balance-rr}]  0}]"},
		{"bond=bond0:eth0,eth1:mode=802.3ad,miimon=100,lacp_rate=fast:9000",
			"[{bond bond0 [eth0 eth1] 0 [{mode 802.3ad} {miimon 100} {lacp_rate fast}]  9000}]"},
		{"bond=bond0:eth0,eth1:arp_ip_target=10.0.0.1;10.0.0.2,arp_interval=200,mode=1",
			"[{bond bond0 [eth0 eth1] 0 [{mode active-backup} {arp_ip_target 10.0.0.1} {arp_ip_target 10.0.0.2} {arp_interval 200}]  0}]"},
		{"bond=bond0:eth0::1400", "[{bond bond0 [eth0] 0 [{mode balance-rr}]  1400}]"},
		{"bond=bond0:eth0:ns_ip6_target=[2001:db8::1];2001:db8::2", "!"},
		{"bond=bond0:eth0:ns_ip6_target=[2001:db8::1];[2001:db8::2]",
			"[{bond bond0 [eth0] 0 [{mode balance-rr} {ns_ip6_target 2001:db8::1} {ns_ip6_target 2001:db8::2}]  0}]"},
		{"team=team0:eth0,eth1", "[{team team0 [eth0 eth1] 0 [] activebackup 0}]"}, {"team", "[{team team0 [eth0 eth1] 0 [] activebackup 0}]"},
		{"team=team0:eth0:lacp", "[{team team0 [eth0] 0 [] lacp 0}]"},
		{"bridge=br0:eth0,eth1", "[{bridge br0 [eth0 eth1] 0 []  0}]"}, {"bridge", "[{bridge br0 [eth0] 0 []  0}]"},
		{"vlan=bond0.7:bond0 bond=bond0:eth0,eth1 bridge=br0:bond0.7",
			"[{vlan bond0.7 [bond0] 7 []  0} {bond bond0 [eth0 eth1] 0 [{mode balance-rr}]  0} {bridge br0 [bond0.7] 0 []  0}]"},
		{"vlan=eth0.5:eth0 vlan=eth0.6:eth0", "[{vlan eth0.5 [eth0] 5 []  0} {vlan eth0.6 [eth0] 6 []  0}]"},
	} {
		c, problems := Parse(params(test.line))
		if test.want == "!" {
			if len(problems) == 0 {
				t.Errorf("%s: %v", test.line, c.Links)
			}
			continue
		}
		if got := fmt.Sprint(c.Links); got != test.want || len(problems) > 0 {
			t.Errorf("%s: %s %v, want %s", test.line, got, problems, test.want)
		}
	}
	c, problems := Parse(params("bridge=br0:br1 bridge=br1:br0 bridge=br2:eth0"))
	if len(c.Links) != 1 || len(problems) != 2 || !strings.Contains(problems[0].What, "made of what is made of it") {
		t.Errorf("%v %v", c.Links, problems)
	}
	l := Link{Kind: Team, Name: "t", Members: []string{"a"}, Runner: "lacp"}
	if b, ok := l.AsBond(); !ok || fmt.Sprint(b) != "{bond t [a] 0 [{mode 802.3ad} {miimon 100}]  0}" {
		t.Errorf("%v %t", b, ok)
	}
	l.Runner = "random"
	if _, ok := l.AsBond(); ok {
		t.Error("a team that no bond is like becomes one")
	}
}

func TestTheRestOfTheParameters(t *testing.T) {
	c, problems := Parse(params("ifname=bootnet:52:54:00:12:34:56 ifname=ib:00:00:10:29:fe:80:00:00:00:00:00:00:b8:ce:f6:03:00:99:4c:42" +
		" rd.route=192.168.200.0/24:192.168.100.222:ens10 rd.route=192.168.201.0/24:192.168.100.222 rd.route=192.168.202.0/24::ens10" +
		" route=[2001:DB8:3::/48]:[2001:DB8:2::1]:ens10 rd.route=10.0.0.0/255.0.0.0:10.9.9.9 nameserver=1.1.1.1 nameserver=[2001:db8::53]" +
		" nameserver=2001:db8::53 dns=9.9.9.9,8.8.8.8 domain=a.org,b.org rd.peerdns=0 rd.net.dhcp.retry=3 rd.net.timeout.dhcp=5" +
		" rd.net.timeout.iflink=1min rd.net.timeout.ifup=2 rd.net.timeout.route=3 rd.net.timeout.ipv6dad=4 rd.net.timeout.ipv6auto=6" +
		" rd.net.timeout.carrier=7 rd.net.dhcp.vendor-class=PXE rd.net.dhcp.client-id=01:02 rd.iscsi.mp rd.nvmf.nonbft hostname=node" +
		" rd.iscsi.ibft=1 ip=::::other:eth0:dhcp unknown=1"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	routes := "[{192.168.200.0/24 192.168.100.222 ens10} {192.168.201.0/24 192.168.100.222 } {192.168.202.0/24 invalid IP ens10}" +
		" {2001:db8:3::/48 2001:db8:2::1 ens10} {10.0.0.0/8 10.9.9.9 }]"
	if got := fmt.Sprint(c.Routes); got != routes {
		t.Error(got)
	}
	if got := fmt.Sprint(c.DNS, c.Domains, c.PeerDNS, c.HostName, c.IBFT, c.AllIBFT, c.NBFT); got !=
		"[1.1.1.1 2001:db8::53 9.9.9.9 8.8.8.8] [a.org b.org] falsenodetrue true false" {
		t.Error(got)
	}
	if c.DHCP != (DHCP{3, "PXE", "01:02"}) {
		t.Errorf("%+v", c.DHCP)
	}
	s := time.Second
	if c.Timeouts != (Timeouts{5 * s, 60 * s, 2 * s, 7 * s, 3 * s, 4 * s, 6 * s}) {
		t.Errorf("%+v", c.Timeouts)
	}
	if n, ok := c.NameFor("52:54:00:12:34:56"); n != "bootnet" || !ok {
		t.Error(n)
	}
	if n, ok := c.NameFor("00:00:10:29:fe:80:00:00:00:00:00:00:b8:ce:f6:03:00:99:4c:42"); n != "ib" || !ok {
		t.Error(n)
	}
	if _, ok := c.NameFor("52:54:00:12:34:57"); ok {
		t.Error("another interface has a name")
	}
	if c, _ := Parse(params("ksdevice=ibft")); !c.IBFT {
		t.Error("ksdevice=ibft")
	}
	if c, _ := Parse(nil); !c.PeerDNS || !c.NBFT || c.DHCP.Retry != 1 || c.Need {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(Names(), "rd.net.timeout.carrier") || slices.Contains(Names(), "root") || !slices.IsSorted(Names()) {
		t.Errorf("%v", Names())
	}
}

func TestWhichInterfaceIsConfiguredHow(t *testing.T) {
	c, _ := Parse(params("ip=eth0:dhcp4 ip=auto6 bond=bond0:eth1,eth2 vlan=bond0.5:bond0 ip=bond0.5:dhcp6"))
	for name, want := range map[string]string{
		"eth0": "eth0 dhcp4", "eth1": "", "eth3": "any interface slaac", "bond0": "", "bond0.5": "bond0.5 dhcp6",
	} {
		got := ""
		if in := c.For(name, "52:54:00:00:00:01"); in != nil {
			got = in.show()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if l := c.MemberOf("eth2"); l == nil || l.Name != "bond0" {
		t.Errorf("%v", l)
	}
	c, _ = Parse(params("ip=dhcp4 BOOTIF=01-52-54-00-12-34-56"))
	if c.For("eth0", "52:54:00:12:34:56") == nil || c.For("eth0", "52:54:00:12:34:57") != nil {
		t.Error("BOOTIF")
	}
}

func TestAddressesAndPrefixes(t *testing.T) {
	for _, s := range []string{"", "[1", "1.2.3", "fe80::1%eth0", "::ffff:1.2.3.4", "[::1]x", "1.2.3.4/8"} {
		if a, ok := address(s); ok {
			t.Errorf("%q is %v", s, a)
		}
	}
	for s, want := range map[string]int{"10.0.0.0/8": 8, "10.0.0.0/255.255.0.0": 16, "[::/0]": 0, "[2001:db8::]/32": 32, "10.0.0.0": -1} {
		if _, bits, ok := prefix(s); !ok || bits != want {
			t.Errorf("%q: %d, %t", s, bits, ok)
		}
	}
	for _, s := range []string{"10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-0", "10.0.0.0/0008", "10.0.0.0/ffff::", "[::/129]", "[::"} {
		if _, bits, ok := prefix(s); ok {
			t.Errorf("%q: %d", s, bits)
		}
	}
	for _, s := range []string{"52:54:00:12:34", "52:54-00:12:34:56", "52:54:00:12:34:5g", "525:4:00:12:34:56", "52 54 00 12 34 56"} {
		if m, ok := ParseMAC(s); ok {
			t.Errorf("%q is %s", s, m)
		}
	}
	if p := netip.MustParsePrefix("10.0.0.5/24"); !p.IsValid() {
		t.Fatal()
	}
}

// What bootcmd knows as a parameter of the network, and does not read itself,
// is read here or by what the network is for.
func TestNoParameterOfTheNetworkIsForgotten(t *testing.T) {
	elsewhere := []string{"netconsole", "rd.noverifyssl", "proxy", "rd.nfs.domain"}
	for _, a := range bootcmd.Areas() {
		if a.Subject != "the network" && a.Subject != "NFS" {
			continue
		}
		for _, n := range a.Names {
			if !slices.Contains(Names(), strings.ReplaceAll(n, "-", "_")) && !slices.Contains(elsewhere, n) {
				t.Errorf("%s is not read", n)
			}
		}
	}
}
