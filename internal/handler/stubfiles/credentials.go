package stubfiles

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Where the stub puts credentials: those beside the image, which are stronger, and
// those for all images.
var credentialDirs = [...]string{"/.extra/credentials", "/.extra/global_credentials"}

// Where the real system looks for them.
const (
	// received is systemd's place for what was handed to the system. It looks there
	// if a variable says so.
	received         = "/run/credentials/@encrypted"
	receivedVariable = "ENCRYPTED_CREDENTIALS_DIRECTORY"
	// store is searched for what units load and import.
	store = "/run/credstore.encrypted"
)

// maxCredentials are the bytes of all of them together, as systemd allows.
const maxCredentials = 1 << 20

// found is what became of the credentials.
type found struct {
	Names []string // those that were handed on
	Dir   string   // where they are
	Why   string   // why not where systemd usually has them
	Left  []string // those that were not, with the reason
}

// credentials hands on what is encrypted and the stub did not look into. systemd
// authenticates and opens them when they are used, and only then.
func (h *Handler) credentials(t *ueventd.Task) {
	f, err := ueventd.Do(t, "hand credentials of systemd-stub on", func(m machine.Machine) (found, error) {
		o, ok := machine.HandoverOf(m)
		if !ok {
			return found{}, nil
		}
		contents, f, err := readCredentials(m, o)
		if err != nil || len(f.Names) == 0 {
			return f, err
		}
		f.Dir = received
		if f.Why = trusted(m, o); f.Why != "" {
			f.Dir = store
		}
		if err := m.Mkdir(f.Dir[:strings.LastIndexByte(f.Dir, '/')], 0o755); err != nil {
			return f, err
		}
		if err := m.Mkdir(f.Dir, 0o700); err != nil {
			return f, err
		}
		for i, name := range f.Names {
			if err := m.WriteFile(f.Dir+"/"+name, contents[i], 0o400); err != nil {
				return f, err
			}
		}
		if f.Why == "" {
			err = o.SetEnv(receivedVariable, received)
		}
		return f, err
	})
	if err != nil {
		h.w.Say(handler.Loud, "the credentials of systemd-stub are not handed on: "+err.Error())
		return
	}
	for _, l := range f.Left {
		h.w.Say(handler.Normal, "a credential of systemd-stub is not handed on: "+l)
	}
	if len(f.Names) == 0 {
		return
	}
	text := "hand credentials of systemd-stub on in " + f.Dir + ": " + strings.Join(f.Names, " ")
	if f.Why != "" {
		text += "; not in " + received + ", since systemd would not look for others then: " + f.Why
	}
	t.Record("decision", text)
}

// readCredentials reads them, and says of which nothing is made.
func readCredentials(m machine.Machine, o machine.Handover) (contents [][]byte, f found, err error) {
	room := int64(maxCredentials)
	for _, dir := range credentialDirs {
		names, err := o.ListDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, f, err
		}
		for _, file := range names {
			name, ok := strings.CutSuffix(file, ".cred")
			switch {
			case !ok || !validName(name):
				f.Left = append(f.Left, dir+"/"+file+" is no name of a credential")
				continue
			case slices.Contains(f.Names, name):
				continue // the one beside the image is stronger
			}
			b, err := m.ReadFile(dir+"/"+file, room)
			if err != nil {
				f.Left = append(f.Left, err.Error())
				continue
			}
			room -= int64(len(b))
			contents, f.Names = append(contents, b), append(f.Names, name)
		}
	}
	return contents, f, nil
}

// validName is what systemd.exec(5) says of names of credentials: that of a file.
func validName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.HasSuffix(name, ".new") {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == '/' || c == ':' || c == 0x7f || c == 0xfffd })
}

// trusted says where else the system is handed credentials, or "". systemd reads
// those itself, unless the variable is there, which says that an initramfs has done
// so. Whom of them to trust (not the host of a confidential machine, for instance)
// is left to it.
func trusted(m machine.Machine, o machine.Handover) string {
	line, _ := m.ReadFile("/proc/cmdline", 64<<10) // without it nothing is known, and nothing lost
	for _, word := range strings.Fields(string(line)) {
		if strings.HasPrefix(word, "systemd.set_credential") || strings.HasPrefix(word, "systemd.import_credentials") {
			return "the kernel command line has " + word[:strings.IndexByte(word+"=", '=')]
		}
	}
	tables, _ := m.ReadFile("/sys/firmware/dmi/tables/DMI", 1<<20)
	if bytes.Contains(tables, []byte("io.systemd.credential")) {
		return "the firmware's tables (SMBIOS) have some"
	}
	m.Load("qemu_fw_cfg") // it is there on QEMU's machines alone
	if names, _ := o.ListDir("/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials"); len(names) > 0 {
		return "QEMU's fw_cfg has some"
	}
	return ""
}

// extensions says that images of extensions are for a systemd in the initramfs.
// They are handed to nobody: they come from where anybody can write, and the real
// system asks of an image in its own directories for no signature.
func (h *Handler) extensions(t *ueventd.Task) {
	for _, d := range [...]struct{ dir, what, place string }{
		{"/.extra/sysext", "system extensions", "/var/lib/extensions"}, {"/.extra/global_sysext", "system extensions", "/var/lib/extensions"},
		{"/.extra/confext", "configuration extensions", "/var/lib/confexts"}, {"/.extra/global_confext", "configuration extensions", "/var/lib/confexts"},
	} {
		names, err := ueventd.Do(t, "look for "+d.what+" in "+d.dir, func(m machine.Machine) ([]string, error) {
			o, ok := machine.HandoverOf(m)
			if !ok {
				return nil, nil
			}
			return o.ListDir(d.dir)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.w.Say(handler.Normal, err.Error())
		}
		if len(names) > 0 {
			h.w.Say(handler.Normal, d.what+" beside the unified image are for a systemd in the initramfs, and are not used: "+strings.Join(names, " ")+". For the real system they belong into "+d.place)
		}
	}
}
