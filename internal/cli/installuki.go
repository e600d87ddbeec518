package cli

import (
	"os"
	"slices"
	"strings"

	"firstlight/internal/build"
	"firstlight/internal/install"
	"firstlight/internal/uki"
)

// unified says whether unified kernel images are installed.
func unified(conf *build.Config) bool { return conf.Install.Layout == build.LayoutUKI }

// becomesUnified says whether kernel-install(8) makes a unified image of what is
// installed: its layout is the one that the last of its files says.
func (f *installFlags) becomesUnified() bool {
	files := []string{"/usr/lib/kernel/install.conf"}
	if exists(f.host("/etc/kernel/install.conf")) {
		files[0] = "/etc/kernel/install.conf"
	}
	for _, dir := range []string{"/usr/lib/kernel/install.conf.d", "/etc/kernel/install.conf.d"} {
		list, _ := os.ReadDir(f.host(dir))
		for _, e := range list {
			if strings.HasSuffix(e.Name(), ".conf") {
				files = append(files, dir+"/"+e.Name())
			}
		}
	}
	layout := ""
	for _, name := range files {
		b, _ := os.ReadFile(f.host(name))
		for l := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(l), "layout="); ok {
				layout = strings.Trim(v, `"'`)
			}
		}
	}
	return layout == "uki"
}

// unifiedPlace is where the unified image of a kernel belongs.
func (f *installFlags) unifiedPlace(kernel string) (string, error) {
	for _, esp := range install.EFISystemPartitions() {
		if exists(f.host(esp + "/EFI")) {
			return install.UnifiedPlace(esp, f.token(), kernel), nil
		}
	}
	return "", missingError("no EFI system partition is mounted: none of " + strings.Join(install.EFISystemPartitions(), " ") + " has a directory EFI; install.image names the place of images")
}

// token tells the images of several systems apart, as kernel-install(8) does it:
// what /etc/kernel/entry-token says, else the machine's id, else the system's name.
func (f *installFlags) token() string {
	for _, name := range []string{"/etc/kernel/entry-token", "/etc/machine-id"} {
		b, _ := os.ReadFile(f.host(name))
		if t := strings.TrimSpace(string(b)); t != "" && t != "uninitialized" && !strings.ContainsAny(t, "/\n") {
			return t
		}
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if b, err := os.ReadFile(f.host(name)); err == nil {
			if id := uki.Field(b, "ID"); id != "" {
				return id
			}
		}
	}
	return "linux"
}

// commandLineOf is the command line for unified images: that of the configuration,
// what the system has for all boot loaders, or the running kernel's.
func (f *installFlags) commandLineOf(conf *build.Config) (string, error) {
	if conf.UKI.Cmdline != "" {
		return conf.UKI.Cmdline, nil
	}
	for _, name := range []string{"/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"} {
		if b, err := os.ReadFile(f.host(name)); err == nil {
			return strings.Join(strings.Fields(string(b)), " "), nil
		}
	}
	if f.sysroot != "" {
		return "", usagef("a unified image for another system needs its command line: uki.cmdline of the configuration, or /etc/kernel/cmdline")
	}
	b, err := os.ReadFile("/proc/cmdline")
	// What a boot loader adds is about the files that it has loaded.
	words := slices.DeleteFunc(strings.Fields(string(b)), func(w string) bool { return strings.HasPrefix(w, "BOOT_IMAGE=") || strings.HasPrefix(w, "initrd=") })
	return strings.Join(words, " "), err
}

// wrap makes a unified image of an initramfs.
func (f *installFlags) wrap(conf *build.Config, kernel, cmdline string, initramfs []byte) ([]byte, error) {
	s := ukiSource{UKI: conf.UKI, root: f.root(), kernel: kernel, bootDir: f.bootDir, archive: [][]byte{initramfs}}
	s.Cmdline = cmdline
	b, _, err := s.build()
	return b, err
}
