package nvmf

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/nbft"
)

const sub = "nqn.2026-01.example:disk"

// options are those of all targets, for a configuration from parameters.
func options(t *testing.T, s Sources) []string {
	t.Helper()
	c := Parse(s)
	if len(c.Problems) > 0 {
		t.Errorf("%q: %q", s.Params, c.Problems)
	}
	var list []string
	for _, x := range c.Targets {
		list = append(list, strings.TrimSuffix(x.Options(), ",ctrl_loss_tmo=-1,reconnect_delay=2"))
	}
	return list
}

func TestParametersBecomeOptionStrings(t *testing.T) {
	const disc = "nqn=" + DiscoveryNQN
	for _, c := range []struct{ params, want string }{
		{"rd.nvmf.connect=tcp,10.0.0.1," + sub, "nqn=" + sub + ",transport=tcp,traddr=10.0.0.1,trsvcid=4420"},
		{"rd.nvmf.connect=tcp,10.0.0.1," + sub + ",4421,10.0.0.9", "nqn=" + sub + ",transport=tcp,traddr=10.0.0.1,trsvcid=4421,host_traddr=10.0.0.9"},
		{"nvmf-connect=tcp,[2001:db8::1]," + sub, "nqn=" + sub + ",transport=tcp,traddr=2001:db8::1,trsvcid=4420"},
		{"rd.nvmf.connect=rdma,10.0.0.1," + sub, "nqn=" + sub + ",transport=rdma,traddr=10.0.0.1,trsvcid=4420"},
		{"rd.nvmf.connect=fc,nn-0x0123456789abcdef:pn-0x0123456789abcdef," + sub + ",,nn-0x1123456789abcdef:pn-0x1123456789abcdef",
			"nqn=" + sub + ",transport=fc,traddr=nn-0x0123456789abcdef:pn-0x0123456789abcdef,host_traddr=nn-0x1123456789abcdef:pn-0x1123456789abcdef"},
		{"rd.nvmf.discover=tcp,10.0.0.1", disc + ",transport=tcp,traddr=10.0.0.1,trsvcid=8009"},
		{"rd.nvmf.discover=tcp,10.0.0.1,10.0.0.9,4420", disc + ",transport=tcp,traddr=10.0.0.1,trsvcid=4420,host_traddr=10.0.0.9"},
		{"nvmf.discover=rdma,10.0.0.1", disc + ",transport=rdma,traddr=10.0.0.1,trsvcid=4420"},
		{"rd.nvmf.connect=tcp,10.0.0.1," + sub + " rd.nvmf.connect=tcp,10.0.0.1," + sub, "nqn=" + sub + ",transport=tcp,traddr=10.0.0.1,trsvcid=4420"},
		{"rd.nvmf.connect=tcp,10.0.0.1," + sub + " rd.nonvmf", ""},
		{"rd.nvmf.connect=tcp,10.0.0.1," + sub + " rd.nvmf.hostnqn=nqn.2014-08.org.nvmexpress:uuid:12345678-9ABC-4def-8012-3456789abcde",
			"nqn=" + sub + ",transport=tcp,traddr=10.0.0.1,trsvcid=4420,hostnqn=nqn.2014-08.org.nvmexpress:uuid:12345678-9ABC-4def-8012-3456789abcde,hostid=12345678-9ABC-4def-8012-3456789abcde"},
	} {
		if got := strings.Join(options(t, Sources{Params: strings.Fields(c.params)}), "; "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.params, got, c.want)
		}
	}
}

func TestWhatCannotBeUsedIsSaid(t *testing.T) {
	for params, want := range map[string]string{
		"rd.nvmf.connect=tcp,server," + sub:                "names of servers are not looked up",
		"rd.nvmf.connect=udp,10.0.0.1," + sub:              "not a transport",
		"rd.nvmf.connect=tcp,10.0.0.1,disk":                "the name of the subsystem is none",
		"rd.nvmf.connect=tcp,10.0.0.1," + sub + ",70000":   "is not a port",
		"rd.nvmf.connect=tcp,10.0.0.1," + sub + ",,x":      "is not an IP address of this machine",
		"rd.nvmf.connect=fc,nn-0x1:pn-0x1," + sub:          "not the addresses nn-0x",
		"rd.nvmf.discover=fc,auto":                         "are not found by themselves",
		"rd.nvmf.discover=tcp,1.2.3.4 rd.nvmf.hostnqn=box": "the name of the subsystem is none",
		"rd.nvmf.discover=tcp,1.2.3.4 rd.nvmf.hostid=box":  "it is no UUID",
	} {
		if c := Parse(Sources{Params: strings.Fields(params)}); len(c.Problems) != 1 || !strings.Contains(c.Problems[0], want) {
			t.Errorf("%s: %q, want %q", params, c.Problems, want)
		}
	}
}

func TestFilesOfNVMeCLI(t *testing.T) {
	files := map[string]string{
		FileHostNQN:   "nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8012-3456789abcde\n",
		FileHostID:    "22345678-9abc-4def-8012-3456789abcde\n",
		FileDiscovery: "# comment\n--transport=tcp --traddr=10.0.0.1 --trsvcid=8009 # here\n-t tcp -a 10.0.0.2\n\n",
		FileConfig: `[{"hostnqn":"nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8012-3456789abcde","dhchap_key":"DHHC-1:00:aaaa:",
			"subsystems":[{"nqn":"` + sub + `","ports":[{"transport":"tcp","traddr":"10.0.0.3","trsvcid":"4420","dhchap_ctrl_key":"DHHC-1:00:bbbb:"}]}]}]`,
	}
	const who = ",hostnqn=nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8012-3456789abcde,hostid=22345678-9abc-4def-8012-3456789abcde,dhchap_secret=DHHC-1:00:aaaa:"
	want := []string{"nqn=" + DiscoveryNQN + ",transport=tcp,traddr=10.0.0.1,trsvcid=8009" + who, "nqn=" + DiscoveryNQN + ",transport=tcp,traddr=10.0.0.2,trsvcid=8009" + who,
		"nqn=" + sub + ",transport=tcp,traddr=10.0.0.3,trsvcid=4420" + who + ",dhchap_ctrl_secret=DHHC-1:00:bbbb:"}
	if got := options(t, Sources{Files: files}); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// The keys are also for what the command line names.
	got := options(t, Sources{Params: []string{"rd.nvmf.nostatic", "rd.nvmf.connect=tcp,10.0.0.3," + sub}, Files: files})
	if !slices.Equal(got, want[2:]) {
		t.Errorf("got  %q\nwant %q", got, want[2:])
	}
	for _, x := range Parse(Sources{Files: files}).Targets {
		if strings.Contains(x.String()+x.From, "DHHC") {
			t.Errorf("a secret is in %q", x)
		}
	}
	if c := Parse(Sources{Files: map[string]string{FileConfig: "{"}}); len(c.Problems) != 1 {
		t.Errorf("%q", c.Problems)
	}
	if got := options(t, Sources{Params: []string{"rd.nvmf.connect=tcp,10.0.0.3," + sub}, Files: map[string]string{FileProduct: "12345678-9ABC-4DEF-8012-3456789ABCDE\n"}}); !strings.Contains(got[0], "hostnqn=nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8012-3456789abcde,hostid=12345678-9abc-") {
		t.Errorf("%q", got)
	}
}

func TestTheFirmwaresTable(t *testing.T) {
	table := &nbft.Table{Host: nbft.Host{NQN: "nqn.2014-08.example:host", ID: [16]byte{1}},
		Namespaces:  []nbft.Namespace{{Addr: netip.MustParseAddrPort("10.0.0.1:4420"), NQN: sub, DataDigest: true}, {Addr: netip.MustParseAddrPort("10.0.0.2:4420"), NQN: sub, Secure: true}},
		Discoveries: []nbft.Discovery{{URI: "nvme+tcp://10.0.0.1:8009/"}, {URI: "nvme+tcp://[2001:db8::1]/"}, {URI: "http://x/"}}}
	c := Parse(Sources{Tables: []*nbft.Table{table}})
	var got []string
	for _, x := range c.Targets {
		got = append(got, x.Options())
	}
	const who = ",hostnqn=nqn.2014-08.example:host,hostid=01000000-0000-0000-0000-000000000000"
	want := []string{"nqn=" + sub + ",transport=tcp,traddr=10.0.0.1,trsvcid=4420" + who + ",ctrl_loss_tmo=-1,reconnect_delay=2,data_digest",
		"nqn=" + DiscoveryNQN + ",transport=tcp,traddr=10.0.0.1,trsvcid=8009" + who, "nqn=" + DiscoveryNQN + ",transport=tcp,traddr=2001:db8::1,trsvcid=8009" + who}
	if !slices.Equal(got, want) || len(c.Problems) != 1 {
		t.Errorf("got  %q %q\nwant %q", got, c.Problems, want)
	}
	if c := Parse(Sources{Params: []string{"rd.nvmf.nonbft"}, Tables: []*nbft.Table{table}}); len(c.Targets) > 0 {
		t.Errorf("%v", c.Targets)
	}
}

// entry is one of a log page.
func entry(kind, sub byte, port, nqn, address string) []byte {
	e := make([]byte, LogEntry)
	e[0], e[2] = kind, sub
	copy(e[32:64], strings.Repeat(" ", 32))
	copy(e[32:], port)
	copy(e[256:], nqn)
	copy(e[512:768], strings.Repeat(" ", 256))
	copy(e[512:], address)
	return e
}

func page(generation uint64, entries ...[]byte) []byte {
	b := make([]byte, LogHeader)
	binary.LittleEndian.PutUint64(b, generation)
	binary.LittleEndian.PutUint64(b[8:], uint64(len(entries)))
	return append(b, slices.Concat(entries...)...)
}

func TestLogPagesBecomeTargets(t *testing.T) {
	from := Target{Transport: "tcp", Address: "10.0.0.1", Service: "8009", NQN: DiscoveryNQN, Discovery: true, HostAddr: "10.0.0.9", Host: Host{NQN: "nqn.x"}}
	list, err := ParseLog(page(1, entry(typeTCP, subNVMe, "4420", sub, "10.0.0.1"), entry(typeTCP, subNVMe, "4420", sub, "0.0.0.0"), entry(typeTCP, subItself, "8009", DiscoveryNQN, "10.0.0.1"),
		entry(typeRDMA, subNVMe, "4420", sub, "10.0.0.1"), entry(typeTCP, subReferral, "8009", DiscoveryNQN, "10.0.0.2"), entry(typeTCP, subNVMe, "4420", "nqn.a,host_traddr=x", "10.0.0.1")), from)
	var got []string
	for _, x := range list {
		got = append(got, x.String()+" "+x.HostAddr+" "+x.Host.NQN)
	}
	want := []string{"the NVMe subsystem " + sub + " at 10.0.0.1:4420 10.0.0.9 nqn.x", "the NVMe discovery controller at 10.0.0.2:8009 10.0.0.9 nqn.x"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
	}
	if _, err := ParseLog(page(1, entry(typeTCP, subNVMe, "4420", sub, "10.0.0.1"))[:LogHeader+100], from); err == nil {
		t.Error("a page that is cut off is read")
	}
	many := page(9)
	binary.LittleEndian.PutUint64(many[8:], 1<<40)
	if size, generation, err := LogSize(many); size != LogHeader+MaxEntries*LogEntry || generation != 9 || err != nil {
		t.Errorf("%d, %d, %v", size, generation, err)
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(page(1, entry(typeTCP, subNVMe, "4420", sub, "10.0.0.1"), entry(typeTCP, subReferral, "8009", DiscoveryNQN, "10.0.0.2")))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := ParseLog(b, Target{Transport: "tcp", Address: "10.0.0.1", Service: "8009", NQN: DiscoveryNQN, Discovery: true})
		for _, x := range list {
			if o := x.Options(); strings.Count(o, "nqn=") != 1 || strings.Count(o, "traddr=") != 1 || strings.ContainsAny(o, " \n\x00") {
				t.Errorf("%q", o)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("rd.nvmf.connect=tcp,10.0.0.1,"+sub+"\nrd.nvmf.hostid=1", "-t tcp -a 10.0.0.1 -q x", `[{"hostnqn":"a","subsystems":[{"nqn":"nqn.b","ports":[{"transport":"tcp","traddr":"1.2.3.4"}]}]}]`)
	f.Fuzz(func(t *testing.T, params, lines, config string) {
		c := Parse(Sources{Params: strings.Split(params, "\n"), Files: map[string]string{FileDiscovery: lines, FileConfig: config}})
		if len(c.Targets) > MaxTargets {
			t.Errorf("%d targets", len(c.Targets))
		}
		for _, x := range c.Targets {
			if o := x.Options(); strings.Count(","+o, ",nqn=") != 1 || strings.ContainsAny(o, " \n\x00") {
				t.Errorf("%q", o)
			}
		}
	})
}
