// Package verity sets up the verified devices that the command line asks for by
// their root hash: /dev/mapper/root and /dev/mapper/usr. It belongs to the full
// /init. What does not fit the root hash is never used.
package verity

import (
	"errors"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devmapper"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
	"firstlight/internal/verityfmt"
)

// queue is that of the volumes; one follows for each by its name.
const queue = "verity"

// kindWatch is the event that looks for corruption from then on.
const kindWatch = "watch"

// Handler sets up verified devices.
type Handler struct {
	w       *handler.World
	cookies uint16
	volumes []*volume
}

// volume is one verified device.
type volume struct {
	name    string
	what    *bootcmd.VerityVolume
	root    []byte
	options verityfmt.Options
	problem error // of the options
	// signed is the partition with the signature, where the root hash is nobody's
	// word but that of who signed it.
	signed   devspec.Spec
	reported string
}

// New registers the handler of the full /init.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Makers = append(w.Makers, h.again)
	w.VerifyRoot = func(signature devspec.Spec) { h.begin("root", &w.Config.Verity.Root, signature) }
	w.Sched.Route(queue, h.handle)
	return h
}

// Absent says, in the small /init, what is missing for a root hash.
func Absent(w *handler.World) {
	v := &w.Config.Verity
	if w.Image.Full || !v.Enabled || !v.Root.Asked() && !v.Usr.Asked() {
		return
	}
	const text = "a root hash is given (roothash=, usrhash=), and the image lacks the feature verity"
	w.SetFact(queue, goal.Fact{Subject: "verified device", Condition: goal.Blocked, Text: text, Try: "rebuild the image with --feature verity"})
	w.Say(handler.Loud, text)
}

// Start begins with what the command line asks for.
func (h *Handler) Start() {
	c := &h.w.Config.Verity
	if !c.Enabled {
		return
	}
	for _, x := range [...]struct {
		name string
		v    *bootcmd.VerityVolume
	}{{"root", &c.Root}, {"usr", &c.Usr}} {
		if !x.v.Asked() {
			continue
		}
		h.begin(x.name, x.v, devspec.Spec{})
	}
}

// begin begins with one volume. A signature that is named has to be taken: nobody
// else has given the root hash.
func (h *Handler) begin(name string, what *bootcmd.VerityVolume, signature devspec.Spec) {
	v := &volume{name: name, what: what, signed: signature}
	v.root, _ = verityfmt.Hex(what.RootHash) // which was read as such
	var err error
	if v.options, err = verityfmt.ParseOptions(what.Options); err != nil {
		v.problem = fmt.Errorf("systemd.verity_%s_options=: %w", name, err)
	}
	for _, p := range v.options.Problems {
		h.w.Say(handler.Loud, "systemd.verity_"+name+"_options=: "+p)
	}
	h.w.Seek("data of the verified device ", &what.Data)
	h.w.Seek("hash tree of the verified device ", &what.Hash)
	h.volumes = append(h.volumes, v)
	h.w.Sched.Push(ueventd.Event{Queue: queue + " " + name, Kind: filter.Add, Value: v})
}

// again sets up a device that was taken down because a disk of it went away.
func (h *Handler) again(_ *ueventd.Task, name, uuid string) {
	for _, v := range h.volumes {
		if v.name == name && strings.HasPrefix(uuid, kind) {
			v.reported = ""
			h.w.Sched.Push(ueventd.Event{Queue: queue + " " + name, Kind: filter.Add, Value: v})
		}
	}
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	v := ev.Value.(*volume)
	w := h.w
	key := ev.Queue
	if ev.Kind == kindWatch {
		return h.watch(key, v)
	}
	if v.problem != nil {
		return h.blocked(key, v, v.problem, "correct the kernel's command line")
	}
	if e := h.mapped(v.name); e != nil && strings.HasPrefix(e.Property("DM_UUID"), kind) {
		return h.done(key, v)
	} else if e != nil {
		return h.blocked(key, v, fmt.Errorf("the name is taken by %s, which is not verified", e.Devname()), "give that one another name")
	}
	var devs [3]*udevd.Entry
	parts := [...]struct {
		what string
		spec devspec.Spec
	}{{"its data", v.what.Data}, {"its hash tree", v.what.Hash}, {"its error correction", v.options.FEC}}
	for settled := false; ; settled = true {
		for i, p := range parts {
			if !p.spec.IsDevice() {
				continue
			}
			var wait ueventd.Outcome
			if devs[i], wait = h.part(key, v, p.what, p.spec); devs[i] == nil {
				return wait
			}
		}
		if settled {
			break
		}
		w.Identified(t) // there may be a second one of the name
	}
	w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Working, Text: "is being set up"})
	if err := w.LoadModules(t, "dm-mod", "dm-verity"); err != nil {
		return h.blocked(key, v, err, "rebuild the image with --feature verity")
	}
	if err := h.activate(t, v, devs); err != nil {
		var parts []string // one of them may have gone meanwhile
		for _, e := range devs {
			if e != nil {
				parts = append(parts, "changed "+e.Devname())
			}
		}
		return h.blocked(key, v, err, advice(err), parts...)
	}
	w.Progress()
	return h.done(key, v)
}

func subject(v *volume) string { return "verified device /dev/mapper/" + v.name }

func advice(err error) string {
	if try := signatureAdvice(err); try != "" {
		return try
	}
	switch {
	case errors.Is(err, verityfmt.ErrRootHash):
		return "boot an entry whose root hash belongs to this system, or write the system anew; what is there is not what the hash is of"
	case errors.Is(err, verityfmt.ErrNone), errors.Is(err, verityfmt.ErrCorrupt):
		return "check systemd.verity_*_hash= and hash-offset=, and superblock=no where there is none"
	}
	return "look at the kernel's messages (dmesg) for the reason"
}

// blocked says why the device is not set up. It is tried again when a person
// asks for that, or when a topic is notified.
func (h *Handler) blocked(key string, v *volume, err error, try string, topics ...string) ueventd.Outcome {
	text := err.Error()
	if v.reported != text {
		v.reported = text
		h.w.Say(handler.Loud, subject(v)+": "+text)
	}
	h.w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: text, Try: try})
	return ueventd.WaitFor(text, append(topics, handler.TopicRetry)...)
}

// part finds the one device that is a part of a volume, or says what is waited
// for.
func (h *Handler) part(key string, v *volume, what string, spec devspec.Spec) (*udevd.Entry, ueventd.Outcome) {
	devs := h.w.Find(spec)
	if len(devs) == 1 {
		return devs[0], ueventd.Outcome{}
	}
	f := goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: what + ", " + spec.Describe() + ", has not appeared"}
	if len(devs) > 1 {
		f.Condition, f.Text, f.Try = goal.Blocked, what+": more than one device is "+spec.String(), "unplug the copy"
	}
	h.w.SetFact(key, f)
	return nil, ueventd.WaitFor(f.Text, udevd.TopicDevice)
}

// activate reads the superblock, compares the root hash and maps the device.
func (h *Handler) activate(t *ueventd.Task, v *volume, devs [3]*udevd.Entry) error {
	number := func(e *udevd.Entry) string {
		if e == nil {
			return ""
		}
		major, minor, _ := e.Devnum()
		return fmt.Sprintf("%d:%d", major, minor)
	}
	data, hash := devs[0].Devname(), devs[1].Devname()
	d := verityfmt.Devices{Data: number(devs[0]), Hash: number(devs[1]), FEC: number(devs[2]), FECWithHash: devs[2] == devs[1]}
	o, root, name := v.options, v.root, v.name
	sig, err := h.signature(t, v, devs[1])
	if err != nil {
		return err
	}
	required := h.required() || v.signed.IsDevice()
	if v.signed.IsDevice() && len(sig.der) == 0 {
		return errNoWord
	}
	if required && len(sig.der) == 0 {
		return errUnsigned // what it would say to the table as well
	}
	try := func(sig signed) error {
		h.cookies++
		cookie := devmapper.NewCookie(h.cookies|0x2000, 0)
		how := ""
		if len(sig.der) > 0 {
			how = ", with the signature of its root hash (" + sig.where + ")"
		}
		return ueventd.Act(t, "set up the verified device "+name+" from "+data+" and "+hash+how, func(m machine.Machine) error {
			return setUp(m, o, d, root, name, data, hash, sig.der, cookie)
		})
	}
	err = explain(try(sig), sig)
	if err != nil && len(sig.der) > 0 && (sig.asked || v.signed.IsDevice()) && !h.required() && (errors.Is(err, errSigner) || errors.Is(err, errNoSigs)) {
		return h.vouched(t, v, sig, err, func() error { return explain(try(signed{}), signed{}) })
	}
	if err != nil && len(sig.der) > 0 && !sig.asked && !required && (errors.Is(err, errSigner) || errors.Is(err, errNoSigs)) {
		// The root hash is given: whether somebody has signed it was not asked.
		t.Record("decision", subject(v)+" is set up without the signature on "+sig.where+": "+err.Error())
		err = explain(try(signed{}), signed{})
	}
	return err
}

func setUp(m machine.Machine, o verityfmt.Options, d verityfmt.Devices, root []byte, name, data, hash string, signature []byte, cookie devmapper.Cookie) error {
	b, err := m.OpenBlock(data)
	if err != nil {
		return err
	}
	dataSize := uint64(b.Size())
	b.Close()
	tree, err := m.OpenBlock(hash)
	if err != nil {
		return err
	}
	defer tree.Close()
	d.HashSize = uint64(tree.Size())
	var sb *verityfmt.Params
	if !o.NoSuperblock {
		if sb, err = verityfmt.Read(tree, o.HashOffset); err != nil {
			return fmt.Errorf("%s: %w", hash, err)
		}
	}
	p := o.With(sb)
	if p.Blocks == 0 && p.DataBlock > 0 {
		p.Blocks = dataSize / uint64(p.DataBlock)
	}
	if err := p.Check(); err != nil {
		return err
	}
	if p.Blocks > dataSize/uint64(p.DataBlock) {
		return fmt.Errorf("%d blocks of data do not fit on %s, which has %d bytes", p.Blocks, data, dataSize)
	}
	if err := p.CheckRoot(tree, root); err != nil {
		return fmt.Errorf("%s: %w", hash, err)
	}
	if len(signature) > 0 {
		d.Signature = "firstlight:verity-" + name
	}
	table, err := p.Table(d, root)
	if err != nil {
		return err
	}
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	load := func() error {
		_, err := devmapper.Activate(mapper, name, p.DMUUID(name), table, true, cookie)
		return err
	}
	if len(signature) > 0 {
		s, ok := m.(machine.Signatures)
		if !ok {
			return machine.ErrNoKeyring
		}
		return s.WithSignature(d.Signature, signature, load)
	}
	return load()
}

// mapped returns the mapping of that name, or nil.
func (h *Handler) mapped(name string) *udevd.Entry {
	for _, e := range h.w.Devices.Block() {
		if e.Property("DM_NAME") == name {
			return e
		}
	}
	return nil
}

// done watches the device from now on.
func (h *Handler) done(key string, v *volume) ueventd.Outcome {
	h.w.DropFact(key)
	h.w.Sched.Push(ueventd.Event{Queue: key, Kind: kindWatch, Value: v})
	return ueventd.Outcome{}
}

// watch looks for the kernel's word that a block is not what the root hash is
// of. Reading it fails: what is left is to say why.
func (h *Handler) watch(key string, v *volume) ueventd.Outcome {
	if e := h.mapped(v.name); e != nil {
		if block := e.Property("DM_VERITY_ERR_BLOCK_NR"); block != "" && v.reported != block {
			v.reported = block
			text := "it is corrupted: block " + block + " is not what the root hash is of, and cannot be read"
			h.w.Say(handler.Loud, subject(v)+": "+text)
			h.w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: text,
				Try: "write the system anew, or boot another one; somebody or a failing disk has changed it"})
		}
	}
	return ueventd.WaitFor("the end of this boot, or corruption", udevd.TopicDevice)
}
