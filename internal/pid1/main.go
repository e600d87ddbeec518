// Package pid1 is the machine's side of Firstlight inside an image: the
// process with the number 1. It sets up the kernel's filesystems, feeds the
// core (package boot) with what the kernel and the person at the console say,
// carries out what the core decides, and at the end becomes the real init.
//
// Nothing here decides anything about the boot.
package pid1

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/console"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/kmod"
	"firstlight/internal/kmod/load"
	"firstlight/internal/mdsuper"
	"firstlight/internal/mountinfo"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// Where the image keeps what /init reads; see docs/architecture.md.
const (
	imageFile   = "/etc/firstlight/image"
	indexFile   = "/etc/firstlight/modules.idx"
	rulesFile   = "/etc/firstlight/rules.tab"
	cmdlineDir  = "/etc/firstlight/cmdline.d"
	kernelFile  = "/proc/cmdline"
	maxConfig   = 1 << 20
	maxTable    = 16 << 20
	gcThreshold = 64 << 20
)

// Main runs the boot and does not return. kernel takes the image's modules,
// handlers are what this program can do.
func Main(kernel load.Kernel, handlers []boot.Register) {
	began, mono := time.Now().UnixMicro(), now()
	hugePages(false)
	// A boot allocates a few megabytes in all; collecting them would cost
	// more than they do. The limit keeps a long wait for a person bounded.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(gcThreshold)
	defer survive()
	if err := setup(); err != nil {
		die(err)
	}
	clearLimits()
	texts := sources()
	cfg, problems := bootcmd.Parse(texts...)
	cons := console.Open(consoleNames(cfg))
	cons.Prepare = keyboard()
	image := readImage()
	index, err := readIndex()
	if err != nil {
		die(err)
	}
	table, compiled, err := readRules()
	if err != nil {
		die(err)
	}
	image.Running = kernelRelease()
	if rel := image.Running; image.Kernel != "" && rel != image.Kernel {
		cons.Print(fmt.Sprintf("This image was made for kernel %s, but %s is running: its modules will not load.\n"+
			"Boot the kernel that the image belongs to, or rebuild the image for this one.", image.Kernel, rel))
	}
	spawn := newChildren()
	mods := newModules(index, cfg.Modules, kernel)
	sys := sysfs.Dir("/sys")
	out := openOutput(cons, cfg.Log)
	sw := &switcher{began: began, mono: mono, spawn: spawn}
	w := &world{storage: storage{modules: mods, buffers: &buffers{}}, modules: mods, files: files{sys}, children: spawn, Console: cons, switcher: sw,
		shell: shell{console: cons, spawn: spawn, password: image.password, terminal: terminal(cfg)}}
	in := inputs.New(setupOf(image.Image, texts, os.Args[1:], mono, compiled))
	var core *boot.Core
	missing := func(text string) { core.World().AddMissing(text) }
	matches := in.Matches(func(alias string) bool { return len(index.Match(alias)) > 0 })
	core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: image.Image, Sys: sys,
		Rules: udevd.NewTable(table, cfg.Params, matches, missing), Handlers: handlers, Args: os.Args[1:], Start: mono, Inputs: in})
	l := &loop{core: core, world: w, sys: sys, spawn: spawn, out: out, inputs: in, work: make(chan ueventd.Operation), results: make(chan result, 64), leaving: make(chan chan struct{})}
	sw.before = func() {
		// The core's state belongs to the loop; this is called beside it.
		done := make(chan struct{})
		l.leaving <- done
		<-done
	}
	if l.socket, err = uevent.Open(); err != nil {
		die(err)
	}
	if l.watch, err = mountinfo.Open("/proc/self/mountinfo"); err != nil {
		die(err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	l.run()
}

// survive keeps PID 1 alive when everything else has failed: the kernel would
// panic if it ended, and take the message with it.
func survive() {
	p := recover()
	if p == nil {
		return
	}
	die(fmt.Errorf("internal error: %v\n%s", p, debug.Stack()))
}

// complain writes a line to standard error.
func complain(text string) { sysfile.New(2, "stderr").Write([]byte(text + "\n")) }

// die says why the boot cannot even begin, and waits for a person. With
// panic= it reboots.
func die(err error) {
	text := "firstlight cannot start: " + err.Error()
	kmsg(3, text)
	complain(text)
	cfg, _ := commandLine()
	if f := cfg.Failure; f.PanicSet && f.Panic != 0 {
		time.Sleep(time.Duration(max(f.Panic, 0)) * time.Second)
		unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_ON)
	for {
		// Not an empty select: with no other goroutine the runtime would call
		// that a deadlock and end the process.
		unix.Poll(nil, -1)
	}
}

// commandLine reads the parameters of the image and of the kernel.
func commandLine() (*bootcmd.Config, []bootcmd.Problem) { return bootcmd.Parse(sources()...) }

// sources are the texts of the command line.
func sources() []bootcmd.Source {
	var sources []bootcmd.Source
	if names, err := sysfs.Dir(cmdlineDir).List(""); err == nil {
		for _, n := range names {
			if !strings.HasSuffix(n, ".conf") {
				continue
			}
			p := path.Join(cmdlineDir, n)
			if b, err := readBounded(p, maxConfig); err == nil {
				sources = append(sources, bootcmd.Source{Name: p, Text: string(b)})
			}
		}
	}
	b, err := readBounded(kernelFile, maxConfig)
	if err != nil {
		kmsg(3, err.Error())
	}
	return append(sources, bootcmd.Source{Name: kernelFile, Text: string(b)})
}

// consoleNames are the terminals to speak on: every console=, or the kernel's
// choice.
func consoleNames(cfg *bootcmd.Config) []string {
	var out []string
	for _, c := range cfg.Consoles {
		out = append(out, "/dev/"+c.Device)
	}
	if len(out) == 0 {
		out = append(out, "/dev/console")
	}
	return out
}

// terminal is the node of rd.ctty=, "" if it is not given.
func terminal(cfg *bootcmd.Config) string {
	if cfg.CTTY == "" {
		return ""
	}
	return "/dev/" + cfg.CTTY
}

// imageInfo is what the image says of itself.
type imageInfo struct {
	handler.Image
	password string // hash that opens the emergency shell, "" for none
}

func readImage() imageInfo {
	var info imageInfo
	b, err := readBounded(imageFile, maxConfig)
	if err != nil {
		kmsg(4, err.Error())
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		k, v, _ := strings.Cut(line, "=")
		switch k {
		case "version":
			info.Version = v
		case "kernel":
			info.Kernel = v
		case "features":
			info.Features = strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })
		case "init":
			info.Full = v == "full"
		case "hostname":
			info.Hostname = v
		case "system_id":
			info.SystemID = v
		case "extra_system_ids":
			info.ExtraSystemIDs = strings.Fields(v)
		case "lvm_devices":
			info.DevicesFile, info.PVIDs = true, strings.Fields(v)
		}
	}
	info.Crypttab = optional("/etc/crypttab")
	info.MdadmConf = mdsuper.ConfText(optional, func(dir string) []string {
		names, _ := sysfs.Dir(dir).List("") // it need not be there
		return names
	})
	info.password = strings.TrimSpace(optional("/etc/firstlight/password"))
	return info
}

// optional reads a file of the image that need not be there.
func optional(p string) string {
	b, err := readBounded(p, maxConfig)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			kmsg(4, err.Error())
		}
		return ""
	}
	return string(b)
}

func readIndex() (*kmod.Index, error) {
	b, err := mapped(indexFile)
	if err != nil {
		return nil, err
	}
	ix, err := kmod.OpenIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	return ix, nil
}

func readRules() (*rules.Table, []byte, error) {
	b, err := mapped(rulesFile)
	if err != nil {
		return nil, nil, err
	}
	table, err := rules.Open(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", rulesFile, err)
	}
	return table, b, nil
}

// mapped reads a table of the image.
func mapped(p string) ([]byte, error) { return readBounded(p, maxTable) }

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
