package bootcmd

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devspec"
)

// volume returns the volume with the selector, a new one if need be. The
// pointer holds until the next call.
func (p *parser) volume(sel LuksSelector) *LuksVolume {
	l := &p.c.Luks
	i := slices.IndexFunc(l.Volumes, func(v LuksVolume) bool { return v.Select == sel })
	if i < 0 {
		i = len(l.Volumes)
		l.Volumes = append(l.Volumes, LuksVolume{Select: sel})
	}
	return &l.Volumes[i]
}

// uuidSelector reads a LUKS UUID or the beginning of one, with or without
// "luks-" before it.
func uuidSelector(s string) (LuksSelector, bool) {
	s = strings.TrimPrefix(s, "luks-")
	if s == "" || strings.Trim(strings.ToLower(s), "0123456789abcdef-") != "" || strings.Trim(s, "-") == "" {
		return LuksSelector{}, false
	}
	return LuksSelector{By: ByUUID, Value: strings.ToLower(devspec.FoldUUID(s))}, true
}

const notLuksUUID = "not a LUKS UUID or the beginning of one"

func (p *parser) luksUUID() {
	v, keySource := strings.CutPrefix(p.arg.Value, "keysource:")
	sel, ok := uuidSelector(v)
	if !ok {
		p.malformed(notLuksUUID)
		return
	}
	vol := p.volume(sel)
	vol.Wanted = true
	vol.KeySource = vol.KeySource || keySource
}

func (p *parser) luksBy(by LuksBy) {
	v, ok := p.value()
	if !ok {
		return
	}
	sel := LuksSelector{By: by, Value: v}
	if by == ByPartUUID {
		s, ok := p.spec("PARTUUID=" + v)
		if !ok {
			return
		}
		sel.Value = s.Value
	}
	p.volume(sel).Wanted = true
}

// cutUUID splits "UUID=rest", which most rd.luks parameters begin with.
// Without a UUID rest is all. Words such as "timeout=5" are not taken for
// one: a UUID has eight hexadecimal digits at least.
func cutUUID(v string) (sel LuksSelector, rest string, ok bool) {
	id, rest, found := strings.Cut(strings.TrimPrefix(v, "UUID="), "=")
	if !found || len(strings.TrimPrefix(id, "luks-")) < 8 {
		return LuksSelector{}, v, false
	}
	if sel, ok = uuidSelector(id); !ok {
		return LuksSelector{}, v, false
	}
	return sel, rest, true
}

func (p *parser) luksName() {
	id, name, found := strings.Cut(p.arg.Value, "=")
	sel, ok := uuidSelector(id)
	switch {
	case !found || !ok:
		p.malformed("not of the form UUID=NAME")
	case !mapperName(name):
		p.malformed(strconv.Quote(name) + " cannot be the name of a device-mapper device")
	default:
		v := p.volume(sel)
		v.Name, v.Wanted = name, true
	}
}

// mapperName holds for names that the kernel takes (DM_NAME_LEN) and that
// are one file's name.
func mapperName(s string) bool {
	return s != "" && len(s) < 128 && s != "." && s != ".." && s != "control" && !strings.ContainsAny(s, "/\x00")
}

func (p *parser) luksOptions() {
	sel, rest, ok := cutUUID(p.arg.Value)
	if !ok {
		p.c.Luks.Options = append(p.c.Luks.Options, options(rest)...)
		return
	}
	v := p.volume(sel)
	v.Options = append(v.Options, options(rest)...)
}

func (p *parser) luksData() {
	sel, rest, ok := cutUUID(p.arg.Value)
	if !ok || rest == "" {
		p.malformed("not of the form UUID=DEVICE")
		return
	}
	if s, ok := p.blockSpec(rest); ok {
		p.volume(sel).Data = s
	}
}

// ParseLuksHeader reads where a detached header is, as header= in crypttab(5)
// says it too: "/path" in the image, "/path:DEVICE" in the filesystem on a
// device, "/dev/…" for a device that is a header.
func ParseLuksHeader(text string) (h LuksHeader, ok bool) {
	file, devs := splitDevices(text)
	if len(devs) > 1 || !strings.HasPrefix(file, "/") {
		return h, false
	}
	h.Path = file
	if len(devs) == 0 {
		if !strings.HasPrefix(file, "/dev/") {
			return h, true
		}
		h.Path, devs = "", []string{file}
	}
	var err error
	h.Device, err = devspec.Parse(devs[0])
	return h, err == nil && h.Device.IsDevice()
}

func (p *parser) luksHeader() {
	sel, rest, ok := cutUUID(p.arg.Value)
	if !ok || rest == "" {
		p.malformed("not of the form UUID=PATH or UUID=PATH:DEVICE")
		return
	}
	h, ok := ParseLuksHeader(rest)
	if !ok {
		p.malformed("not of the form UUID=PATH or UUID=PATH:DEVICE")
		return
	}
	p.volume(sel).Header = h
}

func (p *parser) luksDiscards() {
	v := p.arg.Value
	if on, ok := boolean(v); !p.arg.HasValue || ok {
		p.c.Luks.Discard = on || !p.arg.HasValue
		return
	}
	sel, ok := uuidSelector(strings.TrimPrefix(v, "UUID="))
	if !ok && p.known == "luks-discard" {
		var s devspec.Spec
		if s, ok = p.blockSpec(v); !ok {
			return
		}
		sel = deviceSelector(s)
	} else if !ok {
		p.malformed(notLuksUUID)
		return
	}
	p.volume(sel).Discard = true
}

// deviceSelector selects by what a device is called. The UUID of an
// encrypted device is that of its LUKS header.
func deviceSelector(s devspec.Spec) LuksSelector {
	switch s.Kind {
	case devspec.UUID:
		return LuksSelector{By: ByUUID, Value: s.Value}
	case devspec.PartUUID:
		if s.PartOffset == 0 {
			return LuksSelector{By: ByPartUUID, Value: s.Value}
		}
	case devspec.Serial:
		return LuksSelector{By: BySerial, Value: s.Value}
	}
	return LuksSelector{By: ByDevice, Device: s}
}

// luksDevs reads make-initrd's lists of devices, with bare UUIDs allowed.
func (p *parser) luksDevs(each func(LuksSelector)) {
	v, ok := p.value()
	if !ok {
		return
	}
	for w := range strings.SplitSeq(v, ",") {
		if sel, ok := uuidSelector(w); ok {
			each(sel)
		} else if s, ok := p.blockSpec(w); ok && w != "" {
			each(deviceSelector(s))
		}
	}
}

func (p *parser) luksDev() {
	p.luksDevs(func(s LuksSelector) { p.volume(s).Wanted = true })
}

func (p *parser) luksIgnore() {
	p.luksDevs(func(s LuksSelector) { p.c.Luks.Ignore = append(p.c.Luks.Ignore, s) })
}

// luksKey reads systemd's [UUID=]PATH[:KEYDEV] and dracut's
// PATH[:KEYDEV[:LUKSDEV]].
func (p *parser) luksKey() {
	if strings.HasPrefix(p.arg.Value, "pkcs11:") {
		p.notYet("smart cards")
		return
	}
	sel, rest, selected := cutUUID(p.arg.Value)
	file, devs := splitDevices(rest)
	if luksOnly, ok := strings.CutSuffix(file, ":"); ok && len(devs) == 1 { // PATH::LUKSDEV
		file, devs = luksOnly, []string{"", devs[0]}
	}
	var key LuksKey
	ok := true
	switch {
	case selected && (rest == "none" || rest == "-" || rest == ""):
		devs = nil // a person is asked, whatever the keys for all
	case !strings.HasPrefix(file, "/") || len(devs) > 2 || selected && len(devs) > 1 || strings.HasSuffix(file, "/"):
		p.malformed("not of the form PATH, PATH:KEYDEV, PATH:KEYDEV:LUKSDEV or UUID=PATH:KEYDEV, with an " +
			"absolute path and devices such as UUID=… or /dev/…")
		return
	default:
		key.Path = file
	}
	if len(devs) > 0 && devs[0] != "" {
		if key.Device, ok = p.blockSpec(devs[0]); !ok {
			return
		}
	}
	if len(devs) > 1 {
		s, ok := p.blockSpec(devs[1])
		if !ok {
			return
		}
		sel, selected = deviceSelector(s), true
	}
	if !selected {
		p.c.Luks.Keys = append(p.c.Luks.Keys, key)
		return
	}
	v := p.volume(sel)
	v.Keys = append(v.Keys, key)
}

// splitDevices splits "FILE:DEVICE:DEVICE" at those colons that a device
// follows: names of links by path have colons of their own.
func splitDevices(v string) (file string, devs []string) {
	for {
		i := -1
		for at := len(v) - 1; at > 0; at-- {
			if v[at] == ':' && deviceFollows(v[at+1:]) {
				i = at
				break
			}
		}
		if i < 0 {
			slices.Reverse(devs)
			return v, devs
		}
		devs = append(devs, v[i+1:])
		v = v[:i]
	}
}

func deviceFollows(s string) bool {
	if strings.HasPrefix(s, "/dev/") {
		return true
	}
	tag, _, ok := strings.Cut(s, "=")
	return ok && tag != "" && strings.Trim(strings.ToUpper(tag), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// options reads a list of crypttab options in any dialect and gives them in
// crypttab(5)'s spelling.
func options(list string) []string {
	var out []string
	for o := range strings.SplitSeq(list, ",") {
		switch o {
		case "":
			continue
		case "allow-discards":
			o = "discard"
		case "perf-no_read_workqueue", "no_read_workqueue":
			o = "no-read-workqueue"
		case "perf-no_write_workqueue", "no_write_workqueue":
			o = "no-write-workqueue"
		}
		out = append(out, o)
	}
	return out
}

// cryptDevice reads mkinitcpio's DEVICE:NAME[:OPTIONS].
func (p *parser) cryptDevice() {
	const form = "not of the form DEVICE:NAME[:OPTIONS]"
	f := strings.Split(p.arg.Value, ":")
	if len(f) > 3 || f[0] == "" {
		p.malformed(form + "; a device whose name has colons must be named in another way")
		return
	}
	s, ok := p.blockSpec(f[0])
	if !ok {
		return
	}
	name := "root" // as mkinitcpio has it where none is given
	if len(f) > 1 && f[1] != "" {
		name = f[1]
	}
	if !mapperName(name) {
		p.malformed(form)
		return
	}
	v := p.volume(deviceSelector(s))
	v.Name, v.Wanted = name, true
	if len(f) > 2 {
		v.Options = append(v.Options, options(f[2])...)
	}
}

// cryptKey reads mkinitcpio's rootfs:PATH, DEVICE:FSTYPE:PATH and
// DEVICE:OFFSET:SIZE. It is the key of every device that has none.
func (p *parser) cryptKey() {
	const form = "not of the form rootfs:PATH, DEVICE:FSTYPE:PATH or DEVICE:OFFSET:SIZE"
	v := p.arg.Value
	var key LuksKey
	if file, ok := strings.CutPrefix(v, "rootfs:"); ok {
		key.Path = file
	} else {
		var dev, kind string
		i := strings.Index(v, ":/")
		if i >= 0 {
			key.Path = v[i+1:]
		} else if i = strings.LastIndexByte(v, ':'); i >= 0 {
			n, err := strconv.ParseUint(v[i+1:], 10, 32)
			if err != nil || n == 0 {
				p.malformed(form)
				return
			}
			key.Size = n
		}
		if i < 0 {
			p.malformed(form)
			return
		}
		j := strings.LastIndexByte(v[:i], ':')
		if j <= 0 {
			p.malformed(form)
			return
		}
		dev, kind = v[:j], v[j+1:i]
		if key.Path != "" {
			if kind != "auto" {
				key.FSType = kind
			}
		} else {
			n, err := strconv.ParseUint(kind, 10, 63)
			if err != nil {
				p.malformed(form)
				return
			}
			key.Offset = n
		}
		s, ok := p.blockSpec(dev)
		if !ok {
			return
		}
		key.Device = s
	}
	if key.Path != "" && (!strings.HasPrefix(key.Path, "/") || strings.HasSuffix(key.Path, "/")) {
		p.malformed(form)
		return
	}
	p.c.Luks.Keys = append(p.c.Luks.Keys, key)
}

// cryptOpts reads cryptsetup-initramfs's target=NAME,source=DEVICE,key=FILE
// and further crypttab options. Any of them replaces the image's crypttab; an
// empty one leaves nothing to unlock from it.
func (p *parser) cryptOpts() {
	p.c.Luks.Crypttab = false
	if p.arg.Value == "" {
		return
	}
	name, source, keyFile := "cryptroot", "", ""
	var opts []string
	for o := range strings.SplitSeq(p.arg.Value, ",") {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "target":
			name = v
		case "source":
			source = v
		case "key":
			keyFile = v
		case "lvm", "rootdev", "resumedev", "luks":
			// Once needed to find the root inside, which finds itself.
		default:
			opts = append(opts, options(o)...)
		}
	}
	if source == "" || !mapperName(name) {
		p.malformed("not of the form target=NAME,source=DEVICE[,key=FILE][,OPTION…]")
		return
	}
	s, ok := p.blockSpec(source)
	if !ok {
		return
	}
	v := p.volume(deviceSelector(s))
	v.Name, v.Wanted = name, true
	v.Options = append(v.Options, opts...)
	if keyFile != "" && keyFile != "none" && keyFile != "-" {
		v.Keys = append(v.Keys, LuksKey{Path: keyFile})
	}
}
