package luks

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/blkid"
	"firstlight/internal/crypttab"
	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/integrityfmt"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/luksfmt/hashname/rare"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// uncommon is what the full /init can do and the small one cannot. It is
// reached through functions, so that the linker leaves it out of the small one.
type uncommon struct {
	hashes luks.Hashes
	// describe completes a volume of the type plain, or says why it stays locked.
	describe func(h *Handler, v *volume) bool
	// occupied says what is on a device that is to be opened without a header.
	occupied func(v *volume, e *udevd.Entry) error
	// plain and authenticated carry out a mapping.
	// await holds an authenticated volume until nothing can be resumed.
	await func(h *Handler, t *ueventd.Task, e *udevd.Entry, v *volume)
	// modules are those of a volume's ciphers.
	modules      func(v *volume, hdr *luksfmt.Header) []string
	plain        func(j mapping, m machine.Machine, secret []byte) error
	tool         func(j mapping, m machine.Machine, secret []byte) error
	reencryption func(hdr *luksfmt.Header) (*luksfmt.Reencryption, error)
	reencrypting func(j mapping, m machine.Machine, secret []byte, how luks.Options) error
	// bound tries what the servers have given that Clevis has bound a volume to, and
	// isBound says whether there are any.
	bound         func(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header, wait bool) (err error, done bool)
	isBound       func(key string) bool
	authenticated func(j mapping, m machine.Machine, mapper devmapper.Mapper, ref devmapper.KeyRef) error
}

// NewFull registers the handler of the full /init: it knows the rare hashes,
// volumes over dm-integrity, and those without a header.
func NewFull(w *handler.World) *Handler {
	if !w.Image.Full {
		return New(w)
	}
	h := newHandler(w)
	b := newBindings(h)
	h.full = &uncommon{hashes: rare.New, describe: plainVolume, occupied: occupied, await: await, modules: modules, plain: openPlain, tool: openByTool, reencryption: (*luksfmt.Header).Reencryption, reencrypting: openReencrypting, bound: b.open, isBound: func(key string) bool { return b.of[key] != nil }, authenticated: openAuthenticated}
	w.Sched.Route(filter.LUKS, b.handleDevice)
	return h
}

// describePlain takes from the options how a plain volume is encrypted. What
// cryptsetup assumes where nothing is said has changed, and a wrong assumption
// shows as noise; so nothing is assumed.
func describePlain(o *crypttab.Options, keyFile bool) (*luks.Plain, error) {
	switch {
	case o.Cipher == "" || o.KeySize == 0:
		return nil, errors.New("a plain volume needs cipher= and size=: what is taken without them differs between versions of cryptsetup")
	case o.Hash == "" && !keyFile:
		return nil, errors.New("a plain volume with a passphrase needs hash= (hash=plain for none): what is taken without it differs between versions of cryptsetup")
	}
	return &luks.Plain{Cipher: o.Cipher, KeySize: o.KeySize / 8, Hash: o.Hash, Offset: o.Offset, Skip: o.Skip, SectorSize: o.SectorSize}, nil
}

// unrecognised says that a plain volume shows nothing that is known, as it does
// with a wrong passphrase.
type unrecognised struct{ what string }

func (u *unrecognised) Error() string {
	return "with this " + u.what + " nothing that is known shows in it: the " + u.what + ", or cipher=, hash=, size=, offset= or skip= of the plain volume, is wrong"
}

// Is makes it a wrong passphrase: asking again makes sense.
func (u *unrecognised) Is(err error) bool { return err == luks.ErrWrongPassphrase }

// openPlain maps a volume without a header and looks whether its content is
// known; if not, the mapping is taken away again.
func openPlain(j mapping, m machine.Machine, secret []byte) error {
	p, what := j.volume.plain, "passphrase"
	var key *luks.VolumeKey
	var err error
	if j.keyFile {
		what = "key file"
		key, err = p.FileKey(secret)
	} else {
		key, err = p.Key(secret, j.full.hashes)
	}
	if err != nil {
		return err
	}
	defer key.Wipe()
	j.options.Key = key.KeyRef()
	table, err := p.Table(j.options)
	if err != nil {
		return err
	}
	defer devmapper.Wipe(table)
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	// Nobody looks at it before it is known to be the right one.
	info, err := devmapper.Activate(mapper, j.name, p.DMUUID(j.name), table, j.readOnly, j.hidden)
	if err != nil {
		return fmt.Errorf("%w (its cipher is %s)", err, p.Cipher)
	}
	known := j.volume.unchecked()
	if !known {
		known, err = recognised(m, info)
	}
	if err == nil && !known {
		err = &unrecognised{what}
	}
	if err == nil {
		if _, err = mapper.Suspend(devmapper.ByName(j.name), devmapper.SuspendOptions{}); err == nil {
			_, err = mapper.Resume(devmapper.ByName(j.name), devmapper.ResumeOptions{Cookie: j.cookie, ReadOnly: j.readOnly})
		}
	}
	if err != nil {
		if _, rerr := mapper.Remove(devmapper.ByName(j.name), devmapper.RemoveOptions{Cookie: j.hidden}); rerr != nil {
			err = fmt.Errorf("%w; %w", err, rerr)
		}
	}
	return err
}

// unchecked says whether the content of a plain volume is not to be looked at:
// another check than Debian's usual one is named.
func (v *volume) unchecked() bool {
	c := v.options.Check
	return c != "" && c != "1" && c != "blkid"
}

func recognised(m machine.Machine, info devmapper.Info) (bool, error) {
	b, err := m.OpenBlock("/dev/dm-" + strconv.Itoa(int(info.Dev.Minor)))
	if err != nil {
		return false, err
	}
	defer b.Close()
	res, err := blkid.ProbeWith(b, b.Size(), blkid.Options{Kind: blkid.Disk, SectorSize: b.SectorSize()})
	return err == nil && len(res.Pairs()) > 0, err
}

// openAuthenticated maps dm-integrity and the encryption over it.
func openAuthenticated(j mapping, m machine.Machine, mapper devmapper.Mapper, ref devmapper.KeyRef) error {
	s, err := j.hdr.DataSegment()
	if err != nil {
		return err
	}
	data, err := m.OpenBlock(j.devname)
	if err != nil {
		return err
	}
	sb, err := integrityfmt.Read(data, int64(s.Offset))
	data.Close()
	if err != nil {
		return err
	}
	below, err := luks.IntegrityTable(j.hdr, sb, j.options)
	if err != nil {
		return err
	}
	lower, err := devmapper.Mangle(luks.IntegrityName(j.volume.name))
	if err != nil {
		return err
	}
	info, err := devmapper.Activate(mapper, lower, luks.IntegrityDMUUID(j.hdr, j.name), below, j.readOnly, j.hidden)
	if err != nil {
		return fmt.Errorf("dm-integrity below it: %w", err)
	}
	over := j.options
	over.Device, over.Key = info.Dev.String(), ref
	table, err := luks.AuthenticatedTable(j.hdr, sb, over)
	if err == nil {
		_, err = devmapper.Activate(mapper, j.name, luks.DMUUID(j.hdr, j.name), table, j.readOnly, j.cookie)
		devmapper.Wipe(table)
	}
	if err == nil {
		return nil
	}
	if _, rerr := mapper.Remove(devmapper.ByName(lower), devmapper.RemoveOptions{Cookie: j.hidden}); rerr != nil {
		err = fmt.Errorf("%w; %w", err, rerr)
	}
	return fmt.Errorf("%w (its cipher is %s with %s)", err, s.Encryption, s.Integrity)
}

// plainVolume completes a volume of the type plain, or says why it stays
// locked.
func plainVolume(h *Handler, v *volume) bool {
	p, err := describePlain(&v.options, len(v.keys) > 0)
	if err == nil {
		v.plain = p
		return true
	}
	h.w.Say(handler.Loud, "/etc/crypttab: "+v.name+": "+err.Error())
	h.w.SetFact("luks plain "+v.name, goal.Fact{Subject: "encrypted device " + v.name, Condition: goal.Blocked, Text: err.Error(),
		Try: "complete its line in /etc/crypttab and rebuild the image"})
	return false
}

// occupied says what is on a device that is to be opened without a header,
// which is then hardly the right device.
func occupied(v *volume, e *udevd.Entry) error {
	if v.plain.Offset != 0 {
		return nil
	}
	switch v.options.Precheck {
	case "true", "/bin/true", "/usr/bin/true":
		return nil
	}
	if e.Err != nil {
		return fmt.Errorf("what is on it is not known: %w", e.Err)
	}
	what := e.Property("ID_FS_TYPE")
	if what == "" {
		what = e.Property("ID_FS_AMBIVALENT")
	}
	if typ := e.OwnTable(); what == "" && typ != "" {
		what = "a partition table (" + typ + ")"
	}
	if what == "" {
		return nil
	}
	return &stayLocked{"it holds " + what + ", and is to be opened as a plain volume, which has nothing before it",
		"check the device in /etc/crypttab, or give it the option precheck=true"}
}

// await holds an authenticated volume back: dm-integrity replays its journal
// when it starts, which writes to the disk.
func await(h *Handler, t *ueventd.Task, e *udevd.Entry, v *volume) {
	for !h.w.ResumeSettled {
		h.locked(e, v, "waits until it is known that nothing is resumed: dm-integrity writes to the disk")
		t.Wait("that nothing is resumed", handler.TopicResumeSettled)
	}
}

// modules are the aliases of what a volume's table and keyslots need.
func modules(v *volume, hdr *luksfmt.Header) []string {
	switch {
	case v.foreign:
		return []string{"algif_skcipher", "algif_hash", "crypto-xts", "crypto-cbc", "crypto-ecb", "dm-zero"}
	case v.plain != nil:
		return cipherModules(v.plain.Cipher)
	}
	var names []string
	for i := range hdr.Segments {
		s := &hdr.Segments[i]
		names = append(names, cipherModules(s.Encryption)...)
		if s.Integrity != "" {
			names = append(append(names, "dm-integrity"), cipherModules(s.Integrity)...)
			if strings.Contains(s.Integrity, "(") {
				names = append(names, "crypto-authenc")
			}
		}
	}
	for i := range hdr.Keyslots {
		names = append(names, cipherModules(hdr.Keyslots[i].Encryption)...)
	}
	return names
}
