package detect

import (
	"fmt"
	"strconv"
	"strings"
)

// resume takes the device that the machine hibernates to.
func (d *detector) resume() error {
	where, why := d.resumeDevice()
	if where == "" {
		return nil
	}
	d.fact("need:resume", why)
	if where == "auto" {
		return nil
	}
	var dev string
	var err error
	if strings.HasPrefix(where, "/dev/") {
		dev, err = d.blockName(where)
	} else {
		dev, err = d.s.Sys.Resolve("/dev/block/" + where)
	}
	if err != nil {
		// The root can be mounted all the same.
		d.note("%s, but that device is not here: %v", why, err)
		return nil
	}
	return d.block(dev, "resume", 0)
}

// resumeDevice finds what the machine resumes from: a node, major:minor,
// "auto" where the device is not known but wanted, or "" where hibernation is
// turned off or there is nothing to hibernate to.
func (d *detector) resumeDevice() (where, why string) {
	if text, err := d.s.Root.ReadFile("/proc/cmdline"); err == nil {
		for _, p := range strings.Fields(string(text)) {
			if p == "noresume" {
				return "", ""
			}
			if v, ok := strings.CutPrefix(p, "resume="); ok {
				where, why = d.resumeValue(v), "the kernel's command line has "+p
			}
		}
	}
	if where == "" {
		if text, err := d.s.Root.ReadFile("/etc/initramfs-tools/conf.d/resume"); err == nil {
			for line := range strings.Lines(string(text)) {
				if v, ok := strings.CutPrefix(strings.TrimSpace(line), "RESUME="); ok {
					if v = strings.Trim(v, `"'`); v == "none" {
						return "", ""
					}
					where, why = d.resumeValue(v), "/etc/initramfs-tools/conf.d/resume has RESUME="+v
				}
			}
		}
	}
	if v, err := d.s.Sys.Read("/power/resume"); err == nil && v != "0:0" && v != "" && (where == "" || where == "auto") {
		return v, "the kernel resumes from " + v
	}
	if where != "" {
		return where, why
	}
	if where, why = d.swap(); where != "" && d.s.Sys.Exists("/firmware/efi") {
		d.fact("need:resume-efi", why+", and the firmware can say that it has")
	}
	return where, why
}

// resumeValue turns the value of resume= into something to look for.
func (d *detector) resumeValue(v string) string {
	for _, k := range [...]struct{ prefix, dir string }{
		{"UUID=", "by-uuid"}, {"LABEL=", "by-label"}, {"PARTUUID=", "by-partuuid"}, {"PARTLABEL=", "by-partlabel"}} {
		if id, ok := strings.CutPrefix(v, k.prefix); ok {
			return "/dev/disk/" + k.dir + "/" + id
		}
	}
	if strings.HasPrefix(v, "/dev/") {
		return v
	}
	return "auto"
}

// swap returns the first swap partition: systemd hibernates to one without
// being told which.
func (d *detector) swap() (where, why string) {
	text, err := d.s.Root.ReadFile("/proc/swaps")
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != "partition" || strings.HasPrefix(f[0], "/dev/zram") {
			continue
		}
		return unescape(f[0]), fmt.Sprintf("%s is swap, to which the machine can hibernate", unescape(f[0]))
	}
	return "", ""
}

// ciphers takes the modules of the algorithms in use: dm-crypt's among them.
func (d *detector) ciphers() {
	text, err := d.s.Root.ReadFile("/proc/crypto")
	if err != nil {
		return
	}
	for _, block := range strings.Split(string(text), "\n\n") {
		f := map[string]string{}
		for line := range strings.Lines(block) {
			if k, v, ok := strings.Cut(line, ":"); ok {
				f[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
		}
		if n, err := strconv.Atoi(f["refcnt"]); err == nil && n > 1 && f["module"] != "kernel" {
			d.module(f["module"], "implements "+f["name"]+", which is in use")
		}
	}
}

// keyboards takes the drivers of the keyboards that are there.
func (d *detector) keyboards() {
	d.fact("need:keyboard", "a passphrase may have to be typed")
	list, err := d.s.Sys.List("/class/input")
	if err != nil {
		return
	}
	for _, n := range list {
		if !strings.HasPrefix(n, "input") {
			continue
		}
		keys, err := d.s.Sys.Read("/class/input/" + n + "/capabilities/key")
		if err != nil || !hasLetters(keys) {
			continue
		}
		p, err := d.s.Sys.Resolve("/class/input/" + n)
		if err != nil {
			continue
		}
		name, _ := d.s.Sys.Read(p + "/name")
		d.hardware(p, "the keyboard "+name)
	}
}

// hasLetters says whether a bitmap of keys has KEY_Q to KEY_P (16 to 25) and
// KEY_A to KEY_L (30 to 38): a keyboard, not a button.
func hasLetters(bitmap string) bool {
	f := strings.Fields(bitmap)
	if len(f) == 0 {
		return false
	}
	low, err := strconv.ParseUint(f[len(f)-1], 16, 64)
	const letters = 0x3ff<<16 | 0x1ff<<30
	if len(f) > 1 && low < 1<<32 && bitsAre32(f) {
		// A 32-bit kernel prints words of 32 bits.
		high, herr := strconv.ParseUint(f[len(f)-2], 16, 64)
		if herr != nil {
			return false
		}
		low |= high << 32
	}
	return err == nil && low&letters == letters
}

func bitsAre32(words []string) bool {
	for _, w := range words {
		if len(w) > 8 {
			return false
		}
	}
	return true
}

// crypttab takes the file where it names an encrypted device that is needed.
func (d *detector) crypttab() {
	text, err := d.s.Root.ReadFile("/etc/crypttab")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		for _, n := range d.names {
			if n != f[0] {
				continue
			}
			d.need.Files["/etc/crypttab"] = "it says how to unlock " + n
			if len(f) > 2 && strings.HasPrefix(f[2], "/") && !strings.HasPrefix(f[2], "/dev/") {
				d.note("/etc/crypttab: the key %s of %s is not in the image, whose readers could read it; to put it in: --include %s", f[2], n, f[2])
			}
		}
	}
}
