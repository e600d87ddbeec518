// Package sysctl sets parameters of the kernel that the image names, as
// systemd-sysctl(8) does in an initramfs: once, when the boot begins. It belongs to
// the full /init.
package sysctl

import (
	"path"
	"strings"

	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Feature is what an image is built with that has any, and File is where they are, as
// package firstlight/internal/sysctl writes them.
const (
	Feature = "sysctl"
	File    = "/etc/firstlight/sysctl"
)

const (
	queue = "sysctl"
	most  = 1 << 20 // bytes of the file
)

// Handler sets them.
type Handler struct{ w *handler.World }

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start begins.
func (h *Handler) Start() {
	if h.w.Image.Has(Feature) {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	}
}

func (h *Handler) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	failed, err := ueventd.Do(t, "set parameters of the kernel", func(m machine.Machine) ([]string, error) {
		o, ok := machine.HandoverOf(m)
		if !ok {
			return nil, nil
		}
		text, err := m.ReadFile(File, most)
		if err != nil {
			return nil, err
		}
		return apply(o, string(text)), nil
	})
	if err != nil {
		failed = append(failed, err.Error())
	}
	for _, f := range failed {
		h.w.Say(handler.Normal, "sysctl: "+f)
	}
	return ueventd.Outcome{}
}

// apply sets what each line says, and returns what could not be set.
func apply(o machine.Handover, text string) (failed []string) {
	var left []string // by patterns
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line[1:], "=")
		paths, mayFail := []string{key}, line[0] == '-'
		switch line[0] {
		case '!':
			left = append(left, key)
			continue
		case '*':
			key, mayFail = strings.CutPrefix(key, "-")
			paths = expand(o, "", key, left)
		}
		for _, p := range paths {
			if err := o.SetSysctl(p, value); err != nil && !mayFail {
				failed = append(failed, err.Error())
			}
		}
	}
	return failed
}

// expand returns what a pattern stands for below dir, without what is left alone.
func expand(o machine.Handover, dir, pattern string, left []string) (out []string) {
	first, rest, more := strings.Cut(pattern, "/")
	names := []string{first}
	if strings.ContainsAny(first, "*?[") {
		names, _ = o.ListDir(machine.SysctlDir + dir) // where nothing is, nothing matches
	}
next:
	for _, n := range names {
		if ok, _ := path.Match(first, n); !ok && n != first {
			continue
		}
		if full := dir + n; more {
			out = append(out, expand(o, full+"/", rest, left)...)
		} else {
			for _, l := range left {
				if l == full {
					continue next
				}
			}
			out = append(out, full)
		}
	}
	return out
}
