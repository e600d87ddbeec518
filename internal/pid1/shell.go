package pid1

import (
	"errors"
	"syscall"

	"firstlight/internal/console"
	"firstlight/internal/machine"
)

// shell gives a person a shell, where the image has one.
type shell struct {
	console  *console.Console
	spawn    *children
	terminal string // where it runs, "" for the main console
	password string
	admitted bool // the password was given; the next shell is for that person
	// from is where that person is, nil for a terminal.
	from console.Place
}

// shells are looked for in this order.
var shells = [...]string{"/bin/bash", "/bin/sh", "/bin/busybox"}

// ErrNoShell says that the image was built without a shell.
var errNoShell = errors.New("this image has no shell; rebuild it with --feature shell to get one")

// errRefused says that nobody knew the password.
var errRefused = errors.New("the password was wrong")

// attempts is how often the password is asked for.
const attempts = 3

// offer waits for a person who wants the shell. What is typed is not shown:
// it may be a passphrase that was meant for a question that is gone.
func (s *shell) offer() error {
	if s.program() == "" {
		return errNoShell
	}
	if s.password != "" {
		s.admitted = false
		err := s.allowed()
		s.admitted = err == nil
		return err
	}
	typed, err := s.console.Ask(machine.Prompt{ID: machine.ShellPrompt, Text: "Press Enter for a shell"})
	clear(typed)
	s.from = s.console.From
	if errors.Is(err, machine.ErrCancelled) {
		return nil // whoever presses Ctrl-C wants something, too
	}
	return err
}

// program is the shell of the image, "" if there is none.
func (s *shell) program() string {
	for _, p := range shells {
		if s.spawn.HasProgram(p) {
			return p
		}
	}
	return ""
}

func (s *shell) run() error {
	program := s.program()
	if program == "" {
		return errNoShell
	}
	if s.password != "" && !s.admitted {
		if err := s.allowed(); err != nil {
			return err
		}
	}
	s.admitted = false
	if from := s.from; from != nil {
		s.from = nil
		return from.GiveShell(program)
	}
	tty, restore, err := s.console.Lend(s.terminal)
	if err != nil {
		return err
	}
	defer restore()
	argv := []string{"sh", "-i"}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=linux", "PS1=firstlight# "}
	_, ended, err := s.spawn.start(program, argv, &syscall.ProcAttr{Dir: "/", Env: env,
		Files: []uintptr{tty, tty, tty}, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}})
	if err != nil {
		return err
	}
	<-ended
	return nil
}

// allowed asks for the password of the emergency shell. A hash that cannot be
// read denies.
func (s *shell) allowed() error {
	for range attempts {
		typed, err := s.console.Ask(machine.Prompt{ID: machine.ShellPrompt, Text: "Password for the emergency shell"})
		if err != nil {
			return err
		}
		ok := checkPassword(s.password, typed)
		clear(typed)
		if ok {
			s.from = s.console.From
			return nil
		}
		s.console.Print("Wrong password.")
	}
	return errRefused
}
