package rtnl

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
)

// enum reads the members of an enum of a header of the kernel with a prefix,
// counted from 0.
func enum(t *testing.T, header, prefix string) map[string]uint16 {
	t.Helper()
	b, err := os.ReadFile("/usr/include/linux/" + header)
	if err != nil {
		t.Skip("the kernel's headers are not here")
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
	out := map[string]uint16{}
	for _, m := range regexp.MustCompile(`(?s)enum[^{]*\{([^}]*)\}`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`^\s*` + prefix + `UNSPEC`).MatchString(m[1]) {
			continue
		}
		for i, name := range strings.Split(m[1], ",") {
			if n, ok := strings.CutPrefix(strings.TrimSpace(name), prefix); ok && !strings.Contains(n, "=") {
				out[n] = uint16(i)
			}
		}
	}
	return out
}

// The numbers of attributes are those of the kernel's headers.
func TestAttributesAreTheKernels(t *testing.T) {
	bond := enum(t, "if_link.h", "IFLA_BOND_")
	other := map[string]string{"LACP_RATE": "AD_LACP_RATE", "LACP_ACTIVE": "AD_LACP_ACTIVE", "ARP_MISSED_MAX": "MISSED_MAX", "NUM_GRAT_ARP": "NUM_PEER_NOTIF", "NUM_UNSOL_NA": "NUM_PEER_NOTIF"}
	checked := 0
	for _, o := range bondTable() {
		name := strings.ToUpper(o.name)
		if n, ok := other[name]; ok {
			name = n
		}
		switch n, ok := bond[name]; {
		case name == "AD_SELECT", ok && n == o.typ:
			checked++
		case ok:
			t.Errorf("%s is %d, not %d", name, n, o.typ)
		}
	}
	if checked < 25 {
		t.Errorf("%d options are in the header", checked)
	}
	for prefix, want := range map[string]map[string]uint16{
		"IFLA_BOND_":    {"ARP_IP_TARGET": bondARPTargets, "PRIMARY": bondPrimary, "AD_ACTOR_SYSTEM": bondSystem, "NS_IP6_TARGET": bondNSTargets},
		"IFLA_VLAN_":    {"ID": vlanID, "FLAGS": vlanFlags, "PROTOCOL": vlanProtocol},
		"IFLA_BR_":      {"FORWARD_DELAY": bridgeForwardDelay, "HELLO_TIME": bridgeHello, "MAX_AGE": bridgeMaxAge, "AGEING_TIME": bridgeAgeing, "STP_STATE": bridgeSTP, "PRIORITY": bridgePriority, "VLAN_FILTERING": bridgeFiltering},
		"IFLA_MACVLAN_": {"MODE": macvlanMode}, "IFLA_IPVLAN_": {"MODE": ipvlanMode}, "IFLA_IPOIB_": {"PKEY": ipoibPKey, "MODE": ipoibMode},
		"IFLA_INFO_": {"KIND": attrKind, "DATA": attrInfoData},
	} {
		got := enum(t, "if_link.h", prefix)
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s%s is %d, not %d", prefix, name, got[name], n)
			}
		}
	}
	for prefix, want := range map[string]map[string]uint16{
		"WGDEVICE_A_":    {"IFINDEX": wgIndex, "PRIVATE_KEY": wgPrivateKey, "FLAGS": wgFlags, "LISTEN_PORT": wgListenPort, "FWMARK": wgMark, "PEERS": wgPeers},
		"WGPEER_A_":      {"PUBLIC_KEY": peerKey, "PRESHARED_KEY": peerPreshared, "FLAGS": peerFlags, "ENDPOINT": peerEndpoint, "PERSISTENT_KEEPALIVE_INTERVAL": peerKeepalive, "ALLOWEDIPS": peerAllowed},
		"WGALLOWEDIP_A_": {"FAMILY": allowedFamily, "IPADDR": allowedAddr, "CIDR_MASK": allowedBits},
	} {
		got := enum(t, "wireguard.h", prefix)
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s%s is %d, not %d", prefix, name, got[name], n)
			}
		}
	}
}

// data are the attributes of a request for a new link by what the kernel reads.
func data(t *testing.T, r *request) (kind string, out map[uint16][]byte) {
	t.Helper()
	out = map[uint16][]byte{}
	for m := range messages(r.bytes(1)) {
		for typ, v := range attributes(m.body, linkSize) {
			if typ != attrInfo {
				continue
			}
			for typ, v := range attributes(v, 0) {
				if typ == attrKind {
					kind = text(v)
				}
				if typ == attrInfoData {
					for typ, v := range attributes(v, 0) {
						out[typ] = v
					}
				}
			}
		}
	}
	return kind, out
}

func TestBondHasItsOptions(t *testing.T) {
	var d BondData
	for _, o := range []struct{ name, value string }{{"mode", "802.3ad"}, {"miimon", "100"}, {"lacp_rate", "fast"}, {"xmit_hash_policy", "layer3+4"}, {"ad_actor_sys_prio", "7"},
		{"arp_ip_target", "10.0.0.1"}, {"arp_ip_target", "10.0.0.2"}, {"ad_actor_system", "02:00:00:00:00:05"}, {"mode", "1"}} {
		if err := d.Set(o.name, o.value); err != nil {
			t.Error(err)
		}
	}
	kind, got := data(t, makeLink(NewLink{Kind: "bond", Name: "bond0", Data: d.Attrs()}))
	if kind != "bond" || !bytes.Equal(got[1], []byte{1}) || u32(got[3]) != 100 || !bytes.Equal(got[21], []byte{1}) || !bytes.Equal(got[14], []byte{1}) || native.Uint16(got[24]) != 7 ||
		!bytes.Equal(got[bondSystem], []byte{2, 0, 0, 0, 0, 5}) {
		t.Errorf("%s %v", kind, got)
	}
	var targets []netip.Addr
	for _, v := range attributes(got[bondARPTargets], 0) {
		targets = append(targets, addrOf(v))
	}
	if len(targets) != 2 || targets[1] != netip.MustParseAddr("10.0.0.2") {
		t.Error(targets)
	}
	for _, bad := range []struct{ name, value string }{{"mode", "fast"}, {"miimon", "-1"}, {"use_carrier", "256"}, {"arp_ip_target", "::1"}, {"ad_actor_system", "02:00"}, {"speed", "1"}} {
		if err := d.Set(bad.name, bad.value); err == nil {
			t.Errorf("%s=%s is taken", bad.name, bad.value)
		}
	}
}

func TestVLANHasItsNumberAndTag(t *testing.T) {
	kind, got := data(t, makeLink(NewLink{Kind: "vlan", Name: "eth0.5", On: 2, Data: VLAN(5, VLANOptions{ServiceTag: true, GVRP: true, NoReorder: true})}))
	if kind != "vlan" || native.Uint16(got[vlanID]) != 5 || binary.BigEndian.Uint16(got[vlanProtocol]) != 0x88a8 || u32(got[vlanFlags]) != flagGVRP || u32(got[vlanFlags][4:]) != flagGVRP|flagReorder {
		t.Errorf("%s %v", kind, got)
	}
}

// What the kernel refuses it explains, whether it sends the request back or not.
func TestExplanationOfARefusalIsRead(t *testing.T) {
	request := setUp(2, true).bytes(3)
	for flags, back := range map[uint16][]byte{flagAckTLVs: request, flagAckTLVs | flagCapped: request[:headerSize]} {
		r := newRequest(typeError, flags)
		r.fixed(0xea, 0xff, 0xff, 0xff)
		r.fixed(back...)
		r.attr(attrMessage, []byte("Mode not supported\x00"))
		for m := range messages(r.bytes(3)) {
			if got := explanation(m); got != "Mode not supported" {
				t.Errorf("%#x: %q", flags, got)
			}
			for n := range m.body {
				explanation(message{flags: flags, body: m.body[:n]})
			}
		}
	}
}

// A peer is whole after it has been written: its endpoint as a socket address.
func TestTunnelIsToldItsPeers(t *testing.T) {
	w := &WireGuard{PrivateKey: [32]byte{1}, ListenPort: 51820, Peers: []WireGuardPeer{{PublicKey: [32]byte{2}, Endpoint: netip.MustParseAddrPort("10.7.0.1:51820"),
		Allowed: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd00::/8")}}}}
	seen := 0
	for m := range messages(wireGuard(30, 4, w).bytes(1)) {
		for typ, v := range attributes(m.body, 4) {
			if typ != wgPeers {
				continue
			}
			for _, peer := range attributes(v, 0) {
				for typ, v := range attributes(peer, 0) {
					switch typ {
					case peerEndpoint:
						seen++
						if !bytes.Equal(v, append([]byte{2, 0, 0xca, 0x6c, 10, 7, 0, 1}, make([]byte, 8)...)) {
							t.Errorf("endpoint %v", v)
						}
					case peerAllowed:
						for range attributes(v, 0) {
							seen++
						}
					case peerPreshared:
						t.Error("a key that is none")
					}
				}
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d parts", seen)
	}
}
