package netreport

import "testing"

func TestReportIsOneLine(t *testing.T) {
	r := Report{State: StateReady, Link: "eth0"}.With("addr", "10.0.0.5/24").With("root", "a b\n\\c=d").With("none", "")
	line := r.String()
	if want := `ready eth0 addr=10.0.0.5/24 root=a\x20b\x0a\x5cc=d`; line != want {
		t.Errorf("%q, want %q", line, want)
	}
	got, ok := ParseReport(line)
	if !ok || got.State != StateReady || got.Link != "eth0" || got.Get("root") != "a b\n\\c=d" || got.Get("none") != "" {
		t.Errorf("%+v", got)
	}
}

func TestSecretsAreNotPublic(t *testing.T) {
	r := Report{State: StateRoot, Link: "eth0"}.With("source", "iscsi:user:se@cret@host::::iqn.x").With("server", "10.0.0.1")
	if got := Public(r).String(); got != `root eth0 source=\xe2\x80\xa6@host::::iqn.x server=10.0.0.1` {
		t.Error(got)
	}
	if r.Get("source") != "iscsi:user:se@cret@host::::iqn.x" {
		t.Error("the report itself was changed")
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add("dhcp eth0 sent=4")
	f.Add(`note - text=no\x20network`)
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := ParseReport(line)
		if !ok {
			return
		}
		again, ok := ParseReport(r.String())
		if !ok && len(r.String()) <= MaxLine {
			t.Fatalf("%q is not read again", r.String())
		}
		if ok && again.String() != r.String() {
			t.Fatalf("%q, then %q", r, again)
		}
	})
}
