package e2e

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// commands are commands of the server, one a line; "&" at the end is for one that
// does not end.
func commands(lines ...string) (list []serverplan.Command) {
	for _, l := range lines {
		l, stays := strings.CutSuffix(l, " &")
		list = append(list, serverplan.Command{Argv: strings.Fields(l), Stays: stays})
	}
	return list
}

// leases is a DHCP server on a link of the server, which gives out addresses of a
// network and says where the root is.
func leases(link, network string) string {
	return "dnsmasq --keep-in-foreground --pid-file= --user=root --group=root --port=0 --conf-file=/dev/null --interface=" + link +
		" --no-ping --log-dhcp --log-facility=- --dhcp-leasefile=/tmp/leases-" + link + " --dhcp-authoritative --dhcp-range=" + network + "50," + network + "99,255.255.255.0,1h" +
		" --dhcp-option=option:root-path," + network + "1:" + exported + " &"
}

// overLinks are roots that are reached by links made of others, and by links with
// other names.
func overLinks() []Scenario {
	const nfs4 = " nfs4?"
	root := func(network string) Want {
		return Want{Root: strings.ReplaceAll(network, ".", `\.`) + "1:" + exported + nfs4, RootOptions: []string{"ro", "vers=4.2"}}
	}
	has := func(w Want, journal ...string) Want { w.Journal = journal; return w }
	card, two := []vm.NIC{{}}, []vm.NIC{{}, {}}
	net := func(name, args string, n Net, w Want, features ...string) Scenario {
		if n.NICs == nil {
			n.NICs = card
		}
		return Scenario{Name: name, For: nfsImage(), Features: features, Append: args, Net: &n, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	including := func(s Scenario, files ...Include) Scenario { s.Include = files; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }

	// The server has VLAN 5 with 10.8.0.1, and nobody gives out addresses without
	// the tag.
	vlan := Server{Modules: []string{"8021q"}, Other: commands("ip link add link eth0 name eth0.5 type vlan id 5",
		"ip address add 10.8.0.1/24 dev eth0.5", "ip link set eth0.5 up", leases("eth0.5", "10.8.0."))}
	debian, whole := disks.DebianNFS("bookworm"), vlan
	whole.Disk = &debian
	plain := Server{Other: commands(leases("eth0", "10.7.0."))}
	// LACP needs cards with a speed, which virtio's have not.
	lacp := Server{Model: "e1000e", Modules: []string{"bonding", "e1000e"}, Other: commands("ip link set eth0 down", "ip address flush dev eth0",
		"ip link add bond9 type bond mode 802.3ad miimon 100 lacp_rate fast", "ip link set eth0 master bond9", "ip link set eth1 master bond9",
		"ip address add 10.7.0.1/24 dev bond9", "ip link set bond9 up", leases("bond9", "10.7.0."))}
	// Both tags, as a provider has them.
	double := Server{Modules: []string{"8021q"}, Other: commands("ip link add link eth0 name outer type vlan id 100", "ip link set outer up",
		"ip link add link outer name inner type vlan id 7", "ip address add 10.8.0.1/24 dev inner", "ip link set inner up", leases("inner", "10.8.0."))}
	service := Server{Modules: []string{"8021q"}, Other: commands("ip link add link eth0 name service type vlan protocol 802.1ad id 7",
		"ip address add 10.8.0.1/24 dev service", "ip link set service up", leases("service", "10.8.0."))}
	here, there := wireGuardKey(1), wireGuardKey(2)
	tunnel := Server{Modules: []string{"wireguard"}, Programs: []string{"wg"}, Files: map[string]string{"/etc/wg.key": there.private + "\n"},
		Other: commands("ip link add wg0 type wireguard", "wg set wg0 private-key /etc/wg.key listen-port 51820 peer "+here.public+" allowed-ips 10.9.0.2/32",
			"ip address add 10.9.0.1/24 dev wg0", "ip link set wg0 up")}
	tunnelFiles := []Include{{Path: "/etc/systemd/network/wg0.key", Data: here.private + "\n"},
		{Path: "/etc/systemd/network/wg0.netdev", Data: "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKeyFile=/etc/systemd/network/wg0.key\n" +
			"[WireGuardPeer]\nPublicKey=" + there.public + "\nEndpoint=10.7.0.1:51820\nAllowedIPs=10.9.0.0/24\n"}}
	return []Scenario{
		trixie(net("nfs-vlan", "ro root=dhcp vlan=enp0s1.5:enp0s1 ip=enp0s1.5:dhcp", Net{Server: vlan}, has(root("10.8.0."), `ready enp0s1\.5 `), "vlan")),
		trixie(net("nfs-bond-dead-card", "ro root=dhcp bond=bond0:enp0s1,enp0s2:mode=active-backup ip=bond0:dhcp",
			Net{NICs: []vm.NIC{{NoCarrier: true}, {}}, Apart: []int{0}, Server: plain}, has(root("10.7.0."), `ready bond0 `, `link enp0s1 part=bond0 carrier=no`), "bond")),

		full(trixie(net("nfs-bond-lacp", "ro root=dhcp net.ifnames=0 bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=fast,xmit_hash_policy=layer3+4,min_links=2:1400 ip=bond0:dhcp",
			Net{NICs: []vm.NIC{{Model: "e1000e"}, {Model: "e1000e"}}, Cables: []int{0, 1}, Server: lacp}, has(root("10.7.0."), `ready bond0 `), "bond"))),
		full(net("nfs-bridge", "ro root=dhcp bridge=br0:enp0s1 ip=br0:dhcp", Net{Server: plain}, has(root("10.7.0."), `ready br0 `), "bridge")),
		full(net("nfs-team", "ro root=dhcp team=team0:enp0s1,enp0s2:activebackup ip=dhcp", Net{NICs: two, Server: plain}, has(root("10.7.0."), `ready team0 `), "bond")),
		full(trixie(net("nfs-bridge-vlan-bond", "ro root=dhcp ip=br0:dhcp bridge=br0:bond0.5 vlan=bond0.5:bond0 bond=bond0:enp0s1,enp0s2:mode=active-backup,primary=enp0s2",
			Net{NICs: two, Server: vlan}, has(root("10.8.0."), `ready br0 `), "vlan", "bond", "bridge"))),
		full(net("nfs-vlan-in-vlan", "ro root=dhcp vlan=outer100:enp0s1 vlan=inner7:outer100 ip=inner7:dhcp", Net{Server: double}, has(root("10.8.0."), `ready inner7 `), "vlan")),

		// A whole system, whose networkd and udev find the bond and the VLAN as they are.
		full(Scenario{Name: "bookworm-nfs-vlan-bond", For: nfsImage(), Features: []string{"vlan", "bond"}, Append: "rw root=dhcp vlan=bond0.5:bond0 bond=bond0:enp0s1,enp0s2:mode=active-backup ip=bond0.5:dhcp",
			Memory: 1024, Net: &Net{NICs: two, Server: whole}, Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true}}}}),

		// Names: the card that was booted from, and two cards whose names change places.
		full(net("nfs-bootif", "ro root=dhcp BOOTIF=01-52-54-00-07-01-02 ip=dhcp", Net{NICs: two, Server: plain}, has(root("10.7.0."), `unused enp0s1 `, `ready enp0s2 `))),
		full(trixie(including(net("nfs-link-file", "ro root=dhcp ip=lan0:dhcp", Net{NICs: two, Server: plain},
			has(root("10.7.0."), `ready lan0 mac=52:54:00:07:01:02 `, `enp0s2 is now lan0|eth. is now lan0`)),
			Include{Path: "/etc/systemd/network/10-lan.link", Data: "[Match]\nPermanentMACAddress=52:54:00:07:01:02\nPath=pci-*\nDriver=virtio_net\n[Link]\nName=lan0\nMTUBytes=1400\n"}))),
		full(net("nfs-ifname-swap", "ro root=dhcp net.ifnames=0 ifname=eth0:52:54:00:07:01:02 ifname=eth1:52:54:00:07:01:01 ip=eth0:dhcp",
			Net{NICs: two, Apart: []int{0}, Server: plain}, has(root("10.7.0."), `ready eth0 mac=52:54:00:07:01:02 `))),

		// Links of files for networkd: a tunnel, whose key is in the image alone, and a
		// link beside the card's own.
		full(trixie(including(net("nfs-wireguard", "ro root=nfs:10.9.0.1:"+exported+" ip=10.7.0.9:::24::enp0s1:none ip=10.9.0.2:::24::wg0:none", Net{Server: tunnel},
			has(root("10.9.0."), `ready wg0 `), "wireguard"), tunnelFiles...))),
		full(including(net("nfs-macvlan", "ro root=dhcp ip=lan0:dhcp", Net{Server: plain}, has(root("10.7.0."), `ready lan0 mac=02:00:00:00:00:77 `), "macvlan"),
			Include{Path: "/etc/systemd/network/lan0.netdev", Data: "[NetDev]\nName=lan0\nKind=macvlan\nMACAddress=02:00:00:00:00:77\n[MACVLAN]\nMode=bridge\n"},
			Include{Path: "/etc/systemd/network/card.network", Data: "[Match]\nName=enp0s1\n[Network]\nMACVLAN=lan0\n"})),
		full(including(net("nfs-vlan-802.1ad", "ro root=dhcp ip=service7:dhcp", Net{Server: service}, has(root("10.8.0."), `ready service7 `), "vlan", "netdev"),
			Include{Path: "/etc/systemd/network/s.netdev", Data: "[NetDev]\nName=service7\nKind=vlan\n[VLAN]\nId=7\nProtocol=802.1ad\n"},
			Include{Path: "/etc/systemd/network/card.network", Data: "[Match]\nName=enp0s1\n[Network]\nVLAN=service7\n"})),

		// A link that leads nowhere, with an address that services of the machine are had by.
		full(trixie(including(net("nfs-dummy", "ro root=dhcp ip=enp0s1:dhcp ip=10.9.0.2:::32::services:none", Net{Server: plain}, has(root("10.7.0."), `ready services .*addr=10\.9\.0\.2/32`), "dummy"),
			Include{Path: "/etc/systemd/network/services.netdev", Data: "[NetDev]\nName=services\nKind=dummy\n"}))),

		// Over the air: the machine has two radios that hear each other alone, and is the
		// access point too, on a bridge with the card.
		full(trixie(wifi("nfs-wifi-wpa3", "wpa_key_mgmt=SAE\nieee80211w=2\nsae_password="+passphrase+"\n", "key_mgmt=SAE\nieee80211w=2\nsae_password=\""+passphrase+"\"\n", plain))),
		full(wifi("nfs-wifi-wpa2", "wpa_key_mgmt=WPA-PSK\nwpa_passphrase="+passphrase+"\n", "key_mgmt=WPA-PSK\npsk=\""+passphrase+"\"\n", plain)),

		full(net("nfs-bond-missing", "ro root=dhcp bond=bond0:eth7,eth8:mode=1 ip=bond0:dhcp rd.timeout=40 rd.emergency=poweroff", Net{Server: plain},
			Want{NoBoot: true, Console: []Seen{see(`bond0:\s+it\s+is\s+made\s+of\s+one\s+of\s+eth7,\s+eth8,\s+which\s+is\s+not\s+there`)}}, "bond")),
	}
}

// tunnelKeys are those of one end of a tunnel, as wg(8) writes them.
type tunnelKeys struct{ private, public string }

// wireGuardKey makes the same keys every time.
func wireGuardKey(n byte) tunnelKeys {
	k, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err) // any 32 bytes are a key
	}
	return tunnelKeys{base64.StdEncoding.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.PublicKey().Bytes())}
}

// passphrase is that of the Wi-Fi.
const passphrase = "a word for the air"

// wifi is a root that is reached by Wi-Fi. ap and station are what the access point
// and the machine say of the keys.
func wifi(name, ap, station string, s Server) Scenario {
	// The access point is started by whoever starts wpa_supplicant, before it.
	script := "#!/bin/sh\nip link set br0 up\n(exec -a @hostapd /usr/sbin/hostapd /etc/hostapd.conf) &\nexec -a @wpa_supplicant /usr/sbin/wpa_supplicant \"$@\"\n"
	return Scenario{Name: name, For: &Target{FS: "nfs", Modules: []string{"virtio_net", "mac80211_hwsim"}, Programs: []string{"hostapd"}}, Features: []string{"wifi", "bridge", "shell"},
		Append: "ro root=dhcp rd.driver.pre=mac80211_hwsim bridge=br0:enp0s1 ip=wlan1:dhcp", Memory: 768, Net: &Net{NICs: []vm.NIC{{}}, Server: s},
		Include: []Include{
			{Path: "/etc/hostapd.conf", Data: "interface=wlan0\nbridge=br0\ndriver=nl80211\nssid=firstlight\nhw_mode=g\nchannel=1\nwpa=2\nrsn_pairwise=CCMP\n" + ap},
			{Path: "/etc/wpa_supplicant/wpa_supplicant-wlan1.conf", Data: "ctrl_interface=/run/wpa_supplicant\nnetwork={\nssid=\"firstlight\"\n" + station + "}\n"}},
		Programs: []Include{{Path: "/usr/local/sbin/wpa_supplicant", Data: script}},
		Boots:    once(Want{Root: `10\.7\.0\.1:` + exported + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}, Daemons: []string{`@wpa_supplicant -i wlan1 .*`, `@hostapd .*`}, Journal: []string{`ready wlan1 `, `link wlan1 carrier=no by=wpa_supplicant`}})}
}
