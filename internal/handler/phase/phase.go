// Package phase measures into PCR 11 of a TPM that the initramfs was entered and
// left, the words "enter-initrd" and "leave-initrd", as systemd-pcrphase(8) does in
// an initramfs of systemd. What is bound to a point of the boot (systemd-measure(1),
// systemd-cryptenroll --tpm2-public-key) can be had at that point and no other, and
// so the real system finds the register as it would behind any other initramfs.
//
// It does so only where systemd-stub has measured the image into that register,
// which a variable of the firmware says: elsewhere nobody predicts what is in it. It
// belongs to the full /init.
package phase

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/handler/efivar"
	"firstlight/internal/handler/stubfiles"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

const (
	queue = "tpm phase"
	topic = "tpm phase measured"
	// variable is what systemd-stub says of where it has measured the image.
	variable = "StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	register = 11
)

// The words, as systemd-pcrphase(8) has them.
const (
	Enter = "enter-initrd"
	Leave = "leave-initrd"
)

// Handler measures the words.
type Handler struct {
	w        *handler.World
	entered  bool // it has been decided about the first word, and it was measured or not
	measured bool // it was, and so the second one must be
}

// New registers the handler, which holds the root back until the first word is
// measured.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(queue, h.enter)
	return h
}

// Start begins to measure.
func (h *Handler) Start() {
	if !h.w.Image.Has(stubfiles.Feature) {
		return
	}
	h.w.Gates = append(h.w.Gates, func(*udevd.Entry) (string, string, string) {
		if h.entered {
			return "", "", ""
		}
		return topic, "the TPM is being told that the initramfs was entered", ""
	})
	h.w.Last = h.leave
	h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

func (h *Handler) enter(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	h.measured = h.stubMeasured(t) && h.measure(t, Enter)
	h.entered = true
	h.w.Sched.Notify(topic)
	return ueventd.Outcome{}
}

// leave is the last thing before the real system starts.
func (h *Handler) leave(t *ueventd.Task) error {
	if h.measured {
		h.measured = false // the real system may be started a second time
		h.measure(t, Leave)
	}
	return nil
}

// stubMeasured says whether systemd-stub has measured the image into the register.
func (h *Handler) stubMeasured(t *ueventd.Task) bool {
	text, err := efivar.Read(t, "read whether systemd-stub has measured the image", variable, 64)
	switch {
	case err != nil:
		h.w.Say(handler.Loud, "whether systemd-stub has measured the image cannot be read: "+err.Error()+"; the TPM is not told of the initramfs")
	case text == "":
		t.Record("decision", "systemd-stub has measured nothing: the TPM is not told of the initramfs")
	case text != strconv.Itoa(register):
		h.w.Say(handler.Loud, "systemd-stub has measured the image into PCR "+strconv.Quote(text)+", which is not 11: the TPM is not told of the initramfs")
	default:
		return true
	}
	return false
}

// measure measures a word and writes that to the log of such measurements.
func (h *Handler) measure(t *ueventd.Task, word string) bool {
	banks, err := h.extend(t, word)
	if errors.Is(err, fs.ErrNotExist) {
		// A kernel that has the drivers as modules may not have loaded them yet.
		for _, driver := range [...]string{"tpm_crb", "tpm_tis"} {
			ueventd.Act(t, "load "+driver, func(m machine.Machine) error { return m.Load(driver) })
		}
		banks, err = h.extend(t, word)
	}
	if err != nil {
		h.w.Say(handler.Loud, "the TPM was not told \""+word+"\": "+err.Error()+". What is bound to a point of the boot after that cannot be unlocked")
		return false
	}
	t.Record("decision", "measured \""+word+"\" into PCR 11 ("+strings.Join(banks, ", ")+")")
	return true
}

// extend returns the banks that it was measured into.
func (h *Handler) extend(t *ueventd.Task, word string) ([]string, error) {
	return ueventd.Do(t, "measure "+word+" into PCR 11", func(m machine.Machine) ([]string, error) {
		o, ok := machine.HandoverOf(m)
		if !ok {
			return nil, fs.ErrNotExist
		}
		answer, err := o.TPM(eventCommand(register, word))
		if err != nil {
			return nil, err
		}
		digests, err := parseAnswer(answer)
		if err != nil {
			return nil, err
		}
		var banks []string
		for _, d := range digests {
			banks = append(banks, d.bank)
		}
		return banks, appendLog(m, word, digests)
	})
}
