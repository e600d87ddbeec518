package bootcmd

import (
	"path"
	"strconv"
	"strings"
)

// overlaid notes what is to be laid over the root. Of two parameters that ask
// for different things the last one counts, and that is said.
func (p *parser) overlaid(o Overlay) {
	old := &p.c.Overlay
	if old.Kind != OverlayNone && old.By != p.known {
		p.report(Conflicting, "asks for another overlay than "+old.By+"; the last one counts", "")
	}
	o.By, o.ReadOnly = p.known, old.ReadOnly
	*old = o
}

// noOverlay takes back what the same parameter asked for before.
func (p *parser) noOverlay() {
	if p.c.Overlay.By == p.known {
		p.c.Overlay = Overlay{ReadOnly: p.c.Overlay.ReadOnly}
	}
}

// overlay reads rd.overlay= (dracut.cmdline(7)): a switch, tmpfs with options,
// or a device with a directory on it. The bare name keeps a device that was
// named before, as rd.live.overlay= is with rd.live.overlay.overlayfs.
func (p *parser) overlay() {
	v := p.arg.Value
	on, isBool := boolean(v)
	kind, options, _ := strings.Cut(v, ":")
	switch {
	case v == "none" || isBool && !on:
		p.noOverlay()
	case v == "" || isBool:
		if p.c.Overlay.By != p.known {
			p.overlaid(Overlay{Kind: OverlayRun})
		}
	case kind == "tmpfs":
		p.overlaid(Overlay{Kind: OverlayRun, Tmpfs: options})
	default:
		device, dir := v, ""
		if i := strings.LastIndex(v, ":"); i > 0 && (strings.HasPrefix(v[i:], ":/") || v[i:] == ":auto") {
			device, dir = v[:i], v[i+1:]
		}
		o := Overlay{Kind: OverlayRun, Dir: dir}
		if dir == "auto" {
			o.Dir, o.Cannot = "", "a directory that is named after a live image"
		} else if dir != "" && path.Clean(dir) != dir {
			p.malformed("not a clean path")
			return
		}
		ok := false
		if o.Device, ok = p.blockSpec(device); ok {
			p.overlaid(o)
		}
	}
}

// overlayroot reads overlayroot= of Debian's cloud-initramfs-tools: disabled,
// tmpfs[:OPTIONS], device:dev=DEVICE[,OPTIONS], crypt:…, or a device; and notes
// that rd.overlay.crypt is given.
func (p *parser) overlayroot() {
	v := p.arg.Value
	if v == "" || v == "disabled" {
		p.noOverlay()
		return
	}
	if len(p.known) > len("overlayroot") { // rd.overlay.crypt
		v = "crypt"
	}
	o := Overlay{Kind: OverlayMedia, Recurse: true}
	kind, options, _ := strings.Cut(v, ":")
	if strings.HasPrefix(v, "/dev/") || kind != "tmpfs" && kind != "device" && kind != "crypt" && strings.Contains(kind, "=") {
		kind, options = "device", "dev="+v
	}
	switch kind {
	case "tmpfs", "device":
	case "crypt":
		// For internal/handler/overlay, which the small /init has not.
		o.Cannot = "changes that are encrypted with a key of their own"
		options = ""
	default:
		p.malformed("not disabled, tmpfs, device:dev=DEVICE or a device")
		o.Cannot = "a kind of overlay that nobody knows"
	}
	for word := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "", "debug", "driver":
		case "dev":
			ok := false
			if o.Device, ok = p.blockSpec(value); !ok {
				o.Cannot = "a device with the name " + value
			}
		case "dir":
			o.Dir = path.Clean("/" + value)
		case "recurse":
			o.Recurse = value != "0"
		case "swap":
			o.Swap = value != "0"
		case "timeout":
			p.span(value, &o.Timeout)
		default:
			p.malformed(strconv.Quote(name) + " is none of dev, dir, timeout, recurse, swap")
		}
	}
	if kind == "device" && o.Device.IsZero() && o.Cannot == "" {
		p.malformed("dev= is missing")
		o.Cannot = "a device for the changes that is not named"
	}
	p.overlaid(o)
}

// volatile reads systemd.volatile= (kernel-command-line(7)). state is done by
// the real system alone.
func (p *parser) volatile() {
	p.c.Systemd = append(p.c.Systemd, p.arg)
	on, isBool := boolean(p.arg.Value)
	switch {
	case !p.arg.HasValue || isBool && on:
		p.overlaid(Overlay{Kind: OverlayUsr})
	case p.arg.Value == "overlay":
		p.overlaid(Overlay{Kind: OverlaySystemd})
	case isBool || p.arg.Value == "state":
		p.noOverlay()
	default:
		p.malformed("not no, yes, state or overlay")
	}
}

// loopFile reads loop=, as the initramfs-tools have it for a root in a file of
// another filesystem. Without a path it is a parameter of the driver.
func (p *parser) loopFile() {
	v := p.arg.Value
	if !strings.HasPrefix(v, "/") || path.Clean(v) != v || v == "/" {
		p.malformed("not the absolute path of a file on the filesystem that root= names")
		return
	}
	p.c.Loop.File = v
}

func (p *parser) loopOffset() {
	n, err := strconv.ParseUint(p.arg.Value, 0, 63)
	if err != nil || n%512 != 0 || strings.Contains(p.arg.Value, "_") {
		p.malformed("not a number of bytes that 512 divides")
		return
	}
	p.c.Loop.Offset = n
}
