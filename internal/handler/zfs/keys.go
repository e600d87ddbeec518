package zfs

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// tries is how often a person is asked.
const tries = 3

// errLeft says that a key is where only the real system finds it.
var errLeft error = &problem{"its key is left to the real system", ""}

// open loads the key of an encrypted dataset, and notes it for those that have the
// same. One that is not wanted for the boot is not asked for where a file has it.
func (h *Handler) open(t *ueventd.Task, d *dataset, all []dataset, wanted bool) error {
	if !d.locked || d.root == "-" || d.root == "" {
		return nil
	}
	// Where the key is, only the dataset says that has it.
	out, err := h.run(t, "zfs get -H -p -o value keylocation,keyformat", nil, d.root)
	if err != nil {
		return err
	}
	location, format := d.location, d.format
	if f := strings.Fields(out); len(f) == 2 {
		location, format = f[0], f[1]
	}
	if err := h.loadKey(t, d.root, location, format, wanted); err != nil {
		return err
	}
	for i := range all {
		if all[i].root == d.root {
			all[i].locked = false
		}
	}
	return nil
}

// loadKey opens one encryption root: by the file that it names, by a passphrase
// that was typed before, or by one that is asked for.
func (h *Handler) loadKey(t *ueventd.Task, name, location, format string, wanted bool) error {
	w := h.w
	why := ""
	if location != "prompt" {
		h.fact(goal.Working, name+" is being opened with "+location, "")
		_, err := h.run(t, "zfs load-key", nil, name)
		if err == nil {
			return nil
		}
		tool, ok := err.(*toolError)
		if !ok {
			return err
		}
		if !wanted {
			return errLeft
		}
		why = location + " does not open it: " + tool.text
		w.Say(handler.Loud, name+": "+why)
		if format == "raw" {
			return refuse(name+" is locked: "+why+"; its key is of bytes that cannot be typed",
				"put the file into the image: firstlight build --include "+strings.TrimPrefix(location, "file://"))
		}
	}
	if format == "passphrase" {
		for _, s := range w.Secrets {
			h.fact(goal.Working, "a passphrase that was typed before is being tried on "+name, "")
			if err := h.try(t, name, s); err == nil {
				return nil
			} else if _, wrong := err.(*toolError); !wrong {
				return err
			}
		}
	}
	what := "Passphrase for "
	if format == "hex" {
		what = "Passphrase for the hexadecimal key of "
	}
	for asked := 0; asked < tries; {
		h.fact(goal.Working, "the passphrase of "+name+" is being asked for", "")
		p := machine.Prompt{ID: queue + " " + name, Text: what + "ZFS dataset " + name}
		secret, err := ueventd.Ask(t, "ask for the passphrase of "+name, func(m machine.Machine) (inputs.Secret, error) { return m.Ask(p) })
		switch {
		case errors.Is(err, machine.ErrCancelled):
			return refuse(name+" is locked: no passphrase was given", "reboot, or take and leave the shell, to be asked again")
		case err != nil:
			return refuse(name+" is locked: its passphrase could not be asked for: "+err.Error(), "connect a keyboard or a serial console (console=), or give it a key file (keylocation)")
		}
		w.Progress()
		h.fact(goal.Working, "the passphrase of "+name+" is being tried", "")
		err = h.try(t, name, secret)
		if err == nil {
			if format != "passphrase" {
				clear(secret)
				return nil
			}
			w.KeepSecret(secret)
			w.Sched.Notify(handler.TopicPassphrase)
			return nil
		}
		clear(secret)
		if _, wrong := err.(*toolError); !wrong {
			return err
		}
		if asked++; asked < tries {
			w.Say(handler.Loud, "This passphrase does not open "+name+". Try again.")
		}
	}
	return refuse(fmt.Sprintf("%s is locked: the passphrase was wrong %s times", name, strconv.Itoa(tries)), "reboot, or take and leave the shell, to be asked again")
}

// try gives the tool a key as a line.
func (h *Handler) try(t *ueventd.Task, name string, secret []byte) error {
	line := make([]byte, len(secret)+1) // of its whole length at once: growing leaves copies behind
	copy(line, secret)
	line[len(secret)] = '\n'
	defer clear(line)
	_, err := h.run(t, "zfs load-key -L prompt", line, name)
	return err
}
