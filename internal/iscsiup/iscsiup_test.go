package iscsiup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/ibft"
	"firstlight/internal/netreport"
)

const target = "iqn.2026-01.example:disk"

// edge counts logins and keeps what is said.
type edge struct {
	logins int
	said   []netreport.Report
}

func (e *edge) Login()                 { e.logins++ }
func (e *edge) Say(r netreport.Report) { e.said = append(e.said, r) }

// last is the last report, as a person has it.
func (e *edge) last() string {
	r := e.said[len(e.said)-1]
	return r.Get("condition") + ": " + r.Get("text")
}

func parse(t *testing.T, params, report string, s Sources) Target {
	t.Helper()
	x, err := Parse(params+"\n"+"\n"+report+"\n", s)
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	return x
}

func TestTargets(t *testing.T) {
	table := &ibft.Table{Targets: []ibft.Target{{Boot: true, Name: target, LUN: 2 << 48, User: "fw", Secret: "fwsecret"}}}
	for _, c := range []struct {
		params, report string
		s              Sources
		want           string // of String, the unit and the user
	}{
		{"root=iscsi:u:p@10.0.0.1::3261:1:" + target, "root eth0 kind=iscsi server=10.0.0.1", Sources{}, target + " of 10.0.0.1:3261 1 u"},
		{"root=iscsi:[2001:db8::1]:::a-1:" + target, "root eth0 kind=iscsi server=2001:db8::1", Sources{}, target + " of [2001:db8::1]:3260 65546 "},
		{"netroot=iscsi:h::::iqn.a netroot=iscsi:h::::" + target, "root eth0 kind=iscsi n=0 server=10.0.0.1", Sources{}, "iqn.a of 10.0.0.1:3260 0 "},
		{"root=dhcp\nrd.iscsi.username=u\nrd.iscsi.password=p", "root eth0 kind=iscsi source=iscsi:10.0.0.2::::" + target + " server=10.0.0.2", Sources{}, target + " of 10.0.0.2:3260 0 u"},
		{"root=UUID=1\nrd.iscsi.target.name=" + target + "\nrd.iscsi.target.ip=10.0.0.1,10.0.0.2", "root eth0 kind=iscsi n=1 server=10.0.0.2", Sources{}, target + " of 10.0.0.2:3260 0 "},
		{"rd.iscsi.firmware", "root eth0 kind=iscsi server=10.0.0.9", Sources{Table: table}, target + " of 10.0.0.9:0 2 fw"},
		{"ro", "root eth0 kind=iscsi server=10.0.0.1", Sources{Files: map[string]string{FileInitramfs: "ISCSI_TARGET_NAME=\"" + target + "\"\nISCSI_TARGET_IP=10.0.0.1\nISCSI_USERNAME=$(x)\n"}},
			target + " of 10.0.0.1:3260 0 "},
	} {
		x := parse(t, strings.ReplaceAll(c.params, " ", "\n"), c.report, c.s)
		if got := x.String() + " " + unit(x.Unit()) + " " + x.User; got != c.want {
			t.Errorf("%s: %q, want %q", c.params, got, c.want)
		}
	}
	for _, text := range []string{"", "root=iscsi:10.0.0.1::::" + target, "root=iscsi:10.0.0.1::::" + target + "\n\nroot eth0 kind=iscsi n=1 server=10.0.0.1",
		"root=nfs:h:/x\n\nroot eth0 kind=iscsi server=10.0.0.1", "root=iscsi\n\nroot eth0 kind=iscsi server=10.0.0.1", "root=iscsi:h::::" + target + "\n\nroot eth0 kind=iscsi"} {
		if x, err := Parse(text, Sources{}); err == nil {
			t.Errorf("%q: %v", text, x)
		}
	}
}

func TestRecord(t *testing.T) {
	x := parse(t, "root=iscsi:u:p:ru:rp@10.0.0.1:::default:eth0:1:"+target+"\nrd.iscsi.target.group=3\nrd.iscsi.param=node.session.cmds_max=64\nrd.iscsi.login_retry_max=5",
		"root eth0 kind=iscsi server=10.0.0.1", Sources{})
	if p := x.RecordPath(); p != target+"/10.0.0.1,3260,3/default" {
		t.Error(p)
	}
	lines := strings.Split(string(x.Record()), "\n")
	for _, want := range []string{"node.name = " + target, "node.tpgt = 3", "iface.net_ifacename = eth0", "iface.transport_name = tcp", "node.session.auth.authmethod = CHAP", "node.session.auth.password = p",
		"node.session.auth.username_in = ru", "node.session.auth.password_in = rp", "node.session.cmds_max = 64", "node.session.initial_login_retry_max = 5",
		"node.session.timeo.replacement_timeout = 86400", "node.conn[0].timeo.login_timeout = 15"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	two := parse(t, "netroot=iscsi:10.0.0.1:::1:"+target+"\nnetroot=iscsi:10.0.0.2:::1:"+target+"\nroot=UUID=1", "root eth0 kind=iscsi server=10.0.0.1", Sources{})
	if p := two.RecordPath(); p != target+"/10.0.0.1,3260" || strings.Contains(string(two.Record()), "replacement_timeout") || strings.Contains(string(two.Record()), "auth") {
		t.Errorf("%s: %s", p, two.Record())
	}
}

func TestInitiator(t *testing.T) {
	file := func(s string) Sources {
		return Sources{Files: map[string]string{FileInitiator: s, FileProduct: "1234abcd-0000-4000-8000-00000000000A\n"}}
	}
	fw := file("InitiatorName=iqn.2026-01.example:file\n")
	fw.Table = &ibft.Table{Initiator: "iqn.2026-01.example:firmware"}
	for _, c := range []struct {
		params string
		s      Sources
		want   string
	}{
		{"rd.iscsi.initiator=iqn.2026-01.example:line", fw, "iqn.2026-01.example:line"},
		{"iscsi_initiator=iqn.2026-01.example:old", fw, "iqn.2026-01.example:old"},
		{"rd.iscsi.firmware=1", fw, "iqn.2026-01.example:firmware"},
		{"ro", fw, "iqn.2026-01.example:file"},
		{"ro", file("# nothing\nGenerateName=yes\n"), "iqn.2016-04.com.open-iscsi:1234abcd-0000-4000-8000-00000000000a"},
		{"ro", file("InitiatorName=a b\n"), ""},
		{"ro", Sources{}, ""},
	} {
		got, made, err := Initiator(c.params, c.s)
		if got != c.want || (err == nil) != (c.want != "") || made != strings.Contains(c.want, "open-iscsi") {
			t.Errorf("%s: %q %t %v, want %q", c.params, got, made, err, c.want)
		}
	}
}

func TestLoginsAreTriedAgainAndExplained(t *testing.T) {
	e := &edge{}
	c := New(e, parse(t, "root=iscsi:10.0.0.1:::1:"+target, "root eth0 kind=iscsi server=10.0.0.1", Sources{}))
	c.Start(0)
	now := time.Duration(0)
	for _, x := range []struct {
		code  int
		pause time.Duration
		want  string
	}{
		{CodeTransport, 250 * time.Millisecond, "incomplete: cannot be reached"},
		{CodeNoDaemon, 500 * time.Millisecond, "incomplete: waits for iscsid, which does not answer"},
		{CodeAuth, time.Second, "blocked: wants this machine to prove who it is (CHAP)"},
		{CodeFatal, 2 * time.Second, "blocked: refuses the login: it has no such target for this machine, or wants something else of it"},
		{99, 4 * time.Second, "blocked: cannot be logged in to (iscsiadm: exit 99)"},
		{CodeNoAnswer, 4 * time.Second, "incomplete: does not answer the login"},
		{NotStarted, 4 * time.Second, "blocked: cannot be logged in to: iscsiadm is not in the image"},
	} {
		c.LoggedIn(now, x.code)
		if e.last() != x.want || c.Next() != now+x.pause || c.Done() {
			t.Errorf("%d: %q, next after %v", x.code, e.last(), c.Next()-now)
		}
		now = c.Next()
		c.Deadline(now)
	}
	if e.logins != 8 {
		t.Errorf("%d logins", e.logins)
	}
	// The disk may be seen before iscsiadm ends.
	c.Units(now, []uint64{0, 1}, 1, "/dev/sda")
	if c.Done() {
		t.Error("done before the login")
	}
	c.LoggedIn(now, CodeThere)
	if !c.Done() || e.last() != "there: is /dev/sda" || c.Next() != diskup.Never || e.said[len(e.said)-1].Get("device") != "/dev/sda" {
		t.Errorf("%q", e.last())
	}
}

func TestUnitsThatAreMissing(t *testing.T) {
	e := &edge{}
	c := New(e, parse(t, "root=iscsi:10.0.0.1:::5:"+target, "root eth0 kind=iscsi server=10.0.0.1", Sources{}))
	c.Start(0)
	c.LoggedIn(0, OK)
	c.Units(0, []uint64{0, 1}, 1, "")
	if c.Done() || c.Next() != unitPause {
		t.Error(c.Next())
	}
	c.Deadline(unitPause)
	if e.last() != "incomplete: is logged in to, and has no unit 5; it has 0, 1" || c.Next() != diskup.Never || e.logins != 1 {
		t.Errorf("%q, %d logins", e.last(), e.logins)
	}
	// Without a named unit any disk will do, and none is the root but unit 0.
	e = &edge{}
	c = New(e, parse(t, "root=UUID=1\nrd.iscsi.target.name="+target+"\nrd.iscsi.target.ip=10.0.0.1", "root eth0 kind=iscsi server=10.0.0.1", Sources{}))
	c.Start(0)
	c.LoggedIn(0, OK)
	c.Units(0, []uint64{0, 1}, 1, "")
	if !c.Done() || e.last() != "there: is logged in to" || e.said[len(e.said)-1].Get("device") != "" {
		t.Errorf("%q", e.last())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root=iscsi:u:p@10.0.0.1:::1:"+target+"\n\nroot eth0 kind=iscsi server=10.0.0.1\n", "ISCSI_TARGET_NAME=iqn.a\nISCSI_TARGET_IP='::1'\n")
	f.Fuzz(func(t *testing.T, text, file string) {
		s := Sources{Files: map[string]string{FileInitramfs: file, FileInitiator: file}}
		Initiator(text, s)
		x, err := Parse(text, s)
		if err != nil {
			return
		}
		if p := x.RecordPath(); strings.Contains(p, "/../") || strings.HasPrefix(p, "/") || strings.HasPrefix(p, "../") || strings.Contains(p, "\n") {
			t.Errorf("record at %q", p)
		}
		for line := range strings.Lines(string(x.Record())) {
			if name, _, ok := strings.Cut(line, " = "); !ok || !strings.HasPrefix(name, "node.") && !strings.HasPrefix(name, "iface.") {
				t.Errorf("line %q", line)
			}
		}
	})
}
