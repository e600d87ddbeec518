// Package stubfiles hands on what systemd-stub has put into the initramfs beside
// the image: the signatures for PCR 11 and their key, what the profile and the
// system of a unified kernel image are, and credentials. The initramfs goes when the
// real system starts, so they are written to /run, where systemd looks for them
// (tmpfiles.d/20-systemd-stub.conf; systemd.exec(5), ENCRYPTED_CREDENTIALS_DIRECTORY).
// No content is recorded. It belongs to the full /init.
package stubfiles

import (
	"errors"
	"io/fs"

	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Feature is what an image is built with that hands them on.
const Feature = "uki"

const (
	queue = "stub files"
	topic = "stub files handed on"
	most  = 1 << 20 // bytes of a file
)

// file is one of them: where the stub puts it, and where systemd looks.
type file struct {
	from, to string
	mode     fs.FileMode
}

func files() []file {
	return []file{
		{"/.extra/tpm2-pcr-signature.json", "/run/systemd/tpm2-pcr-signature.json", 0o444},
		{"/.extra/tpm2-pcr-public-key.pem", "/run/systemd/tpm2-pcr-public-key.pem", 0o444},
		{"/.extra/profile", "/run/systemd/stub/profile", 0o444},
		{"/.extra/os-release", "/run/systemd/stub/os-release", 0o444},
		{"/.extra/boot-secret", "/run/systemd/stub/boot-secret", 0o400},
	}
}

// Handler hands the files on.
type Handler struct {
	w    *handler.World
	done bool
}

// New registers the handler, and holds the root back until it is done, which is at
// once.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start begins to copy.
func (h *Handler) Start() {
	if !h.w.Image.Has(Feature) {
		return
	}
	h.w.Gates = append(h.w.Gates, func(*udevd.Entry) (string, string, string) {
		if h.done {
			return "", "", ""
		}
		return topic, "what systemd-stub has left is being copied to /run", ""
	})
	h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

func (h *Handler) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	for _, f := range files() {
		_, err := ueventd.Do(t, "copy "+f.from+" to "+f.to, func(m machine.Machine) (bool, error) {
			b, err := m.ReadFile(f.from, most)
			if err != nil {
				return false, err
			}
			return true, m.WriteFile(f.to, b, f.mode)
		})
		switch {
		case err == nil:
			t.Record("decision", "hand "+f.from+" of systemd-stub on as "+f.to)
		case !errors.Is(err, fs.ErrNotExist):
			h.w.Say(handler.Normal, f.from+" of systemd-stub is not handed on: "+err.Error())
		}
	}
	h.credentials(t)
	h.extensions(t)
	h.done = true
	h.w.Sched.Notify(topic)
	return ueventd.Outcome{}
}
