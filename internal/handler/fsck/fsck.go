// Package fsck checks filesystems before they are mounted, where the image
// has the checker and the policy asks for it. It never repairs more than
// fsck.repair= allows, and it never mounts what a checker gave up on.
package fsck

import (
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Verdict says whether a filesystem may be mounted after its check.
type Verdict uint8

// Verdicts.
const (
	Mountable Verdict = iota
	Broken            // the checker could not mend it
)

// Result is how a check ended; Text and Try are for the person.
type Result struct {
	Verdict Verdict
	Text    string
	Try     string
}

// Exit codes of fsck(8), a sum.
const (
	corrected   = 1
	needsReboot = 2
	uncorrected = 4
)

// checkers are the types whose checkers do something useful before a mount
// (xfs's and btrfs's are empty by design), with the arguments for what may be
// repaired and for a check that nothing asks for. They are not the same
// everywhere: -f makes files of lost clusters in a FAT.
var checkers = [...]struct{ fstype, preen, yes, no, force string }{
	{"ext2", "-a", "-y", "-n", "-f"},
	{"ext3", "-a", "-y", "-n", "-f"},
	{"ext4", "-a", "-y", "-n", "-f"},
	{"vfat", "-a", "-y", "-n", ""},
	{"exfat", "-p", "-y", "-n", ""},
	{"f2fs", "-a", "-y", "--dry-run", "-f"},
	{"jfs", "-a", "-f", "-n", "-f"},
	{"reiserfs", "-a", "-y", "", "-f"},
}

// arguments are those of the checker of a type for the policy; ok is false
// where there is none that could do what is asked for.
func arguments(typ string, f bootcmd.Fsck) (args []string, ok bool) {
	i := slices.IndexFunc(checkers[:], func(c struct{ fstype, preen, yes, no, force string }) bool { return c.fstype == typ })
	if i < 0 {
		return nil, false
	}
	c := &checkers[i]
	arg := c.preen
	switch f.Repair {
	case bootcmd.RepairYes:
		arg = c.yes
	case bootcmd.RepairNo:
		arg = c.no
	}
	if arg == "" {
		return nil, false
	}
	args = append(args, arg)
	if f.Mode == bootcmd.FsckForce && c.force != "" && c.force != arg {
		args = append(args, c.force)
	}
	return args, true
}

// Check checks the filesystem of type typ on e, which is to be mounted on file
// of the real system. pass is fs_passno of fstab(5): 0 means never.
func Check(t *ueventd.Task, w *handler.World, e *udevd.Entry, typ, file string, pass int) Result {
	f := w.Config.Fsck
	args, ok := arguments(typ, f)
	if pass == 0 || f.Mode == bootcmd.FsckSkip || !ok {
		return Result{}
	}
	if protected, _ := e.Attr("ro"); protected == "1" { // nothing could be repaired, and a checker fails for that alone
		t.Record("decision", e.Devname()+" is not checked: it cannot be written")
		return Result{}
	}
	program := "/sbin/fsck." + typ
	if !w.Image.Has("fsck") {
		return Result{}
	}
	has, _ := ueventd.Do(t, "look for "+program, func(m machine.Machine) (bool, error) { return m.HasProgram(program), nil })
	if !has {
		program = "/usr/sbin/fsck." + typ
		if has, _ = ueventd.Do(t, "look for "+program, func(m machine.Machine) (bool, error) { return m.HasProgram(program), nil }); !has {
			return Result{}
		}
	}
	if w.Leaving() {
		return Result{Verdict: Broken, Text: "is not checked while the machine is being stopped"}
	}
	shown := !w.Config.Log.Quiet && strings.HasPrefix(typ, "ext")
	if shown { // e2fsck says how far it is
		args = append(args, "-C0")
	}
	w.Say(handler.Detail, "checking "+e.Devname())
	w.Checking(e.Devname(), true)
	exit, err := ueventd.Do(t, program+" "+strings.Join(args, " ")+" "+e.Devname(), func(m machine.Machine) (machine.Exit, error) {
		return m.Run(machine.Program{Path: program, Args: append(args, e.Devname()), Shown: shown})
	})
	w.Checking(e.Devname(), false)
	if err != nil {
		w.Say(handler.Loud, "the check of "+e.Devname()+" could not be run: "+err.Error())
		return Result{}
	}
	t.Record("fsck", fmt.Sprintf("%s: exit %d: %s", e.Devname(), exit.Code, exit.Output))
	res := judge(w, e.Devname(), typ, exit)
	if res.Verdict == Mountable {
		mark(t, file)
	}
	return res
}

// mark leaves the file by which systemd's fsck units know that a check was done
// (systemd-fsck-root.service(8), systemd-fsck-usr.service).
func mark(t *ueventd.Task, file string) {
	name := map[string]string{"/": "root", "/usr": "usr"}[file]
	if name == "" {
		return
	}
	err := ueventd.Act(t, "tell the real system that "+file+" was checked", func(m machine.Machine) error {
		return m.WriteFile("/run/initramfs/fsck-"+name, nil, 0o644)
	})
	if err != nil {
		t.Record("decision", "the real system checks "+file+" again: "+err.Error())
	}
}

func judge(w *handler.World, dev, typ string, exit machine.Exit) Result {
	last := lastLine(exit.Output)
	switch {
	case exit.Code == 0:
		return Result{}
	case exit.Code < 8 && exit.Code&uncorrected == 0 && exit.Code&needsReboot == 0:
		w.Say(handler.Loud, "the filesystem on "+dev+" had errors, which were corrected: "+last)
		return Result{}
	case exit.Code < 8 && exit.Code&uncorrected == 0:
		// Nothing is mounted yet, so that what the checker wants forgotten
		// was never read: mounting now is as good as after a reboot.
		w.Say(handler.Loud, "the filesystem on "+dev+" was corrected: "+last)
		return Result{}
	case exit.Code < 8:
		return Result{Verdict: Broken, Text: "has errors that need a decision: " + finding(dev, exit.Output),
			Try: "in a shell run fsck." + typ + " " + dev + " by hand, or boot once with fsck.repair=yes, or with fsck.mode=skip to mount it as it is"}
	}
	return Result{Verdict: Broken, Text: fmt.Sprintf("could not be checked (fsck.%s ended with %d): %s", typ, exit.Code, last),
		Try: "boot with fsck.mode=skip to mount it unchecked"}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// finding is what a checker stopped at: the last thing it says, but for the
// closing words of e2fsck, which say how to call it and not what is wrong. A
// line that begins with a tab goes on from the one before.
func finding(dev, output string) string {
	var found string
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), dev+": "))
		switch {
		case text == "" || strings.HasPrefix(text, "UNEXPECTED INCONSISTENCY") || strings.HasPrefix(text, "(i.e., without"):
		case strings.HasPrefix(line, "\t") && found != "":
			found += " " + text
		default:
			found = text
		}
	}
	return found
}
