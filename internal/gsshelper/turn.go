package gsshelper

import "strings"

// Step is what becomes of the initramfs' rpc.gssd once the real system runs.
type Step int

// The steps. Later is to look again a little later.
const (
	None Step = iota
	Start
	End
	Later
)

// patience is how often it is looked whether rpc.gssd has answered all that the kernel
// has asked it.
const patience = 30

// Turn decides whose turn it is to have tickets for the kernel, which gives each request
// to one of those who listen: the real system's rpc.gssd has those of the users, and the
// initramfs' own one is there whenever the other one is not, also at shutdown.
type Turn struct {
	// Idle is how many threads rpc.gssd has that has nothing to do.
	Idle   int
	waited int
}

// Next returns what is to be done when rpc.gssd runs or does not, with that many threads,
// and another one listens or does not. One that is asked something just now is not ended:
// the kernel would wait for the answer for ever.
func (t *Turn) Next(runs, others bool, threads int) Step {
	switch {
	case !runs && !others:
		return Start
	case !runs || !others:
		t.waited = 0
		return None
	case threads > t.Idle && t.waited < patience:
		t.waited++
		return Later
	}
	t.waited = 0
	return End
}

// unit has systemd start the real system's rpc.gssd in the home of the initramfs' one.
const unit = "/run/systemd/system/rpc-gssd.service.d/zz-firstlight.conf"

// Unit is the text of such a file (systemd.exec(5)): program, in the root directory home,
// where the kernel's pipes are at pipes. What has the tickets for the root must not have
// to be read from the root, since the kernel waits for the tickets then. Tickets of users
// are found where they are in the real system.
func Unit(program, home, pipes string) string {
	return strings.Join([]string{
		"# The root of this system is had with tickets of Kerberos. The program that asks for",
		"# them must not be read from it: it runs from memory, with the files of the initramfs.",
		"[Service]",
		"RootDirectory=" + home,
		"BindPaths=/run /dev -/tmp:/real/tmp",
		"ExecStart=",
		"ExecStart=" + program + " -p " + pipes + " -d /tmp:/real/tmp:/run/user/%%U",
		"",
	}, "\n")
}

// Furniture are files that rpc.gssd needs in its home beside those of the image, by
// their names there. Users' tickets are looked for as the user, with the group of nobody
// where it is not known.
func Furniture() map[string]string {
	return map[string]string{
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"/etc/passwd":        "root:x:0:0:root:/:\nnobody:x:65534:65534:nobody:/:\n",
		"/etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	}
}
