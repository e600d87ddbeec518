package netfile

import (
	"slices"
	"strings"
	"testing"
)

func device(path, driver string) *Device {
	return &Device{Name: "eth0", Address: []byte{0x52, 0x54, 0, 1, 2, 3}, Permanent: []byte{0x52, 0x54, 0, 1, 2, 9}, Type: "ether",
		Path: func() string { return path }, Driver: func() string { return driver },
		Property: func(name string) string {
			return map[string]string{"ID_MODEL_ID": "9999", "KEY": `with "quotation"`}[name]
		},
		Parameter: func(w string) bool { return w == "quiet" || w == "site=a" }}
}

func TestFilesMatchAsUdevMatchesThem(t *testing.T) {
	for match, want := range map[string]bool{
		"MACAddress=52:54:00:01:02:03":                             true,
		"MACAddress=5254.0001.0203 aa:bb:cc:dd:ee:ff":              true,
		"MACAddress=52-54-00-01-02-09":                             false,
		"PermanentMACAddress=52:54:0:1:2:9":                        true,
		"MACAddress=52:54:00:01:02:03\nMACAddress=":                true, // nothing is asked for any more
		"Path=pci-0000:00:*":                                       true,
		"Path=*-usb-*":                                             false,
		"Path=!*-usb-*":                                            true,
		"Driver=e1000e virtio*":                                    true,
		"Driver=! e1000e virtio*":                                  false,
		"Type=ether":                                               true,
		"Type=!ether wlan":                                         false,
		"OriginalName=e*":                                          true,
		"OriginalName=*\nDriver=tg3":                               false,
		"Property=ID_MODEL_ID=9999 \"KEY=with \\\"quotation\\\"\"": true,
		"Property=ID_MODEL_ID=9999 KEY=no":                         false,
		"KernelCommandLine=site=a":                                 true,
		"KernelCommandLine=!quiet":                                 false,
		"Kind=*":                                                   true,
	} {
		l, problems := ParseLinks([]File{{"10-x.link", "# a card\n[Match]\n" + match + "\n[Link]\nName=lan0\n"}})
		if got := l.For(device("pci-0000:00:03.0", "virtio_net")) != nil; got != want || len(problems) > 0 {
			t.Errorf("%q: %v, %q", match, got, problems)
		}
	}
}

// A file with a condition that nobody can judge so early is none.
func TestFilesThatCannotBeJudgedAreNotUsed(t *testing.T) {
	l, problems := ParseLinks([]File{{"10-x.link", "[Match]\nHost=box\n[Link]\nName=lan0\n"}, {"20-y.link", "[Match]\nOriginalName=*\n[Link]\nName=lan1\nMTUBytes=9K\nAlias=to the switch\nNamePolicy=keep\nNamePolicy=mac\n"}})
	got := l.For(device("", ""))
	if got == nil || got.Name != "lan1" || got.MTU != 9216 || got.Alias != "to the switch" || !slices.Equal(got.Policy, []string{"keep", "mac"}) || len(problems) != 1 || !strings.Contains(problems[0], "Host=") {
		t.Errorf("%+v %q", got, problems)
	}
}

func TestFilesAreReadInSystemdsOrder(t *testing.T) {
	got := Choose([]File{
		{"/etc/systemd/network/50-b.link", "etc b"}, {"/etc/systemd/network/99-default.link", ""}, {"/etc/systemd/network/50-b.link.d/20.conf", "etc 20"},
		{"/usr/lib/systemd/network/50-b.link", "lib b"}, {"/usr/lib/systemd/network/10-a.link", "lib a"}, {"/usr/lib/systemd/network/99-default.link", "lib default"},
		{"/usr/lib/systemd/network/50-b.link.d/10.conf", "lib 10"}, {"/usr/lib/systemd/network/50-b.link.d/20.conf", "lib 20"}, {"/usr/lib/systemd/network/50-b.network", "no"},
	}, ".link")
	if len(got) != 2 || got[0] != (File{"10-a.link", "lib a"}) || got[1] != (File{"50-b.link", "etc b\nlib 10\netc 20"}) {
		t.Errorf("%q", got)
	}
}

func FuzzLinks(f *testing.F) {
	f.Add("[Match]\nMACAddress=52:54:00:01:02:03\nProperty=\"A=b c\"\n[Link]\nName=lan0\nMTUBytes=1500\n")
	f.Add("[Match]\nDriver=! \\\n x\n[Link]\nNamePolicy=\\")
	f.Fuzz(func(t *testing.T, text string) {
		l, _ := ParseLinks([]File{{"x.link", text}})
		l.For(device("pci-0000:00:03.0", "x"))
	})
}

func FuzzNetDev(f *testing.F) {
	f.Add("[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKey=YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n[WireGuardPeer]\nAllowedIPs=10.0.0.0/8\n", "[Match]\nName=eth0\n[Network]\nVLAN=a b\n")
	f.Fuzz(func(t *testing.T, dev, net string) {
		list, _ := ParseNetDevs([]File{{"x.netdev", dev}})
		for _, d := range list {
			if d.Name == "" || sections[d.Kind] == "" {
				t.Fatalf("%+v", d)
			}
		}
		ParseNetworks([]File{{"x.network", net}})
	})
}
