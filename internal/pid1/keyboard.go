package pid1

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/vconsole"
)

// keyboard returns what gives the text console the layout and the font that the
// image has for it. The font is given anew for each question: a driver of the
// display that has come meanwhile has another one.
func keyboard() func() {
	again := false
	return func() {
		prepare(again)
		again = true
	}
}

func prepare(again bool) {
	list := optional(vconsole.Path)
	if list == "" {
		return
	}
	fd, err := unix.Open("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // this machine has no such console
	}
	if err := vconsole.Apply(fd, []byte(list), again); err != nil {
		kmsg(4, "the layout of the keyboard: "+err.Error())
	}
	unix.Close(fd)
}
