package netup_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/netfile"
	"firstlight/internal/netup"
)

const key = "YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="

// linksOf are the links that files ask for.
func linksOf(t *testing.T, files map[string]string) ([]netup.Made, []string) {
	t.Helper()
	var all []netfile.File
	for name, text := range files {
		all = append(all, netfile.File{Path: "/etc/systemd/network/" + name, Text: text})
	}
	devs, problems := netfile.ParseNetDevs(netfile.Choose(all, ".netdev"))
	nets, more := netfile.ParseNetworks(netfile.Choose(all, ".network"))
	list, bad := netup.FromFiles(nil, devs, nets, func(p string) ([]byte, error) {
		if p == "/keys/wg0" {
			return []byte(key + "\n"), nil
		}
		return nil, errors.New("open " + p + ": no such file")
	})
	return list, slices.Concat(problems, more, bad)
}

func TestLinksOfNetworkdsFiles(t *testing.T) {
	list, problems := linksOf(t, map[string]string{
		"10-bond.netdev":   "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=9000\n[Bond]\nMode=active-backup\nMIIMonitorSec=0.5s\nPrimaryReselectPolicy=better\n",
		"20-vlan.netdev":   "[NetDev]\nName=service\nKind=vlan\n[VLAN]\nId=7\nProtocol=802.1ad\n",
		"30-ib.netdev":     "[NetDev]\nName=ib0.8001\nKind=ipoib\n[IPoIB]\nPartitionKey=0x1\nMode=connected\n",
		"40-wg.netdev":     "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKeyFile=/keys/wg0\n[WireGuardPeer]\nPublicKey=" + key + "\nAllowedIPs=10.0.0.0/8, fd00::/8\nEndpoint=[2001:db8::1]:51820\n[WireGuardPeer]\nPublicKey=" + key + "\n",
		"10-cards.network": "[Match]\nName=eth0 eth1\n[Network]\nBond=bond0\n",
		"05-first.network": "[Match]\nName=eth1\n[Network]\nBond=bond0\nPrimarySlave=yes\n",
		"20-bond.network":  "[Match]\nName=bond0\n[Network]\nVLAN=service\nDHCP=yes\n",
		"30-ib.network":    "[Match]\nName=ib0\n[Network]\nIPoIB=ib0.8001\n",
		"80-all.network":   "[Match]\nName=*\n[Network]\nDHCP=yes\n",
	})
	if len(problems) > 0 || len(list) != 4 {
		t.Fatalf("%d links, %q", len(list), problems)
	}
	if b := list[0]; b.Kind != "bond" || b.MTU != 9000 || b.Primary != "eth1" || !slices.Equal(b.Members, []string{"eth1", "eth0"}) {
		t.Errorf("%+v", b)
	}
	if list[1].On != "bond0" || list[2].On != "ib0" || list[2].Cannot != "" {
		t.Errorf("%+v %+v", list[1], list[2])
	}
	if k := list[3].Keys; k == nil || len(k.Peers) != 2 || len(k.Peers[0].Allowed) != 2 || k.Peers[0].Endpoint.Port() != 51820 || k.PrivateKey == [32]byte{} {
		t.Errorf("%+v", list[3])
	}
}

func TestFilesThatCannotBeUsedSayWhy(t *testing.T) {
	for file, want := range map[string]string{
		"[NetDev]\nName=a\nKind=gre\n":                                                             "Kind=gre is not made",
		"[NetDev]\nName=a\nKind=vlan\n[VLAN]\nId=4095\n":                                           "Id=4095",
		"[NetDev]\nName=a\nKind=vlan\n[VLAN]\nId=5\n":                                              "no .network file says what it is on",
		"[NetDev]\nName=a\nKind=bond\n[Bond]\nMode=fastest\n":                                      "fastest",
		"[NetDev]\nName=a\nKind=macvlan\n[MACVLAN]\nMode=odd\n":                                    "Mode=odd",
		"[NetDev]\nName=a\nKind=wireguard\n[WireGuard]\nPrivateKeyFile=/keys/none\n":               "take it into the image with --include /keys/none",
		"[NetDev]\nName=a\nKind=wireguard\n[WireGuard]\nPrivateKey=secretsecret\n":                 "not a key of WireGuard",
		"[Match]\nHost=box\n[NetDev]\nName=a\nKind=dummy\n":                                        "cannot be judged",
		"[NetDev]\nName=a\nKind=wireguard\n[WireGuard]\nPrivateKey=" + key + "\n[WireGuardPeer]\n": "no PublicKey=",
		"[NetDev]\nName=a\nKind=ipoib\n[IPoIB]\nPartitionKey=0x8000\n":                             "PartitionKey=0x8000",
	} {
		list, problems := linksOf(t, map[string]string{"x.netdev": file})
		for _, m := range list {
			problems = append(problems, m.Cannot)
		}
		text := strings.Join(problems, "; ")
		if !strings.Contains(text, want) || strings.Contains(text, "secretsecret") || strings.Contains(text, key) {
			t.Errorf("%q: %q", file, text)
		}
	}
}
