package gsshelper

import (
	"strings"
	"testing"

	"firstlight/internal/netreport"
)

// Who reads the screen is told what to do, for everything that goes wrong with
// Kerberos in practice.
func TestWhatGssdSaysIsExplained(t *testing.T) {
	for _, c := range []struct{ line, text, try string }{
		{"WARNING: Preauthentication failed while getting initial ticket for principal 'host/box@EXAMPLE.ORG' using keytab 'FILE:/etc/krb5.keytab'",
			"does not accept the key of host/box@EXAMPLE.ORG", "rebuild the image"},
		{"WARNING: Client 'host/box@EXAMPLE.ORG' not found in Kerberos database while getting initial ticket for principal 'host/box@EXAMPLE.ORG' using keytab 'FILE:/etc/krb5.keytab'",
			"does not know host/box@EXAMPLE.ORG", "make that principal"},
		{"ERROR: GSS-API: error in gss_init_sec_context(): GSS_S_FAILURE (Unspecified GSS failure) - Server nfs/10.0.0.1@EXAMPLE.ORG not found in Kerberos database",
			"does not know nfs/10.0.0.1@EXAMPLE.ORG", "name the NFS server in root="},
		{"WARNING: Cannot contact any KDC for realm 'EXAMPLE.ORG' while getting initial ticket for principal 'host/box@EXAMPLE.ORG' using keytab 'x'", "no Kerberos server answers", "kdc="},
		{"WARNING: Clock skew too great while getting initial ticket for principal 'a@B' using keytab 'x'", "clock", "set this machine's clock"},
		{"ERROR: gssd_refresh_krb5_machine_credential_internal: no usable keytab entry found in keytab FILE:/etc/krb5.keytab for connection with host server", "no key for this machine", "ktadd"},
	} {
		r, ok := Explain(c.line + "\n")
		if !ok || r.State != netreport.StateDisk || r.Get("condition") != "incomplete" || !strings.Contains(r.Get("text"), c.text) || !strings.Contains(r.Get("try"), c.try) {
			t.Errorf("%q: %s", c.line, r)
		}
	}
	if r, ok := Explain("handle_gssd_upcall: something"); !ok || r.State != netreport.StateNote {
		t.Errorf("%+v", r)
	}
	if _, ok := Explain(" \n"); ok {
		t.Error("an empty line is reported")
	}
	if r, _ := Explain(strings.Repeat("x", 10000)); len(r.String()) > netreport.MaxLine {
		t.Error("a long line makes a report that nobody reads")
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("WARNING: Preauthentication failed while getting initial ticket for principal 'host/box@R' using keytab")
	f.Add("Server  not found in Kerberos database")
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := Explain(line)
		if !ok {
			return
		}
		if _, ok := netreport.ParseReport(r.String()); !ok {
			t.Fatalf("%q makes %q, which is no report", line, r)
		}
	})
}
