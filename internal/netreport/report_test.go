package netreport

import (
	"strings"
	"testing"
)

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

// A password in where a lease says that the root is reaches who mounts it, and no
// journal.
func TestTheSourceOfALeaseIsASecret(t *testing.T) {
	r := Report{State: StateRoot}.WithSource("iscsi:me:pass,word@10.0.0.1:::1:iqn.x", "iscsi:…@10.0.0.1:::1:iqn.x")
	line := r.String()
	if strings.Contains(line, "pass") {
		t.Error(line)
	}
	got, ok := ParseReport(line)
	if !ok || got.Source() != "iscsi:me:pass,word@10.0.0.1:::1:iqn.x" {
		t.Errorf("%q", got.Source())
	}
	public := Public(got)
	if s := public.String(); strings.Contains(s, "706173732c") {
		t.Error(s)
	}
	if public.Source() != "10.0.0.1:::1:iqn.x" {
		t.Errorf("a journal says %q", public.Source())
	}
	for i, f := range got.Fields { // as the record of the inputs has it
		if f.Name == secretSource {
			got.Fields[i].Value = "…"
		}
	}
	if got.Source() != "iscsi:10.0.0.1:::1:iqn.x" {
		t.Errorf("a record says %q", got.Source())
	}
	if plain := (Report{}).WithSource("10.0.0.1:/srv", "10.0.0.1:/srv"); plain.Source() != "10.0.0.1:/srv" || len(plain.Fields) != 1 {
		t.Errorf("%+v", plain)
	}
}

func TestNewLeavesOutWhatHasNoValue(t *testing.T) {
	r := New("fetched", "size", "12", "by", "", "sum", "ab")
	if want := (Report{State: "fetched"}).With("size", "12").With("sum", "ab"); r.String() != want.String() {
		t.Errorf("%s, want %s", r.String(), want.String())
	}
}
