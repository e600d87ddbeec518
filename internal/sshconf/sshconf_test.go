package sshconf

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// ed is a line of a key of ed25519.
func ed(fill byte) string {
	b := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), strings.Repeat(string([]byte{fill}), 32)...)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(b)
}

func TestKeysAreHonouredOrRefused(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string // mode, pty; or what the refusal says
	}{
		{ed(1) + " me@home", " pty"},
		{`command="/bin/cryptroot-unlock" ` + ed(1), "unlock pty"},
		{`no-port-forwarding,no-agent-forwarding,no-x11-forwarding,command="cryptroot-unlock" ` + ed(1), "unlock pty"},
		{`command="systemd-tty-ask-password-agent --query --watch" ` + ed(1), "unlock pty"},
		{`command="console",no-pty ` + ed(1), "console no-pty"},
		{`restrict,pty ` + ed(1), " pty"},
		{`restrict ` + ed(1), " no-pty"},
		{`command="rm -rf /" ` + ed(1), `command="rm -rf /" is none`},
		{`command="console; sh" ` + ed(1), "is none"},
		{`command="say \"hi\"" ` + ed(1), `command="say \"hi\""`},
		{`expiry-time="20300101" ` + ed(1), "the clock"},
		{`cert-authority ` + ed(1), "certificates"},
		{`from="*.example.org" ` + ed(1), "names are not looked up"},
		{`from="10.0.0.1/8" ` + ed(1), "is no network"},
		{`frobnicate ` + ed(1), `"frobnicate" is not known`},
		{`command="unlock` + ed(1), "has no end"},
		{`command=unlock ` + ed(1), "not between quotes"},
		{"ssh-dss AAAA", "too weak"},
		{"ssh-ed25519 AAAA", "not one of the type"},
		{"ssh-rsa " + strings.Fields(ed(1))[1], "not one of the type"},
		{"ssh-ed25519 ~~~", "base64"},
		{"ssh-ed25519-cert-v01@openssh.com AAAA", "certificates"},
	} {
		keys, problems := ParseKeys("# a comment\n\n" + tt.line + "\r\n")
		got := ""
		switch {
		case len(problems) == 1 && len(keys) == 0:
			got = problems[0].Text
			if problems[0].Line != 3 {
				t.Errorf("%s: line %d", tt.line, problems[0].Line)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s: %s, not %s", tt.line, got, tt.want)
			}
			continue
		case len(keys) == 1 && len(problems) == 0:
			got = string(keys[0].Mode) + " pty"
			if keys[0].NoPTY {
				got = string(keys[0].Mode) + " no-pty"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, not %q", tt.line, got, tt.want)
		}
	}
}

func TestFromIsThatOfSSHD(t *testing.T) {
	for from, addrs := range map[string]string{
		"10.0.0.0/8":             "10.1.2.3 ::ffff:10.1.2.3 !192.168.0.1 !2001:db8::1",
		"10.0.0.*,!10.0.0.7":     "10.0.0.1 !10.0.0.7 !10.0.1.1",
		"!10.0.0.7":              "!10.0.0.7 !10.0.0.8",
		"2001:db8::/32,192.?.*.": "2001:db8::5 !2001:db9::5",
		"fe80::*":                "fe80::1 fe80::1%eth0",
	} {
		keys, problems := ParseKeys(fmt.Sprintf("from=%q %s\n", from, ed(1)))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for a := range strings.FieldsSeq(addrs) {
			text, not := strings.CutPrefix(a, "!")
			if keys[0].Allows(netip.MustParseAddr(text)) == not {
				t.Errorf("from=%q and %s: %v", from, text, not)
			}
		}
	}
}

func TestSettingsComeBack(t *testing.T) {
	s := Defaults()
	s.Port, s.Mode, s.IdleTimeout = 2222, ModeConsole, 0
	s.Listen = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}
	got, err := ParseSettings(s.String())
	if err != nil || got.String() != s.String() || got.Port != 2222 {
		t.Errorf("%v, %+v", err, got)
	}
	for _, bad := range []string{"port 0\n", "port 65536\n", "port x\n", "command sh\n", "sessions 0\n", "listen here\n", "root yes\n", "login-timeout 0\n", "in-all 1\n"} {
		if _, err := ParseSettings(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// One address cannot hold up the others for longer than its own minute, and those
// who have logged in are not held up by those who have not.
func TestGateLimits(t *testing.T) {
	s := Defaults()
	s.PerAddress, s.InAll, s.Logins, s.Sessions = 3, 5, 100, 2
	g := NewGate(s)
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	taken := func(now time.Duration, from netip.Addr) int {
		n := 0
		for range 10 {
			if g.Connect(now, from) == "" {
				n++
				g.Leave()
			}
		}
		return n
	}
	if g.Connect(0, c) != "" || !g.Login(c) {
		t.Fatal("the first login is refused")
	}
	if n := taken(0, a); n != 3 {
		t.Errorf("%d connections of one address", n)
	}
	if n := taken(0, b); n != 1 {
		t.Errorf("%d connections more in all", n)
	}
	if g.Connect(0, c) != "" || !g.Login(c) {
		t.Error("who has logged in before is held up by others")
	}
	if g.Connect(0, c) != "" || g.Login(c) {
		t.Error("a third session is taken")
	}
	if n := taken(20*time.Second, a); n != 1 {
		t.Errorf("%d connections after a third of a minute", n)
	}
	g.End()
	if g.Connect(time.Minute, c) != "" || !g.Login(c) {
		t.Error("there is room again, and it is not given")
	}
	// All addresses of one network of IPv6 are one.
	if of(netip.MustParseAddr("2001:db8::1")) != of(netip.MustParseAddr("2001:db8::ffff")) {
		t.Error("two addresses of one network count apart")
	}
}

func TestGateIsBounded(t *testing.T) {
	s := Defaults()
	s.InAll, s.Logins = 10000, 64
	g := NewGate(s)
	for i := range 3 * maxCallers {
		if g.Connect(0, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})) == "" {
			g.Leave()
		}
	}
	if len(g.from) > maxCallers {
		t.Errorf("%d addresses are remembered", len(g.from))
	}
	if g.Connect(2*time.Minute, netip.MustParseAddr("192.0.2.1")) != "" {
		t.Error("a new address is refused although the others are long silent")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(`from="10.0.0.0/8,!10.0.0.7",command="unlock",no-pty ` + ed(1) + " a comment\n")
	f.Add("restrict,pty " + ed(2))
	f.Add(`command="a\"b",from="*" ssh-rsa AAAA`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, problems := ParseKeys(text)
		if len(keys) > maxKeys {
			t.Errorf("%d keys", len(keys))
		}
		for _, p := range problems {
			if strings.ContainsAny(p.Text, "\x1b\n") {
				t.Errorf("a message would be obeyed by a terminal: %q", p.Text)
			}
		}
		for i := range keys {
			k := &keys[i]
			if m := k.Mode; m != "" && m != ModeUnlock && m != ModeConsole {
				t.Errorf("the mode %q", m)
			}
			k.Allows(netip.MustParseAddr("10.0.0.7"))
			if err := k.check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzParseSettings(f *testing.F) {
	s := Defaults()
	f.Add(s.String() + "listen ::1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSettings(text)
		if err != nil {
			return
		}
		again, err := ParseSettings(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is %q, and that is %q, %v", text, s.String(), again.String(), err)
		}
	})
}
