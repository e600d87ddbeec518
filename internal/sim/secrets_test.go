package sim_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"firstlight/internal/report"
	"firstlight/internal/sim"
)

// networkSecret stands in each command line below, and nowhere else.
const networkSecret = "Zeb-3rth_Qu"

// Passwords for servers are read where they are needed, and stand in no journal, no
// record of the inputs, nothing on a screen and no report that is handed on.
func TestNoRecordHasAPasswordOfTheNetwork(t *testing.T) {
	const iscsi = "10.0.0.1:::1:" + target
	for _, c := range []struct{ cmdline, lease string }{
		{cmdline: "root=iscsi:me:" + networkSecret + "@" + iscsi},
		{cmdline: "root=iscsi:me:other:in:" + networkSecret + "@" + iscsi},
		{cmdline: "netroot=iscsi:me:" + networkSecret + "@" + iscsi + " root=UUID=" + rootUUID},
		{cmdline: "root=iscsi:" + iscsi + " rd.iscsi.username=me rd.iscsi.password=" + networkSecret},
		{cmdline: "root=iscsi:" + iscsi + " rd.iscsi.in.username=me rd.iscsi.in.password=" + networkSecret},
		{cmdline: "root=iscsi:" + iscsi + " iscsi_username=me iscsi_password=" + networkSecret},
		{cmdline: "root=iscsi:" + iscsi + " iscsi_in_password=" + networkSecret},
		{cmdline: "root=iscsi:" + iscsi + " rd.iscsi.param=node.session.auth.password=" + networkSecret},
		{cmdline: "root=dhcp", lease: "iscsi:me:" + networkSecret + "@" + iscsi},
		{cmdline: "root=cifs://me:" + networkSecret + "@10.0.0.1/share"},
		{cmdline: "root=cifs://10.0.0.1/share cifsuser=me cifspass=" + networkSecret},
		{cmdline: "root=dhcp", lease: "cifs://me:" + networkSecret + "@10.0.0.1/share"},
		{cmdline: "root=live:http://me:" + networkSecret + "@10.0.0.1/root.sfs rd.firstlight.unverified"},
		{cmdline: "root=dhcp rd.firstlight.unverified", lease: "http://me:" + networkSecret + "@10.0.0.1/root.sfs"},
		{cmdline: "root=live:" + imageURL + " rd.firstlight.unverified proxy=http://me:" + networkSecret + "@10.0.0.1:3128"},
	} {
		m, _ := onWeb("rd.emergency=poweroff rd.timeout=40 " + c.cmdline + me)
		d := rootDisk()
		m.Network.ISCSI = []*sim.Exporter{{Addr: "10.0.0.1", Port: 3260, Exports: map[string]*sim.Disk{target: d}}}
		m.Record = true
		if c.lease != "" {
			m.Network.Server.Root = c.lease
		}
		if err := m.Boot(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"journal": string(m.Journal), "inputs": string(m.Inputs), "screen": m.SaidText()} {
			if i := strings.Index(text, networkSecret); i >= 0 || strings.Contains(text, hex.EncodeToString([]byte(networkSecret))) {
				t.Errorf("%s %s: the %s has it: …%q", c.cmdline, c.lease, name, text[max(0, i-60):max(0, i)+len(networkSecret)])
			}
		}
		if !bytes.Contains(m.Journal, []byte("…")) && !bytes.Contains(m.Journal, []byte(`\\xe2\\x80\\xa6@`)) {
			t.Errorf("%s %s: nothing was left out of the journal:\n%s", c.cmdline, c.lease, m.Journal)
		}
		if c.lease != "" { // a command line is replayed as it is recorded
			replays(t, m)
		}
		var r report.Report
		r.AddCommandLine("cmdline", c.cmdline)
		r.AddKernelLog("kernel.log", "[    0.000000] Kernel command line: "+c.cmdline+"\n")
		for name, text := range m.Network.Files {
			r.Add(name, []byte(text)) // which everybody can read
		}
		for _, f := range r.Files {
			if bytes.Contains(f.Data, []byte(networkSecret)) {
				t.Errorf("%s %s: %s has it: %s", c.cmdline, c.lease, f.Name, f.Data)
			}
		}
	}
}
