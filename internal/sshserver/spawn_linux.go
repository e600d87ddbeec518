package sshserver

import "syscall"

// shellAttributes make the terminal the one that controls the shell.
func shellAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
}
