package migrate

import (
	"path"
	"strconv"
	"strings"

	"firstlight/internal/sshconf"
)

// sshServer is what is said of a hook or module that is an SSH server.
const sshServer = "([ssh] in the configuration is the SSH server, with the keys of the old one where they were found"

// sshKeys are the files with the keys that may log in, and sshSettings those with
// the settings of Dropbear, by the names of their tools' packages.
var (
	sshKeys = map[string][]string{
		"initramfs-tools": {"/etc/dropbear-initramfs/authorized_keys", "/etc/dropbear/initramfs/authorized_keys"},
		"dracut":          {"/root/.ssh/dracut_authorized_keys"},
		"mkinitcpio":      {"/etc/dropbear/root_key", "/etc/tinyssh/root_key"},
	}
	sshSettings = map[string][]string{
		"initramfs-tools": {"/etc/dropbear-initramfs/config", "/etc/dropbear/initramfs/dropbear.conf"},
	}
)

// ssh reads a file of an SSH server, and says whether it is one.
func (m *migration) ssh(f File) bool {
	for _, name := range sshKeys[m.r.Tool] {
		if f.Name == name {
			m.sshKeys(f)
			return true
		}
	}
	for _, name := range sshSettings[m.r.Tool] {
		if f.Name == name {
			for _, a := range assignments(m, f) {
				m.dropbear(a)
			}
			return true
		}
	}
	return false
}

func (m *migration) sshKeys(f File) {
	keys, problems := sshconf.ParseKeys(f.Text)
	for _, p := range problems {
		m.left(f.Name+":"+strconv.Itoa(p.Line), "a key", p.Text)
	}
	if len(keys) == 0 {
		return
	}
	m.unset("ssh.authorized_keys")
	m.set("ssh.authorized_keys", f.Name, f.Name)
	m.left(path.Dir(f.Name), "the host keys", "make one of its own: ssh-keygen -t ed25519 -N '' -C initramfs -f /etc/firstlight/ssh/ssh_host_ed25519_key; or take Dropbear's of ed25519, by host_keys in [ssh]")
}

// dropbear translates a setting of Debian's dropbear-initramfs.
func (m *migration) dropbear(a assignment) {
	text, v := a.name+"="+a.value(), a.value()
	switch a.name {
	case "DROPBEAR_OPTIONS":
		m.dropbearOptions(a.where, strings.Fields(v))
	case "IFDOWN":
		m.done(a.where, text, "links stay as they are, and the real system has files to take them over")
	case "DROPBEAR_SHUTDOWN_TIMEOUT":
		m.done(a.where, text, "sessions end by themselves when the real system starts")
	default:
		m.left(a.where, text, "it is no setting of Dropbear's that is known")
	}
}

func (m *migration) dropbearOptions(where string, words []string) {
	for i := 0; i < len(words); i++ {
		o := words[i]
		if len(o) < 2 || o[0] != '-' {
			m.left(where, o, "it is no option of Dropbear's")
			continue
		}
		value := o[2:]
		if strings.IndexByte("pIcbrWK", o[1]) >= 0 && value == "" && i+1 < len(words) {
			i++
			value = words[i]
		}
		switch o[1] {
		case 'p':
			at := strings.LastIndexByte(value, ':')
			if _, err := strconv.ParseUint(value[at+1:], 10, 16); err != nil {
				m.left(where, o+" "+value, "it is no port")
				break
			}
			if at > 0 {
				m.set("ssh.listen", strings.Trim(value[:at], "[]"), where)
			}
			m.set("ssh.port", value[at+1:], where)
		case 'I':
			if _, err := strconv.ParseUint(value, 10, 31); err == nil {
				m.set("ssh.idle_timeout", value, where)
			}
		case 'c':
			if mode, ok := sshconf.Command(strings.Trim(value, `"'`)); ok {
				m.set("ssh.command", string(mode), where)
			} else {
				m.left(where, o+" "+value, "the server has two commands, unlock and console")
			}
		case 's', 'g', 'w', 'j', 'k', 'F', 'E', 'm', 'a':
			m.done(where, o, "there are no passwords, and nothing is forwarded")
		default:
			m.left(where, strings.TrimSpace(o+" "+value), "it has no counterpart")
		}
	}
}

// writeSSH writes the table of the server.
func (r *Result) writeSSH(b *strings.Builder) {
	first := true
	for _, s := range r.Settings {
		key, ok := strings.CutPrefix(s.Key, "ssh.")
		if !ok {
			continue
		}
		if first {
			b.WriteString("\n[ssh]\n")
			first = false
		}
		value := strconv.Quote(s.Value)
		if _, err := strconv.ParseUint(s.Value, 10, 31); err == nil {
			value = s.Value
		}
		b.WriteString(key + " = " + value + " # " + s.From + "\n")
	}
}

// writeSSHFS writes the table of a root by SSH.
func (r *Result) writeSSHFS(b *strings.Builder) {
	var t Result
	for _, s := range r.Settings {
		if key, ok := strings.CutPrefix(s.Key, "sshfs."); ok {
			t.Settings = append(t.Settings, Setting{key, s.Value, s.From})
		}
	}
	if len(t.Settings) == 0 {
		return
	}
	b.WriteString("\n[sshfs]\n")
	for _, key := range []string{"keys", "known_hosts", "config"} {
		t.write(b, key)
	}
}
