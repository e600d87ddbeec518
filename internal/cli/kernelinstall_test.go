package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// What kernel-install has staged or was given becomes the unified image, microcode
// first, unless another tool is to make it.
func TestKernelInstallMakesUnifiedImages(t *testing.T) {
	testtool.Need(t, "sh")
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/firstlight": "#!/bin/sh\nfor a; do echo \"$a\"; done\n", "area/initrd": "", "area/microcode.img": "", "my initrd": ""} {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	area := filepath.Join(dir, "area")
	start := "uki build --linux /boot/vmlinuz --system-cmdline --output " + area + "/uki.efi --initrd=" + area + "/microcode.img --initrd="
	for _, c := range []struct {
		layout, generator string
		args              []string
		want              string
	}{
		{"uki", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, start + area + "/initrd"},
		{"uki", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz", dir + "/my initrd"}, start + dir + "/my initrd"},
		{"uki", "ukify", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, ""},
		{"bls", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, ""},
		{"uki", "firstlight", []string{"remove", "6.1", "/efi"}, ""},
	} {
		cmd := exec.Command("sh", append([]string{"../../dist/kernel-install/60-firstlight-uki.install"}, c.args...)...)
		cmd.Env = []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH"), "KERNEL_INSTALL_LAYOUT=" + c.layout, "KERNEL_INSTALL_STAGING_AREA=" + area, "KERNEL_INSTALL_UKI_GENERATOR=" + c.generator}
		out, err := cmd.CombinedOutput()
		if got := strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", " "); err != nil || got != c.want {
			t.Errorf("%s %s %q: %q %v; want %q", c.layout, c.generator, c.args, got, err, c.want)
		}
	}
}

// fakeFirstlight is a directory with a firstlight that prints its arguments.
func fakeFirstlight(t *testing.T) string {
	t.Helper()
	testtool.Need(t, "sh")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "firstlight"), []byte("#!/bin/sh\necho \"$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// saidBy runs a script with that firstlight and returns what it was called with.
func saidBy(t *testing.T, fake, script string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("sh", append([]string{script}, args...)...)
	cmd.Env = append(env, "PATH="+fake+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Where the image of a kernel goes and whether one is made at all is
// kernel-install's choice. (With Debian's hooks: test/packages.)
func TestKernelInstallMakesImages(t *testing.T) {
	fake := fakeFirstlight(t)
	if _, err := os.Stat("/etc/kernel/postinst.d/firstlight"); err == nil {
		t.Skip("Firstlight is installed here, and its hooks make the images")
	}
	for _, c := range []struct {
		env  string
		args string
		want string
	}{
		{"LAYOUT=bls", "add 6.1 /efi/t/6.1 /boot/vmlinuz", "build --quiet --kernel 6.1 --output area/initrd"},
		{"LAYOUT=uki", "add 6.1 /efi/t/6.1 /boot/vmlinuz", "build --quiet --feature uki --kernel 6.1 --output area/initrd"},
		{"LAYOUT=other", "add 6.1 /efi/t/6.1 /boot/vmlinuz", "install --kernel 6.1"},
		{"LAYOUT=bls", "add 6.1 /efi/t/6.1 /boot/vmlinuz given.img", ""},
		{"INITRD_GENERATOR=dracut", "add 6.1 /efi/t/6.1 /boot/vmlinuz", ""},
		{"IMAGE_TYPE=uki", "add 6.1 /efi/t/6.1 /boot/some.efi", ""},
		{"LAYOUT=other", "remove 6.1 /efi/t/6.1", "remove --quiet --force --kernel 6.1"},
		{"LAYOUT=bls", "remove 6.1 /efi/t/6.1", ""},
		{"LAYOUT=uki", "remove 6.1 /efi/t/6.1", ""},
	} {
		env := []string{"KERNEL_INSTALL_STAGING_AREA=area", "KERNEL_INSTALL_" + c.env}
		if got := saidBy(t, fake, "../../dist/kernel-install/50-firstlight.install", env, strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.env, c.args, got, c.want)
		}
	}
}

// Alpine's kernel-hooks gives the flavour, the new release and the one before,
// without the flavour.
func TestAlpineKernelHook(t *testing.T) {
	fake := fakeFirstlight(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"lts", "6.12.2-0", "6.12.1-0"}, "install --kernel 6.12.2-0-lts"},
		{[]string{"virt", "6.12.2-0", ""}, "install --kernel 6.12.2-0-virt"},
		{[]string{"lts", "", "6.12.1-0"}, "remove --force --kernel 6.12.1-0-lts"},
	} {
		if got := saidBy(t, fake, "../../dist/kernel/alpine.hook", nil, c.args...); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// systemd before 253 brings no unified image to the EFI system partition.
func TestUnifiedImagesAreCopied(t *testing.T) {
	fake := fakeFirstlight(t)
	for _, dir := range []string{"/etc", "/usr/lib"} {
		if _, err := os.Stat(dir + "/kernel/install.d/90-uki-copy.install"); err == nil {
			t.Skip("systemd's own plugin is here, and does it")
		}
	}
	root := t.TempDir()
	conf, area, linux := filepath.Join(root, "conf"), filepath.Join(root, "area"), filepath.Join(root, "EFI/Linux")
	for _, d := range []string{conf, area} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"KERNEL_INSTALL_LAYOUT=uki", "KERNEL_INSTALL_BOOT_ROOT=" + root, "KERNEL_INSTALL_ENTRY_TOKEN=t",
		"KERNEL_INSTALL_STAGING_AREA=" + area, "KERNEL_INSTALL_CONF_ROOT=" + conf}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...string) {
		t.Helper()
		var got []string
		list, err := os.ReadDir(linux)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			b, err := os.ReadFile(filepath.Join(linux, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Name()+" "+string(b))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("EFI/Linux has %q, want %q", got, want)
		}
	}
	const script = "../../dist/kernel-install/90-firstlight-uki-copy.install"
	write(filepath.Join(area, "uki.efi"), "one")
	saidBy(t, fake, script, env, "add", "6.1", "entry", "vmlinuz")
	saidBy(t, fake, script, env, "add", "6.10", "entry", "vmlinuz")
	check("t-6.1.efi one", "t-6.10.efi one")
	write(filepath.Join(conf, "tries"), "3\n")
	write(filepath.Join(area, "uki.efi"), "two")
	saidBy(t, fake, script, env, "add", "6.1", "entry", "vmlinuz")
	check("t-6.1+3.efi two", "t-6.10.efi one")
	saidBy(t, fake, script, env, "remove", "6.1", "entry")
	check("t-6.10.efi one")
}

// The image before and the one for any machine have entries that are the kernel's
// own but for the image, behind those of all kernels; and lose them with it.
func TestKernelInstallOffersOtherImages(t *testing.T) {
	testtool.Need(t, "sh")
	root, fake := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, "t/6.1")
	write(filepath.Join(fake, "firstlight"), "#!/bin/sh\ntest \"$1\" = cat || cat "+fake+"/list\n")
	write(filepath.Join(fake, "list"), "image 6.1 present /boot/i\nbefore 6.1 present "+fake+"/b\nfallback 6.1 present "+fake+"/f\n")
	write(filepath.Join(fake, "b"), "before")
	write(filepath.Join(fake, "f"), "fallback")
	write(filepath.Join(dir, "initrd.img-6.1"), "image")
	own := filepath.Join(root, "loader/entries/t-6.1+3.conf")
	write(own, "# made\ntitle      Debian\nversion    6.1\nsort-key   debian\noptions    quiet\nlinux      /t/6.1/linux\n"+
		"initrd     /t/6.1/microcode\ninitrd     /t/6.1/initrd.img-6.1\n")
	env := []string{"KERNEL_INSTALL_LAYOUT=bls", "KERNEL_INSTALL_BOOT_ROOT=" + root, "KERNEL_INSTALL_ENTRY_TOKEN=t"}
	const script = "../../dist/kernel-install/91-firstlight-entries.install"
	files := func() (out []string) {
		t.Helper()
		for _, d := range []string{dir, filepath.Dir(own)} {
			list, err := os.ReadDir(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				out = append(out, e.Name())
			}
		}
		return out
	}
	saidBy(t, fake, script, env, "add", "6.1", dir, "vmlinuz")
	b, err := os.ReadFile(filepath.Join(root, "loader/entries/t-6.1-firstlight-before.conf"))
	if want := "# made\ntitle      Debian (the image before)\nversion    6.1\nsort-key   debian-firstlight-before\noptions    quiet\nlinux      /t/6.1/linux\n" +
		"initrd     /t/6.1/microcode\ninitrd     /t/6.1/firstlight-before.img\n"; string(b) != want {
		t.Errorf("%v %s\nwant\n%s", err, b, want)
	}
	for name, want := range map[string]string{"before": "before", "fallback": "fallback"} {
		if b, err := os.ReadFile(filepath.Join(dir, "firstlight-"+name+".img")); string(b) != want {
			t.Errorf("%q %v, want %q", b, err, want)
		}
	}
	const all = "firstlight-before.img firstlight-fallback.img initrd.img-6.1 t-6.1+3.conf t-6.1-firstlight-before.conf t-6.1-firstlight-fallback.conf"
	if got := strings.Join(files(), " "); got != all {
		t.Errorf("there are %s, want %s", got, all)
	}
	// No image before any more, and none for any machine.
	write(filepath.Join(fake, "list"), "image 6.1 present /boot/i\nbefore 6.1 absent "+fake+"/b\n")
	saidBy(t, fake, script, env, "add", "6.1", dir, "vmlinuz")
	const none = "initrd.img-6.1 t-6.1+3.conf"
	if got := strings.Join(files(), " "); got != none {
		t.Errorf("there are %s, want %s", got, none)
	}
	write(filepath.Join(fake, "list"), "image 6.1 present /boot/i\nbefore 6.1 present "+fake+"/b\n")
	saidBy(t, fake, script, env, "add", "6.1", dir, "vmlinuz")
	saidBy(t, fake, script, env, "remove", "6.1", dir)
	if got := strings.Join(files(), " "); got != none {
		t.Errorf("after the kernel there are %s, want %s", got, none)
	}
}
