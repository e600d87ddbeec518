package overlay

import (
	"errors"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Changes that are encrypted: overlayroot=crypt and rd.overlay.crypt. Without a
// password the key is made anew at each boot and known to nobody, so that what
// was written is gone when the machine stops; a filesystem is made on the device
// then. That is the only place where Firstlight makes one, and it does so only
// where the device holds nothing that is known, or mkfs=1 says that it may.

// cryptFeature has the programs.
const cryptFeature = "overlay-crypt"

// encrypted returns the device on which the changes are decrypted, made from the
// one that was named, and says whether a filesystem is still to be made on it.
func (h *Handler) encrypted(t *ueventd.Task, e *udevd.Entry) (*udevd.Entry, ueventd.Outcome) {
	w, s := h.w, h.secret
	mapped := devspec.Spec{Kind: devspec.Mapper, Value: s.name}
	if !h.done["opened"] {
		if s.ask && e.Property("ID_FS_TYPE") == "crypto_LUKS" {
			return h.asked(t, e, mapped)
		}
		fresh, err := h.open(t, e)
		if err != nil {
			out, _ := h.fail(err.Error(), "look at what is on "+e.Devname()+"; mkfs=1 has it overwritten, and an overlay in memory needs no device")
			return nil, out
		}
		h.done["opened"], h.done["fresh"] = true, fresh
	}
	devs := w.Find(mapped)
	if h.done["fresh"] { // systemd's rules call it not ready as long as nothing is on it
		devs = slices.Clone(w.Devices.Block())
		devs = slices.DeleteFunc(devs, func(e *udevd.Entry) bool { return !mapped.Matches(e) || e.Property("DM_SUSPENDED") == "1" })
	}
	if len(devs) != 1 {
		return nil, ueventd.WaitFor(mapped.Describe(), udevd.TopicDevice)
	}
	w.Identified(t)
	if h.done["fresh"] && !h.done["made"] {
		if err := h.tool(t, nil, "mke2fs", "-q", "-F", "-t", s.fstype, devs[0].Devname()); err != nil {
			out, _ := h.fail(err.Error(), "look at the kernel's messages (dmesg)")
			return nil, out
		}
		h.done["made"] = true
	}
	return devs[0], ueventd.Outcome{}
}

// asked has a LUKS device opened like any other: by a person.
func (h *Handler) asked(t *ueventd.Task, e *udevd.Entry, mapped devspec.Spec) (*udevd.Entry, ueventd.Outcome) {
	w := h.w
	if devs := w.Find(mapped); len(devs) == 1 {
		w.Identified(t)
		return devs[0], ueventd.Outcome{}
	}
	uuid := e.Property("ID_FS_UUID")
	if !h.done["asked"] {
		h.done["asked"] = true
		w.Config.Luks.Volumes = append(w.Config.Luks.Volumes, bootcmd.LuksVolume{Wanted: true, Name: h.secret.name,
			Select: bootcmd.LuksSelector{By: bootcmd.ByUUID, Value: strings.ToLower(uuid)}})
		w.Sched.Push(ueventd.Event{Queue: filter.LUKS + " " + uuid, Kind: filter.Add, Name: e.Devname()})
	}
	w.SetFact(mount.RootGoal, goal.Fact{Subject: "the device for what is written, " + e.Devname(), Condition: goal.Blocked,
		Text: "is encrypted, and not unlocked", Try: "type its passphrase"})
	return nil, ueventd.WaitFor(mapped.Describe(), udevd.TopicDevice)
}

// open makes the mapped device; fresh says that there is no filesystem on it.
func (h *Handler) open(t *ueventd.Task, e *udevd.Entry) (fresh bool, err error) {
	s := h.secret
	if err := h.w.LoadModules(t, "dm-crypt"); errors.Is(err, machine.ErrNoModule) {
		return false, errors.New("the driver dm-crypt is not in this image: rebuild it with --feature " + cryptFeature)
	}
	for _, name := range [...]string{"cryptsetup", "mke2fs", "wipefs"} {
		if h.program(t, name) == "" {
			return false, errors.New(name + " is not in this image: rebuild it with --feature " + cryptFeature)
		}
	}
	if s.pass != "" {
		err := h.tool(t, []byte(s.pass), "cryptsetup", "open", "--batch-mode", "--type", "luks", "--key-file", "-", e.Devname(), s.name)
		if err == nil {
			return false, nil
		}
		if s.mkfs == "0" || s.mkfs == "2" {
			return false, fmt.Errorf("%s is not opened by the password, and mkfs=%s says that nothing is made on it: %w", e.Devname(), s.mkfs, err)
		}
		h.w.Say(handler.Loud, e.Devname()+" is not opened by the password of "+h.w.Config.Overlay.By+"=")
	} else if s.mkfs == "0" {
		return false, errors.New("there is neither a password nor may a filesystem be made (mkfs=0), so that nothing can be written to " + e.Devname())
	}
	if e.Err != nil {
		return false, fmt.Errorf("what is on %s is not known, so that it is not overwritten: %w", e.Devname(), e.Err)
	}
	if held := holds(e); held != "" {
		if s.mkfs != "1" {
			return false, fmt.Errorf("%s is to be overwritten, and holds %s", e.Devname(), held)
		}
		h.w.Say(handler.Loud, e.Devname()+" holds "+held+", and is overwritten, as mkfs=1 asks")
	}
	if err := h.tool(t, nil, "wipefs", "-a", "-q", e.Devname()); err != nil {
		return false, err
	}
	if s.pass == "" {
		return true, h.tool(t, nil, "cryptsetup", "open", "--batch-mode", "--type", "plain", "--cipher", "aes-xts-plain64", "--key-size", "512",
			"--key-file", "/dev/urandom", e.Devname(), s.name)
	}
	if err := h.tool(t, []byte(s.pass), "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--key-file", "-", e.Devname()); err != nil {
		return false, err
	}
	return true, h.tool(t, []byte(s.pass), "cryptsetup", "open", "--batch-mode", "--type", "luks", "--key-file", "-", e.Devname(), s.name)
}

// holds says what is known of what a device has on it, "" for nothing.
func holds(e *udevd.Entry) string {
	switch {
	case e.OwnTable() != "":
		return "a partition table (" + e.OwnTable() + ")"
	case e.Property("ID_FS_TYPE") != "":
		return e.Property("ID_FS_TYPE")
	case e.Property("ID_FS_AMBIVALENT") != "":
		return "more than one signature (" + e.Property("ID_FS_AMBIVALENT") + ")"
	case e.Property(udevd.Damaged) != "":
		return "a damaged superblock of " + e.Property(udevd.Damaged)
	}
	return ""
}

// program is where the image has a program, "" for nowhere.
func (h *Handler) program(t *ueventd.Task, name string) string {
	for _, dir := range [...]string{"/usr/sbin/", "/sbin/"} {
		p := dir + name
		if has, _ := ueventd.Do(t, "look for "+p, func(m machine.Machine) (bool, error) { return m.HasProgram(p), nil }); has {
			return p
		}
	}
	return ""
}

// tool runs a program of the image. What it is told on its input is said nowhere.
func (h *Handler) tool(t *ueventd.Task, input []byte, name string, args ...string) error {
	p := h.program(t, name)
	if p == "" {
		return errors.New(name + " is not in this image: rebuild it with --feature " + cryptFeature)
	}
	exit, err := ueventd.Do(t, p+" "+strings.Join(args, " "), func(m machine.Machine) (machine.Exit, error) {
		return m.Run(machine.Program{Path: p, Args: args, Env: []string{"DM_DISABLE_UDEV=1"}, Input: input})
	})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("%s ended with %d: %s", name, exit.Code, strings.TrimSpace(exit.Output))
	}
	return err
}
