package fstab

import (
	"strings"
	"time"

	"firstlight/internal/timespan"
)

// Flags of mount(2), as in the kernel's include/uapi/linux/mount.h. They are
// written down here, since this package asks no system.
const (
	ReadOnly    = 1 << 0
	NoSuid      = 1 << 1
	NoDev       = 1 << 2
	NoExec      = 1 << 3
	Synchronous = 1 << 4
	Mandlock    = 1 << 6
	DirSync     = 1 << 7
	NoSymfollow = 1 << 8
	NoAtime     = 1 << 10
	NoDirAtime  = 1 << 11
	Bind        = 1 << 12
	Rec         = 1 << 14
	Silent      = 1 << 15
	Unbindable  = 1 << 17
	Private     = 1 << 18
	Slave       = 1 << 19
	Shared      = 1 << 20
	RelAtime    = 1 << 21
	IVersion    = 1 << 23
	StrictAtime = 1 << 24
	LazyTime    = 1 << 25
)

// Options are the options of a mount, sorted by who reads them.
type Options struct {
	// Set are the flags for mount(2) and Clear those that an option took
	// away; of two contrary options the last counts. The two are disjoint.
	Set, Clear uint64
	// Propagation is one of Shared, Private, Slave or Unbindable, with Rec
	// where it is recursive; a mount(2) of its own.
	Propagation uint64
	// Data is for the filesystem, separated by commas, in order.
	Data string
	// User are those that only programs read: x-*, nofail, noauto, _netdev,
	// comment=… in order.
	User []string
}

// flagOptions are the options of mount(8) that are flags.
var flagOptions = [...]struct {
	name       string
	set, clear uint64
}{
	{"ro", ReadOnly, 0}, {"rw", 0, ReadOnly},
	{"nosuid", NoSuid, 0}, {"suid", 0, NoSuid},
	{"nodev", NoDev, 0}, {"dev", 0, NoDev},
	{"noexec", NoExec, 0}, {"exec", 0, NoExec},
	{"sync", Synchronous, 0}, {"async", 0, Synchronous},
	{"dirsync", DirSync, 0},
	{"mand", Mandlock, 0}, {"nomand", 0, Mandlock},
	{"nosymfollow", NoSymfollow, 0}, {"symfollow", 0, NoSymfollow},
	{"noatime", NoAtime, StrictAtime | RelAtime}, {"atime", 0, NoAtime},
	{"nodiratime", NoDirAtime, 0}, {"diratime", 0, NoDirAtime},
	{"relatime", RelAtime, NoAtime | StrictAtime}, {"norelatime", 0, RelAtime},
	{"strictatime", StrictAtime, NoAtime | RelAtime}, {"nostrictatime", 0, StrictAtime},
	{"lazytime", LazyTime, 0}, {"nolazytime", 0, LazyTime},
	{"iversion", IVersion, 0}, {"noiversion", 0, IVersion},
	{"silent", Silent, 0}, {"loud", 0, Silent},
	{"bind", Bind, 0}, {"rbind", Bind | Rec, 0},
	// "defaults" is rw, suid, dev, exec, auto, nouser and async.
	{"defaults", 0, ReadOnly | NoSuid | NoDev | NoExec | Synchronous},
}

// propagation are the options that a second mount(2) carries out.
var propagation = [...]struct {
	name string
	bits uint64
}{
	{"shared", Shared}, {"private", Private}, {"slave", Slave}, {"unbindable", Unbindable},
	{"rshared", Shared | Rec}, {"rprivate", Private | Rec}, {"rslave", Slave | Rec},
	{"runbindable", Unbindable | Rec},
}

// userImplies are the flags of those options of mount(8) that let users
// mount; a later option takes them away again.
var userImplies = [...]struct {
	name  string
	flags uint64
}{
	{"user", NoExec | NoSuid | NoDev}, {"users", NoExec | NoSuid | NoDev},
	{"owner", NoSuid | NoDev}, {"group", NoSuid | NoDev},
}

// userOptions are read by programs only and never reach the kernel.
const userOptions = " auto noauto nofail fail _netdev nouser nousers noowner nogroup loop helper uhelper pamconsole" +
	" nopamconsole sizelimit offset encryption "

// ParseOptions sorts a list of options, separated by commas. A comma inside
// double quotes belongs to the value (context="system_u:…:s0,c1"). Nothing is
// an error: what is not known is the filesystem's to judge.
func ParseOptions(list string) Options {
	var o Options
	var data strings.Builder
	for list != "" {
		var word string
		word, list = cutOption(list)
		if word != "" && !o.flag(word) && !o.user(word) {
			if data.Len() > 0 {
				data.WriteByte(',')
			}
			data.WriteString(word)
		}
	}
	o.Data = data.String()
	return o
}

func cutOption(list string) (word, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return list[:i], list[i+1:]
			}
		}
	}
	if quoted { // an open quote is only a character
		word, rest, _ = strings.Cut(list, ",")
		return word, rest
	}
	return list, ""
}

func (o *Options) change(set, clear uint64) {
	o.Set = o.Set&^clear | set
	o.Clear = o.Clear&^set | clear
}

// flag takes an option that is one or several flags.
func (o *Options) flag(word string) bool {
	for i := range flagOptions {
		if f := &flagOptions[i]; f.name == word {
			o.change(f.set, f.clear)
			return true
		}
	}
	for i := range propagation {
		if propagation[i].name == word {
			o.Propagation = propagation[i].bits
			return true
		}
	}
	return false
}

// user takes an option that only programs read.
func (o *Options) user(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	for i := range userImplies {
		if userImplies[i].name == name {
			o.change(userImplies[i].flags, 0)
			o.User = append(o.User, word)
			return true
		}
	}
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "x-") || name == "comment" || strings.Contains(userOptions, " "+name+" ") {
		o.User = append(o.User, word)
		return true
	}
	return false
}

// Has says whether a userspace option is there, with or without a value.
func (o *Options) Has(name string) bool {
	_, ok := o.Value(name)
	return ok
}

// Value is the value of the last userspace option of the name; "" for one
// without a value.
func (o *Options) Value(name string) (value string, ok bool) {
	for i := len(o.User) - 1; i >= 0; i-- {
		if n, v, _ := strings.Cut(o.User[i], "="); n == name {
			return v, true
		}
	}
	return "", false
}

// NoFail says whether the boot goes on without this filesystem: of nofail
// and fail the last one.
func (o *Options) NoFail() bool { return o.last("nofail", "fail") }

// NoAuto says whether the filesystem is mounted only when asked for: of
// noauto and auto the last one.
func (o *Options) NoAuto() bool { return o.last("noauto", "auto") }

func (o *Options) last(yes, no string) bool {
	for i := len(o.User) - 1; i >= 0; i-- {
		if o.User[i] == yes || o.User[i] == no {
			return o.User[i] == yes
		}
	}
	return false
}

// DeviceTimeout is Options.DeviceTimeout of options as they are written.
func DeviceTimeout(options string) (time.Duration, bool) {
	o := ParseOptions(options)
	return o.DeviceTimeout()
}

// DeviceTimeout is x-systemd.device-timeout=, how long the device is waited
// for (systemd.mount(5)); 0 there is forever. ok is false if there is none,
// or none that can be read.
func (o *Options) DeviceTimeout() (time.Duration, bool) {
	v, ok := o.Value("x-systemd.device-timeout")
	if !ok {
		return 0, false
	}
	d, err := timespan.Parse(v)
	if err == nil && d == 0 {
		d = timespan.Forever
	}
	return d, err == nil
}
