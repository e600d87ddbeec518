// Package uevent receives what the kernel says of its devices: the messages
// of the NETLINK_KOBJECT_UEVENT socket, and the devices that are already
// there, read from sysfs.
//
// The parser and the walk are free of effects of their own (the walk reads
// through a sysfs.FS); Socket is the only part that talks to the kernel.
package uevent

import (
	"bytes"
	"errors"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// Message is one uevent.
type Message struct {
	Action  string            // add, change, remove, move, online, offline, bind, unbind
	Devpath string            // place in sysfs, without "/sys"
	Seqnum  uint64            // the kernel's count; 0 for a device found by the walk
	Props   map[string]string // all KEY=value pairs; DEVNAME begins with "/dev/"
}

// MaxMessage is the size of the largest message: the kernel's
// UEVENT_BUFFER_SIZE is 2048 bytes plus the header; room is left for growth.
const MaxMessage = 16 << 10

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("malformed uevent")

// Parse reads a kernel message: "ACTION@DEVPATH" and then KEY=value strings,
// each ended by a NUL byte (lib/kobject_uevent.c). A message of udevd's own
// (it begins with "libudev") is not one of the kernel's and is refused.
func Parse(b []byte) (*Message, error) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return nil, fmt.Errorf("%w: no NUL byte in %d bytes", ErrMalformed, len(b))
	}
	action, devpath, ok := strings.Cut(string(head), "@")
	if !ok || action == "" || !strings.HasPrefix(devpath, "/") || path.Clean(devpath) != devpath {
		return nil, fmt.Errorf("%w: header %.60q", ErrMalformed, head)
	}
	m := &Message{Action: action, Devpath: devpath, Props: make(map[string]string, 12)}
	for len(rest) > 0 {
		var pair []byte
		pair, rest, ok = bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, fmt.Errorf("%w: cut off after %.60q", ErrMalformed, pair)
		}
		k, v, ok := strings.Cut(string(pair), "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: property %.60q", ErrMalformed, pair)
		}
		m.Props[k] = v
	}
	if m.Props["ACTION"] != action || m.Props["DEVPATH"] != devpath {
		return nil, fmt.Errorf("%w: header %.60q does not fit its properties", ErrMalformed, head)
	}
	seq, err := strconv.ParseUint(m.Props["SEQNUM"], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: SEQNUM %.30q", ErrMalformed, m.Props["SEQNUM"])
	}
	m.Seqnum = seq
	if name := m.Props["DEVNAME"]; name != "" && !strings.HasPrefix(name, "/") {
		m.Props["DEVNAME"] = "/dev/" + name
	}
	return m, nil
}
