package luks

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/crypttab"
	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// keyPatience is how long the device of a key file is waited for before a
// person is asked, where nothing else is said.
const keyPatience = 30 * time.Second

// defaultTries is how often a person is asked (crypttab(5), tries=).
const defaultTries = 3

// errInstead is of a question that was withdrawn because something else may open the
// volume.
var errInstead = &stayLocked{why: "something else may open it"}

// errNoFile says that a key file is not where it should be.
var errNoFile = errors.New("there is no such file")

// maxKeyFile bounds a key file, in bytes, as cryptsetup does.
const maxKeyFile = 8 << 20

// unlock gets a key and maps the device.
func (h *Handler) unlock(t *ueventd.Task, e *udevd.Entry, v *volume) error {
	if h.twin(e) != "" {
		return errTwin
	}
	var hdr *luksfmt.Header
	if v.foreign {
		// The tool reads what there is.
	} else if v.plain == nil {
		var err error
		if hdr, err = h.fitHeader(t, e, v); err != nil {
			return err
		}
	} else if err := h.full.occupied(v, e); err != nil {
		return err
	}
	h.locked(e, v, "is being unlocked")
	h.tellOfTokens(e, v)
	h.loadDrivers(t, v, hdr)
	keys := slices.DeleteFunc(slices.Clone(v.keys), func(k bootcmd.LuksKey) bool {
		return k == (bootcmd.LuksKey{}) || k.Path == "-" || k.Path == "none"
	})
	for i := range keys {
		keys[i] = onDevice(keys[i])
	}
	named := len(keys) > 0
	if !named {
		keys = usualKeys(v.name)
	}
	why := ""
	for _, k := range keys {
		err := h.byKeyFile(t, e, v, hdr, k)
		if err == nil || err == errTwin {
			return err
		}
		if !named && errors.Is(err, errNoFile) {
			continue
		}
		why = " (" + describeKey(k) + ": " + err.Error() + ")"
		t.Record("decision", "key "+describeKey(k)+": "+err.Error())
		h.w.Say(handler.Loud, fmt.Sprintf("%s: key %s: %v", e.Devname(), describeKey(k), err))
	}
	if v.options.TryEmptyPassword {
		if err := h.try(t, e, v, hdr, "the empty passphrase", []byte{}, false); err == nil || err == errTwin {
			return err
		}
	}
	if h.full != nil && v.options.Headless {
		if err, done := h.full.bound(t, e, v, hdr, true); done {
			return err
		}
	}
	if v.options.Headless {
		return &stayLocked{"no key opens it" + why + ", and nobody may be asked (headless)", "check the key file, or take headless from its options to be asked"}
	}
	return h.byPassphrase(t, e, v, hdr)
}

// fitHeader reads the header and says why the device must not be opened.
func (h *Handler) fitHeader(t *ueventd.Task, e *udevd.Entry, v *volume) (*luksfmt.Header, error) {
	hdr, err := h.header(t, e, v)
	if err != nil {
		return nil, err
	}
	for _, p := range hdr.Problems {
		t.Record("decision", e.Devname()+": "+p+"; the other copy is used, and nothing is repaired")
	}
	if hdr.Copy == luksfmt.Secondary && !h.told["header "+v.name] {
		h.told["header "+v.name] = true
		h.w.Say(handler.Loud, label(e, v)+": the first copy of its LUKS header is damaged, and the second one is used. "+
			"Nothing is repaired here; do it with cryptsetup repair "+e.Devname())
	}
	if err := hdr.Refusal(); err != nil {
		if hdr.Reencrypt == nil {
			return nil, err
		}
		if h.full == nil {
			return nil, &stayLocked{err.Error(), "finish it in a rescue system, or rebuild the image with --feature luks-rare"}
		}
		// Between two pieces it is as good as any other.
		if v.reencryption, err = h.full.reencryption(hdr); err != nil {
			return nil, err
		}
		t.Record("decision", e.Devname()+": re-encryption is under way, and no piece of it is in hand; it is opened as it is")
		return hdr, nil
	}
	if alone(v, e, hdr) {
		return nil, &stayLocked{"it is a header whose data is on another device", "say which: rd.luks.data=" + hdr.UUID + "=DEVICE"}
	}
	if s, err := hdr.DataSegment(); err == nil && s.Integrity != "" {
		if h.full == nil {
			return nil, &stayLocked{"its data is authenticated (" + s.Integrity + "), which this image cannot do",
				"rebuild the image with --feature luks-integrity"}
		}
		h.full.await(h, t, e, v)
	}
	return hdr, nil
}

// tellOfTokens says, once for each volume, that a source of its key is not
// there yet and that the others are used instead.
func (h *Handler) tellOfTokens(e *udevd.Entry, v *volume) {
	if h.told[v.name] {
		return
	}
	o := &v.options
	for _, x := range [...]struct {
		asked  bool
		option string
	}{{o.TPM2.Device != "", "tpm2-device="}, {o.FIDO2.Device != "", "fido2-device="}, {o.PKCS11URI != "", "pkcs11-uri="},
		{o.KeyScript != "", "keyscript="}, {o.KeyFileErase, "keyfile-erase"}, {o.LinkVolumeKey != "", "link-volume-key="},
		{o.FixateVolumeKey != "", "fixate-volume-key="}} {
		if x.asked {
			h.told[v.name] = true
			h.w.Say(handler.Normal, label(e, v)+": "+x.option+" is not supported yet; going on without it")
		}
	}
}

// header reads the LUKS header, from the device itself or from where a
// detached one is.
func (h *Handler) header(t *ueventd.Task, e *udevd.Entry, v *volume) (*luksfmt.Header, error) {
	own := *v
	got, err := ueventd.Do(t, "read the LUKS header of "+e.Devname(), func(m machine.Machine) (*source, error) {
		return own.read(m, e.Devname())
	})
	if err != nil {
		return nil, err
	}
	v.file = got.file
	return got.hdr, nil
}

// loadDrivers loads dm-crypt and the ciphers, so that the kernel need not ask
// for them one by one. What is missing shows when the table is loaded.
func (h *Handler) loadDrivers(t *ueventd.Task, v *volume, hdr *luksfmt.Header) {
	names := []string{"dm-mod", "dm-crypt"}
	drivers := names
	if h.full != nil {
		names = append(names, h.full.modules(v, hdr)...)
	} else if s, err := hdr.DataSegment(); err == nil {
		names = append(names, cipherModules(s.Encryption)...)
	}
	h.w.AddMissingDriver(ueventd.Act(t, "load "+strings.Join(names, " "), func(m machine.Machine) error {
		m.Load(names...)
		return m.Load(drivers...)
	}))
}

// cipherModules are the aliases of a cipher in dm-crypt's spelling,
// "aes-cbc-essiv:sha256".
func cipherModules(spec string) []string {
	f := strings.FieldsFunc(strings.TrimPrefix(spec, "capi:"), func(r rune) bool { return strings.ContainsRune("-:(),", r) })
	var out []string
	for _, w := range f {
		switch w {
		case "plain", "plain64", "plain64be", "null", "random", "aead", "none", "cipher_null":
		default:
			out = append(out, "crypto-"+w)
		}
	}
	return out
}

// byPassphrase tries what was typed before, then asks. One question stands at
// a time, and an answer that opened another device is tried here before the
// person is asked again.
func (h *Handler) byPassphrase(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header) error {
	w := h.w
	tries := defaultTries
	if v.options.TriesSet {
		tries = v.options.Tries
	}
	tried := 0 // how many of the cached ones
	for asked := 0; ; {
		for ; tried < len(w.Secrets) && v.options.PasswordCache != crypttab.CacheNo; tried++ {
			if err := h.try(t, e, v, hdr, "a passphrase that was typed before", w.Secrets[tried], false); err == nil || !errors.Is(err, luks.ErrWrongPassphrase) {
				return err
			}
		}
		if h.full != nil {
			if err, done := h.full.bound(t, e, v, hdr, false); done {
				return err
			}
		}
		if h.asking {
			h.locked(e, v, "waits for its turn to ask for the passphrase")
			t.Wait("the answer to another question", handler.TopicPassphrase, topicTurn)
			continue
		}
		if tries > 0 && asked >= tries {
			return &stayLocked{fmt.Sprintf("the passphrase was wrong %d times", asked),
				"reboot, or take and leave the shell, to be asked again"}
		}
		h.locked(e, v, "the passphrase is being asked for")
		err := h.inTurn(func() error { return h.ask(t, e, v, hdr) })
		if err == errInstead {
			continue
		}
		asked++
		switch {
		case err == nil || !errors.Is(err, luks.ErrWrongPassphrase):
			return err
		case tries == 0 || asked < tries:
			w.Say(handler.Loud, "This passphrase does not open "+label(e, v)+". Try again.")
		}
	}
}

// inTurn lets nobody else ask meanwhile, however f ends.
func (h *Handler) inTurn(f func() error) error {
	h.asking = true
	defer func() {
		h.asking = false
		h.w.Sched.Notify(topicTurn)
	}()
	return f()
}

func (h *Handler) locked(e *udevd.Entry, v *volume, text string) {
	h.w.SetFact(v.key, goal.Fact{Subject: subject(e, v), Condition: goal.Working, Text: text})
}

func (h *Handler) ask(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header) error {
	if now := h.w.Devices.ByName(e.Devname()); now == nil || now.Since != e.Since || now.Property("ID_FS_UUID") != e.Property("ID_FS_UUID") {
		return errGone // while another question was answered, or a key tried
	}
	o := &v.options
	p := machine.Prompt{ID: v.key, Text: "Passphrase for " + label(e, v), Echo: o.Echo == crypttab.EchoYes, Silent: o.Echo == crypttab.EchoNo}
	h.prompt, h.expired = p.ID, false
	beside := ueventd.Event{Queue: filter.Asked + strings.TrimPrefix(p.ID, filter.LUKS), Kind: filter.Add, Name: e.Devname()}
	if v.data.IsDevice() {
		beside.Value = true
		h.w.Sched.Push(beside)
	}
	limit := h.w.Config.Luks.Timeout
	if o.Timeout > 0 {
		limit = o.Timeout
	}
	if at := handler.DeadlineAt(t.Now(), limit); at > 0 {
		beside.Kind, beside.Value = filter.Deadline, nil
		h.w.Sched.Deadline(topicAnswer, at, beside)
	}
	secret, err := ueventd.Ask(t, "ask for the passphrase of "+e.Devname(), func(m machine.Machine) (inputs.Secret, error) {
		return m.Ask(p)
	})
	h.w.Sched.CancelDeadline(topicAnswer)
	h.prompt = ""
	switch {
	case errors.Is(err, machine.ErrDismissed) && h.expired:
		return &stayLocked{"no passphrase was given in " + goal.Seconds(limit), "reboot, or take and leave the shell, to be asked again"}
	case errors.Is(err, machine.ErrDismissed) && h.full != nil && h.full.isBound(v.key):
		return errInstead // or the device is gone, which shows
	case errors.Is(err, machine.ErrDismissed):
		return errGone
	case errors.Is(err, machine.ErrCancelled):
		return &stayLocked{"no passphrase was given", "reboot, or take and leave the shell, to be asked again"}
	case err != nil:
		return &stayLocked{"its passphrase could not be asked for: " + err.Error(), "connect a keyboard or a serial console (console=), or give it a key file"}
	}
	h.w.Progress()
	err = h.try(t, e, v, hdr, "the passphrase", secret, false)
	if err != nil {
		clear(secret)
		return err
	}
	if o.PasswordCache == crypttab.CacheNo || o.PasswordCache == crypttab.CacheReadOnly {
		clear(secret)
		return nil
	}
	h.w.KeepSecret(secret)
	h.w.Sched.Notify(handler.TopicPassphrase)
	return nil
}

// try unlocks and maps the device with one secret. what says which, for the
// person who waits: deriving a key takes its time.
func (h *Handler) try(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header, what string, secret []byte, keyFile bool) error {
	if memoryHard(hdr) {
		for h.deriving {
			h.locked(e, v, "waits for its turn: a key derivation that takes much memory is under way")
			t.Wait("the memory of another key derivation", topicDerived)
		}
		h.deriving = true
		defer func() {
			h.deriving = false
			h.w.Sched.Notify(topicDerived)
		}()
	}
	if h.twin(e) != "" {
		return errTwin
	}
	h.locked(e, v, what+" is being tried")
	name, err := devmapper.Mangle(v.name)
	if err != nil {
		return err
	}
	readOnly, _ := e.Attr("ro")
	major, minor, _ := e.Devnum()
	o := v.options
	job := mapping{hdr: hdr, volume: v, devname: e.Devname(), name: name, cookie: h.cookie(0), full: h.full, keyFile: keyFile,
		readOnly: readOnly == "1" || o.ReadOnly, options: luks.MapOptions{
			Device: fmt.Sprintf("%d:%d", major, minor), AllowDiscards: o.Discard, SameCPUCrypt: o.SameCPUCrypt,
			SubmitFromCryptCPUs: o.SubmitFromCryptCPUs, NoReadWorkqueue: o.NoReadWorkqueue, NoWriteWorkqueue: o.NoWriteWorkqueue}}
	if h.full != nil {
		job.hidden = h.cookie(devmapper.Temporary)
	}
	if s := o.KeySlot(); s >= 0 {
		job.slots = []int{s}
	}
	// The operation has a copy: the original may be wiped while it runs,
	// because everything else that the boot needs is there.
	own := bytes.Clone(secret)
	return ueventd.Act(t, "unlock "+e.Devname()+" as "+v.name, func(m machine.Machine) error {
		defer clear(own)
		return job.run(m, own)
	})
}

// memoryHard says whether the keys of a header are derived in a way that takes
// much memory.
func memoryHard(hdr *luksfmt.Header) bool {
	return hdr != nil && slices.ContainsFunc(hdr.Keyslots, func(k luksfmt.Keyslot) bool { return strings.HasPrefix(k.KDF.Type, "argon2") })
}
