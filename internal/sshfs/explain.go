package sshfs

import (
	"strconv"
	"strings"

	"firstlight/internal/netreport"
)

// saying is what a line of sshfs or of ssh means.
type saying struct {
	part      string // of the line
	text, try string // %S is the server, %U the user, %P the directory and %N the port
	// ends: what is said behind it is only that it has ended.
	ends bool
}

// sayings are those that need somebody to do something, in the order in which they are
// looked for: OpenSSH's words, then sshfs's.
func sayings() []saying {
	const compare = "find out why; if it is right, write its key into known_hosts (ssh-keyscan %S, and compare it with the server's own), and rebuild the image"
	const authorize = "put the public half of the image's key into authorized_keys of %U on %S, or build the image with another key (keys in [sshfs])"
	return []saying{
		{"REMOTE HOST IDENTIFICATION HAS CHANGED", "%S has another host key than the one in the image's known_hosts: it was installed anew, or another machine answers in its place", compare, true},
		{"has changed and you have requested strict checking", "%S has another host key than the one in the image's known_hosts: it was installed anew, or another machine answers in its place", compare, true},
		{"REVOKED HOST KEY", "the host key of %S is marked as revoked in the image's known_hosts", compare, true},
		{"host key is known for", "the image's known_hosts has no host key of %S, and an unknown one is not taken", "write its key into known_hosts (ssh-keyscan %S, and compare it with the server's own), and rebuild the image", true},
		{"Host key verification failed", "the host key of %S is not the one that it should have", compare, true},
		{"Permission denied (", "%S does not let %U in with the image's key", authorize, true},
		{"Too many authentication failures", "%S does not let %U in with the image's keys", authorize, true},
		{"Load key", "the image's key for %S cannot be read", "make one without a passphrase (ssh-keygen -p), and rebuild the image", true},
		{"no matching", "this machine and %S have no method of encryption in common", "look at Ciphers, MACs, KexAlgorithms and HostKeyAlgorithms on both", true},
		{"subsystem request failed", "%S gives no files by SFTP", "look at Subsystem sftp in its sshd_config", true},
		{"Bad configuration option", "ssh does not take the settings of the image", "correct config in [sshfs], and rebuild the image", true},
		{"bad configuration options", "ssh does not take the settings of the image", "correct config in [sshfs], and rebuild the image", true},
		{"unknown option", "sshfs of the image does not know an option", "correct sshfsopts= or rootflags=", true},
		{"failed to execute", "the image has no ssh that could be run", "rebuild the image", true},
		{"Connection refused", "no SSH server answers at port %N of %S", "look whether sshd runs there", false},
		{"timed out", "%S does not answer", "look whether it runs, and whether a firewall is in the way", false},
		{"No route to host", "%S does not answer", "look whether it runs", false},
		{"Network is unreachable", "no way leads to %S", "look at the addresses and routes of the links", false},
		{"not responding", "%S does not answer any more", "look whether it runs", false},
		{Lost, "the connection to %S has ended, and is made again", "look whether the server runs", false},
		{"Connection closed", "%S has closed the connection", "look at the log of its sshd", false},
		{"Connection reset", "%S has broken the connection off", "look at the log of its sshd", false},
		{"Broken pipe", "the connection to %S has broken", "look whether the server runs", false},
	}
}

// Lost is what sshfs says when a connection has ended.
const Lost = "remote host has disconnected"

// maxLine bounds how much of a line is looked at and passed on, in bytes.
const maxLine = 1024

// Ear hears what sshfs and ssh say about a target, and keeps what counts: the end of a
// connection says nothing where it was said before why.
type Ear struct {
	Target Target
	why    bool // it was said why it ends
	told   bool // something was said that is wrong
}

// There reports that the directory is served.
func (e *Ear) There() netreport.Report {
	e.why, e.told = false, false
	return e.disk("there").With("text", "serves "+e.Target.Path)
}

// Fails reports what keeps the program from running, and is nothing of the server's.
func (e *Ear) Fails(err error) netreport.Report {
	return e.disk("blocked").With("text", err.Error()).With("try", "rebuild the image, with what is missing")
}

// Ended reports that sshfs has ended; ok is false where it was said why.
func (e *Ear) Ended(how string) (r netreport.Report, ok bool) {
	return e.disk("incomplete").With("text", "sshfs has ended ("+how+")"), !e.told
}

// Hear turns a line into a report: one of StateDisk where it says what is wrong, else
// one for the record. ok is false for an empty line.
func (e *Ear) Hear(line string) (r netreport.Report, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" {
		return r, false
	}
	line = line[:min(len(line), maxLine)]
	if s, found := e.means(line); found && !e.why {
		e.told, e.why = true, s.ends
		return e.report(s), true
	}
	return netreport.Report{State: netreport.StateNote}.With("text", line), true
}

// means finds what a line says.
func (e *Ear) means(line string) (saying, bool) {
	if s, ok := e.directory(line); ok {
		return s, true
	}
	for _, s := range sayings() {
		if strings.Contains(line, s.part) {
			return s, true
		}
	}
	return saying{}, false
}

// directory is what sshfs says of the directory itself: "USER@SERVER:DIRECTORY: why".
func (e *Ear) directory(line string) (saying, bool) {
	t := &e.Target
	why, ok := strings.CutPrefix(line, t.User+"@"+t.host()+":"+t.Path+": ")
	if !ok {
		return saying{}, false
	}
	s := saying{ends: true, text: "%S does not show %P: " + why, try: "look at the directory on the server"}
	switch why {
	case "No such file or directory":
		s.text, s.try = "%S has no directory %P", "look at the path in root= or sshfsroot="
	case "Permission denied":
		s.text, s.try = "%U may not look into %P on %S", "look at the owner and the mode of the directory, and log in as root where the root is a whole system"
	case "Not a directory":
		s.text, s.try = "%P on %S is no directory", "look at the path in root= or sshfsroot="
	}
	return s, true
}

func (e *Ear) report(s saying) netreport.Report {
	t := &e.Target
	fill := strings.NewReplacer("%S", t.host(), "%U", t.User, "%P", t.Path, "%N", strconv.Itoa(int(t.Number()))).Replace
	return e.disk("incomplete").With("text", fill(s.text)).With("try", fill(s.try))
}

func (e *Ear) disk(condition string) netreport.Report {
	return netreport.Report{State: netreport.StateDisk}.With("subject", e.Target.Subject()).With("condition", condition)
}
