// Package gsshelper runs rpc.gssd, nfs-utils' program that has the tickets of
// Kerberos for the kernel's NFS client, for a root that wants them, and says what it
// finds wrong.
//
// What decides is here, without files or processes; the edge is in helper_linux.go.
package gsshelper

import (
	"errors"
	"strings"

	"firstlight/internal/netreport"
)

// Files in the image that Kerberos reads; those that are not there are not needed.
// A directory is meant with all that is in it.
func Files() []string {
	return []string{"/etc/krb5.keytab", "/etc/krb5.conf", "/etc/krb5.conf.d", "/etc/gss", "/etc/hosts", "/etc/resolv.conf", "/etc/host.conf", "/etc/nfs.conf",
		"/etc/nfs.conf.d", "/usr/etc/nfs.conf"}
}

// instead has files for the initramfs alone, each of which takes the place of the one in
// /etc with its name.
const instead = "/etc/firstlight/krb5"

// Instead is where a file may be instead, "" for nowhere.
func Instead(name string) string {
	switch name {
	case Keytab, "/etc/krb5.conf", "/etc/hosts", "/etc/nfs.conf":
		return instead + strings.TrimPrefix(name, "/etc")
	}
	return ""
}

// Keytab is the file with the machine's keys.
const Keytab = "/etc/krb5.keytab"

// Subject is what Kerberos is called in reports.
const Subject = "Kerberos"

// Runs reports that rpc.gssd runs, and that the kernel knows it.
func Runs() netreport.Report {
	return disk("there").With("text", "rpc.gssd has the keys of this machine's "+Keytab)
}

// Fails reports that there is no rpc.gssd, and why.
func Fails(err error) netreport.Report {
	return disk("blocked").With("text", err.Error()).With("try", "rebuild the image, with what is missing")
}

// ErrKeytab is that of an image without one.
func ErrKeytab() error {
	return errors.New("the image has no " + Keytab + ", in which this machine's keys are")
}

func disk(condition string) netreport.Report {
	return netreport.Report{State: netreport.StateDisk}.With("subject", Subject).With("condition", condition)
}

// saying is what a line of rpc.gssd, or of the library in it, means.
type saying struct {
	part      string // of the line
	text, try string // %P is the principal and %S the server of the line
}

// sayings are those that need somebody to do something, in the order in which they
// are looked for. The words are those of MIT's library and of Heimdal's.
func sayings() []saying {
	const renew = "make the keytab anew (kadmin: ktadd), and rebuild the image"
	return []saying{
		{"Preauthentication failed", "the Kerberos server does not accept the key of %P in " + Keytab + ": it is an old one, or another's", renew},
		{"Decrypt integrity check failed", "the Kerberos server does not accept the key of %P in " + Keytab + ": it is an old one, or another's", renew},
		{"not found in Kerberos database", "the Kerberos server does not know %P", "make that principal, or name the NFS server in root= as Kerberos does: nfs/NAME is asked for"},
		{"Server not found", "the Kerberos server does not know the NFS server by that name", "name the NFS server in root= as Kerberos does: nfs/NAME is asked for"},
		{"Client not found", "the Kerberos server does not know %P", "make that principal"},
		{"Cannot contact any KDC", "no Kerberos server answers", "look whether it runs, and at kdc= in the image's /etc/krb5.conf"},
		{"unable to reach any KDC", "no Kerberos server answers", "look whether it runs, and at kdc= in the image's /etc/krb5.conf"},
		{"Cannot find KDC", "nothing says where the Kerberos server is", "name it in the image's /etc/krb5.conf: kdc= in [realms], or by names in DNS"},
		{"Clock skew too great", "the clock of this machine and that of the Kerberos server differ by more than is allowed", "set this machine's clock, and look at its battery"},
		{"Ticket not yet valid", "the clock of this machine is behind that of the Kerberos server", "set this machine's clock, and look at its battery"},
		{"Ticket expired", "the clock of this machine is before that of the Kerberos server, or its ticket is over", "set this machine's clock"},
		{"no usable keytab entry", "the image's " + Keytab + " has no key for this machine", "put the key of nfs/NAME, host/NAME or root/NAME into it (kadmin: ktadd), and rebuild the image"},
		{"Key table file", "the image has no " + Keytab, "make one (kadmin: ktadd), and rebuild the image"},
		{"no support for encryption type", "the Kerberos server and this machine have no kind of key in common", "make the keytab anew with aes256-cts-hmac-sha1-96 (kadmin: ktadd -e)"},
		{"unable to resolve", "the NFS server's address has no name, which Kerberos wants", "name the server in root=, or in /etc/hosts and rebuild the image"},
		{"while getting default realm", "nothing says which realm this machine is in", "name it in /etc/krb5.conf: default_realm in [libdefaults], and rebuild the image"},
	}
}

// maxLine bounds how much of a line is looked at and passed on, in bytes.
const maxLine = 1024

// Explain turns a line of rpc.gssd into a report: one of StateDisk where it says what
// is wrong, else one for the record. ok is false for an empty line.
func Explain(line string) (r netreport.Report, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" {
		return r, false
	}
	line = line[:min(len(line), maxLine)]
	for _, s := range sayings() {
		if !strings.Contains(line, s.part) {
			continue
		}
		return disk("incomplete").With("text", strings.ReplaceAll(s.text, "%P", principal(line))).With("try", s.try), true
	}
	return netreport.Report{State: netreport.StateNote}.With("text", line), true
}

// principal is the one that a line names: "… for principal 'host/x@R' using …", "Client
// 'host/x@R' not found …", "Server nfs/x@R not found …".
func principal(line string) string {
	for _, before := range [...]string{"principal '", "Client '", "Server ", "lient ", "Client "} {
		_, rest, ok := strings.Cut(line, before)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(rest, "'"), "'")
		if name, _, _ = strings.Cut(name, " "); strings.Contains(name, "@") {
			return name
		}
	}
	return "this machine"
}
