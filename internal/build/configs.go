package build

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"firstlight/internal/feature"
)

// Where the configuration is: one file, and the files *.toml of a directory in
// the order of their names.
const (
	ConfigPath = "/etc/firstlight.toml"
	ConfigDir  = "/etc/firstlight.d"
)

// ConfigFile is a file of the configuration.
type ConfigFile struct {
	Name string // for messages
	Text []byte
}

// ParseConfigs reads the files of a configuration, each over those before it:
// of a key with one value the last one counts, lists grow. Errors say
// "name:line:column: what".
func ParseConfigs(files []ConfigFile) (*Config, error) {
	c := &Config{}
	var wrong error // what is wrong so far, by the file since which it is
	for _, f := range files {
		before := lists(reflect.ValueOf(c).Elem(), nil)
		if err := feature.Decode(f.Name, f.Text, c); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		for _, l := range before {
			l.to.Set(reflect.AppendSlice(l.was, l.to))
		}
		// A later file may complete what an earlier one began.
		if err := c.check(); err == nil {
			wrong = nil
		} else if wrong == nil || !strings.HasSuffix(wrong.Error(), err.Error()) {
			wrong = fmt.Errorf("%s: %w: %w", f.Name, ErrConfig, err)
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	return c, nil
}

// ParseWithProfile is ParseConfigs with the configuration of a profile before the
// files: the one of the name that is given, or else the one that they name last.
// read finds a profile by its name.
func ParseWithProfile(name string, files []ConfigFile, read func(name string) (ConfigFile, error)) (*Config, error) {
	if name == "" {
		c, err := ParseConfigs(files)
		if err != nil || c.Profile == "" {
			return c, err
		}
		name = c.Profile
	}
	profile, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c, err := ParseConfigs(append([]ConfigFile{profile}, files...))
	if err == nil {
		c.Profile = name
	}
	return c, err
}

// list is a list of the configuration and what it held.
type list struct{ to, was reflect.Value }

// lists empties the lists of a configuration and returns them. Those of [root]
// are left out: a description of another machine is not added to one before.
func lists(v reflect.Value, out []list) []list {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Slice:
			out = append(out, list{f, reflect.ValueOf(f.Interface())})
			f.SetZero()
		case reflect.Struct:
			out = lists(f, out)
		}
	}
	return out
}

// ImagePath puts a kernel's release into the path of an image. It says what is
// wrong with a path that could not be used for every kernel.
func ImagePath(pattern, kernel string) (string, error) {
	if !path.IsAbs(pattern) || strings.HasSuffix(pattern, "/") || strings.ContainsAny(pattern, "\n\x00") {
		return "", fmt.Errorf("%q is not the absolute path of a file", pattern)
	}
	var b strings.Builder
	for rest := pattern; rest != ""; {
		text, tail, found := strings.Cut(rest, "%")
		b.WriteString(text)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(tail, "v"):
			b.WriteString(kernel)
		case strings.HasPrefix(tail, "%"):
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("%q: %%v is the kernel's release and %%%% a per cent sign, nothing else follows a %%", pattern)
		}
		rest = tail[1:]
	}
	return b.String(), nil
}

// Key describes a key of the configuration.
type Key struct {
	Name    string // with a point after the name of its table
	Type    string // as a person would say it
	Default string
	Text    string // what it is for; one or several sentences
	Example string // as in the file
}

// Keys are all keys of the configuration, in the order of the documentation.
func Keys() []Key {
	return append([]Key{
		{"mode", "host, generic or target", "host; target if there is [root]", "What an image is for: this machine, any common machine, or the one that [root] describes.", `mode = "generic"`},
		{"profile", "vm, cloud, rescue, or a file of /etc/firstlight/profiles", "none", "A kind of machine that an image is for; firstlight config profiles lists them. What else the configuration says is added to it.", `profile = "vm"`},
		{"features", "list of names", "none", "Features besides those that were found needed; firstlight feature list names them.", `features = ["shell"]`},
		{"omit_features", "list of names", "none", "Features that are left out though they were found needed.", `omit_features = ["lvm"]`},
		{"modules", "list of names, alias:TEXT or paths", "none", "Kernel modules besides those of the features, with what they depend on. One that does not exist is an error.", `modules = ["e1000e", "drivers/ata/*"]`},
		{"try_modules", "list, as modules", "none", "Kernel modules that are taken as far as they exist.", `try_modules = ["alias:crypto-serpent"]`},
		{"omit_modules", "list of names or paths", "none", "Kernel modules that are left out, unless another one needs them.", `omit_modules = ["floppy"]`},
		{"firmware", "list of paths", "none", "Files below /lib/firmware besides those that modules name.", `firmware = ["i915/*.bin"]`},
		{"rules", "list of names", "none", "Files of udev rules of the system.", `rules = ["60-my.rules"]`},
		{"programs", "list of names or paths", "none", "Programs, with their libraries.", `programs = ["/usr/sbin/hdparm"]`},
		{"cmdline", "list of kernel parameters", "none", "Parameters that are baked in; those of the real command line win.", `cmdline = ["rd.timeout=120"]`},
		{"crypttab", "path", "none", "The file that becomes the image's /etc/crypttab.", `crypttab = "/etc/crypttab"`},
		{"acpi_tables", "list of paths or patterns", "none", "Compiled tables of ACPI that the kernel takes in place of the firmware's, or besides.", `acpi_tables = ["/etc/acpi/*.aml"]`},
		{"sysctl", "list of settings, or paths of files of them", "none", "Parameters of the kernel that the boot sets, as in sysctl.d(5). Without it the feature sysctl takes the system's sysctl.d.", `sysctl = ["vm.swappiness=10"]`},
		{"bootconfig", "path", "none", "A file with further parameters of the kernel and of init, in the kernel's form bootconfig. The kernel reads it where its command line has the word bootconfig.", `bootconfig = "/etc/firstlight/bootconfig"`},
		{"compression", "method, with a level after a colon", "zstd, or what the kernel can unpack", "How the image is compressed: zstd, gzip, xz, lz4, bzip2, lzma, lzo or none.", `compression = "zstd:19"`},
		{"align", "bytes, a power of two from 4 to 2048", "4", "What the contents of files are aligned to, without compression.", `align = 512`},
		{"strip", "true or false", "false", "Whether debug sections are taken out of modules, which destroys their signatures.", `strip = true`},
		{"file.source", "path", "", "A file or directory of the system that is taken into the image. [[file]] begins each.", `source = "/etc/keys/root.key"`},
		{"file.target", "path", "the same as source", "Where it is in the image.", `target = "/keys/root.key"`},
		{"file.mode", "octal number", "as it is", "Its mode.", `mode = "0400"`},
		{"file.owner", "numbers of user and group", "0:0", "Its owner.", `owner = "0:0"`},
		{"file.secret", "true or false", "false", "Whether it makes the image one that only root can read.", `secret = true`},
		{"file.optional", "true or false", "false", "Whether it is no error if it does not exist.", `optional = true`},
		{"console.keymap", "names of keymaps, or paths", "what the system has", "The layout of the keyboard for questions at boot, as kbd names it; none is the kernel's own.", `keymap = "de-latin1"`},
		{"console.font", "name of a font, or a path", "what the system has", "The font of the text console, in the form PSF; none is the kernel's own.", `font = "Uni2-Fixed16"`},
		{"root.bus", "word or list", "none", "Drivers of the disks of a machine that is described instead of looked at.", `bus = ["virtio_blk", "nvme"]`},
		{"root.fstype", "word or list", "none", "Filesystems of its root and /usr.", `fstype = "ext4"`},
		{"root.layers", "word or list", "none", "What is between the disks and the root, in any order.", `layers = ["luks", "lvm", "md-raid1"]`},
		{"root.needs", "word or list", "none", "keyboard, resume, usr.", `needs = ["keyboard"]`},
		{"install.image", "path with %v", "what the system's boot loader looks for", "Where firstlight install puts the image of a kernel; %v is the kernel's release.", `image = "/boot/initrd.img-%v"`},
		{"install.fallback", "path with %v", "none", "Where it puts a second image for any common machine.", `fallback = "/boot/initrd.img-%v-generic"`},
		{"install.backup", "true or false", "true", "Whether the last image that the machine has booted with stays beside the new one, with .old after its name.", `backup = false`},
		{"install.layout", "uki", "an image beside the kernel", "What the boot loader is given: with uki a unified kernel image, as [uki] says.", `layout = "uki"`},
		{"ssh.authorized_keys", "path", "/etc/firstlight/ssh/authorized_keys", "The keys that may log in to the image's SSH server, which it has where there is a table [ssh].", `authorized_keys = "/etc/dropbear/initramfs/authorized_keys"`},
		{"ssh.host_keys", "list of paths", "/etc/firstlight/ssh/ssh_host_*_key", "Its private host keys: OpenSSH's or PEM forms of ed25519, RSA and ECDSA, Dropbear's of ed25519. The image is then private.", `host_keys = ["/etc/firstlight/ssh/ssh_host_ed25519_key"]`},
		{"ssh.system_host_keys", "true or false", "false", "Whether host keys of the system itself may be taken.", `system_host_keys = true`},
		{"ssh.port", "number", "22", "The port.", `port = 2222`},
		{"ssh.listen", "word or list", "every address", "The addresses at which it listens.", `listen = ["10.0.0.5"]`},
		{"ssh.command", "unlock or console", "unlock", "What sessions are for where the key's line in authorized_keys has no command=.", `command = "console"`},
		{"ssh.sessions", "number from 1 to 64", "8", "How many may be logged in.", `sessions = 2`},
		{"ssh.logins", "number from 1 to 64", "8", "How many may be logging in at a time.", `logins = 4`},
		{"ssh.login_timeout", "seconds", "60", "How long a login may take.", `login_timeout = 30`},
		{"ssh.idle_timeout", "seconds, 0 for ever", "3600", "How long a session stays in which nothing is typed.", `idle_timeout = 600`},
		{"ssh.per_address", "number", "10", "How many connections a minute are taken from one address (or network of 64 bits) that do not log in.", `per_address = 5`},
		{"ssh.in_all", "number", "60", "How many in all, from addresses from which nobody has logged in.", `in_all = 20`},
		{"sshfs.keys", "list of paths", "/etc/firstlight/sshfs/id_*", "Private keys, in OpenSSH's or PEM forms and without a passphrase, that let the machine in where its root is had by SSH, each with NAME-cert.pub beside it if there is one. The image is then private.", `keys = ["/root/.ssh/id_initramfs"]`},
		{"sshfs.known_hosts", "path or list of paths", "/etc/firstlight/sshfs/known_hosts", "Files with the host keys of servers that are believed. No other is.", `known_hosts = "/etc/ssh/ssh_known_hosts"`},
		{"sshfs.config", "path", "/etc/firstlight/sshfs/ssh_config, if it is there", "Further settings of ssh's, as in ssh_config(5). They cannot have an unknown server believed, or a person asked.", `config = "/etc/firstlight/ssh_config"`},
	}, ukiKeys()...)
}

// FindKey returns the description of a key, and of its table all.
func FindKey(name string) []Key {
	return slices.DeleteFunc(Keys(), func(k Key) bool { return k.Name != name && !strings.HasPrefix(k.Name, name+".") })
}
