package luks

import (
	"io"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/crypttab"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// A device whose header is elsewhere looks like noise: no filter knows it, and
// only its name says which it is. Each such volume has a queue of its own,
// "luks @N", that looks at every change of the devices.
const detachedQueue = filter.LUKS + " @"

// maxHeader bounds a header in a file, in bytes: cryptsetup makes 16 MiB at
// most unless it is told to make more.
const maxHeader = 32 << 20

// detached collects the volumes with a header apart from their data: those of
// the crypttab with header=, plain, tcrypt or bitlk, and those of which the command line says where
// the data is (rd.luks.data=).
func (h *Handler) detached() {
	w := h.w
	luks := &w.Config.Luks
	if !luks.Enabled {
		return
	}
	for i := range h.table {
		t := &h.table[i]
		plain, foreign := t.Options.Type == crypttab.Plain, byTool(t.Options.Type)
		if t.Options.Header == "" && !plain && !foreign || !h.ours(t) {
			continue
		}
		// One that cannot be read was spoken of when the table was.
		if spec, err := devspec.Parse(t.Device); err == nil && spec.IsDevice() {
			got := luks.Lookup(bootcmd.LuksIdentity{})
			v := h.describe(&got, t, t.Device)
			v.data, v.foreign = spec, foreign
			if plain && !h.full.describe(h, v) {
				continue
			}
			h.apart = append(h.apart, v)
		}
	}
	for i := range luks.Volumes {
		sel := luks.Volumes[i].Select
		if luks.Volumes[i].Data.IsZero() || sel.By != bootcmd.ByUUID {
			continue
		}
		got := luks.Lookup(bootcmd.LuksIdentity{UUID: sel.Value})
		v := h.describe(&got, nil, sel.Value)
		v.data, v.uuid = got.Data, sel.Value
		if v.name == "" {
			v.name = "luks-" + sel.Value
		}
		if got.Wanted && v.apart() {
			h.apart = append(h.apart, v)
		}
	}
	for i, v := range h.apart {
		v.key = detachedQueue + strconv.Itoa(i)
		w.Sched.Push(ueventd.Event{Queue: v.key, Kind: filter.Add, Value: v})
	}
}

// alone says whether a header on a device says that its data is not there:
// one that cryptsetup made to be apart has data that begin where it does.
func alone(v *volume, e *udevd.Entry, hdr *luksfmt.Header) bool {
	if v.header.Path != "" || v.from != nil && v.from != e {
		return false
	}
	s, err := hdr.DataSegment()
	return err == nil && s.Offset < uint64(hdr.Size)
}

// apart says whether the header is not on the device.
func (v *volume) apart() bool { return v.header != (bootcmd.LuksHeader{}) }

// claimed says whether a device with a LUKS header is part of a volume whose
// header and data are apart, so that it is not a volume by itself.
func (h *Handler) claimed(e *udevd.Entry) (by string) {
	for _, v := range h.apart {
		if v.data.Matches(e) || v.header.Path == "" && v.header.Device.Matches(e) {
			return v.name
		}
	}
	return ""
}

// ours says whether a line of the crypttab is to be opened here: not those
// that are for later (noauto, a random key, another format).
func (h *Handler) ours(t *crypttab.Entry) bool {
	o := &t.Options
	if o.NoAuto || randomKey(t.KeyFile) || o.Tmp != "" {
		return false
	}
	return o.Type == crypttab.Auto || o.Type == crypttab.LUKS ||
		h.full != nil && (o.Type == crypttab.Plain || byTool(o.Type) && h.w.Image.Has(toolFeature))
}

// handleApart opens a volume whose header is not on its device, once both are
// there.
func (h *Handler) handleApart(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	// A header that is read, or a device, holds for one attempt.
	own := *ev.Value.(*volume)
	v := &own
	if h.open(v.name) != nil {
		h.w.DropFact(v.key)
		return ueventd.Outcome{}
	}
	var e *udevd.Entry
	for settled := false; ; settled = true {
		var wait ueventd.Outcome
		if e, wait = h.part(v, "the device of its data", v.data); e == nil {
			return wait
		}
		if v.header.Device.IsDevice() {
			if v.from, wait = h.part(v, "the device of its header", v.header.Device); v.from == nil {
				return wait
			}
		}
		if settled {
			break
		}
		// A second device of that name may be among those that are being
		// identified.
		h.w.Identified(t)
	}
	out := h.outcome(v, e, h.unlock(t, e, v))
	if h.w.Devices.ByName(e.Devname()) == nil {
		return ueventd.WaitFor("the device of its data", udevd.TopicDevice)
	}
	return out
}

// part finds the one device that is a part of a volume, or says what is
// waited for.
func (h *Handler) part(v *volume, what string, spec devspec.Spec) (*udevd.Entry, ueventd.Outcome) {
	devs := h.w.Find(spec)
	if len(devs) == 1 {
		return devs[0], ueventd.Outcome{}
	}
	text := what + ", " + spec.Describe() + ", has not appeared"
	if len(devs) > 1 {
		text = what + ": more than one device is " + spec.String()
	}
	h.w.SetFact(v.key, goal.Fact{Subject: "encrypted device " + v.name, Condition: goal.Incomplete, Text: text})
	return nil, ueventd.WaitFor(text, udevd.TopicDevice)
}

// readArea reads a header that is a file, with its keyslots.
func readArea(m machine.Machine, v *volume) (b []byte, err error) {
	if v.from == nil {
		b, err = m.ReadFile(v.header.Path, maxHeader)
	} else {
		err = withMounted(m, v.from.Devname(), v.from.Property("ID_FS_TYPE"), mountPoint(v.header.Device), func(dir string) (err error) {
			b, err = m.ReadInRoot(dir, v.header.Path, maxHeader)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("detached header: %w", err)
	}
	return b, nil
}

// area calls f with what holds the header and the keyslots: the device, the
// device of the header, or the file that was read.
func (v *volume) withArea(m machine.Machine, devname string, f func(io.ReaderAt) error) error {
	if v.file != nil {
		return f(strings.NewReader(string(v.file)))
	}
	if v.from != nil {
		devname = v.from.Devname()
	}
	b, err := m.OpenBlock(devname)
	if err != nil {
		return err
	}
	defer b.Close()
	return f(b)
}

// source is a header, and the file that it is in, if it is in one.
type source struct {
	hdr  *luksfmt.Header
	file []byte `inputs:"-"` // keyslots are in it
}

// Header is for whoever carries out the reading: firstlight check, which
// assumes that the right passphrase is typed.
func (s *source) Header() *luksfmt.Header { return s.hdr }

// read reads the header, and keeps a file that it is in for the keyslots.
func (v *volume) read(m machine.Machine, devname string) (*source, error) {
	var hdr *luksfmt.Header
	var err error
	if v.header.Path != "" {
		if v.file, err = readArea(m, v); err != nil {
			return nil, err
		}
	}
	err = v.withArea(m, devname, func(area io.ReaderAt) (err error) {
		hdr, err = luksfmt.Read(area)
		return err
	})
	if err == nil && !strings.HasPrefix(hdr.UUID, v.uuid) {
		err = fmt.Errorf("the header has UUID %s, not %s", hdr.UUID, v.uuid)
	}
	return &source{hdr, v.file}, err
}
