package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"firstlight/features"
	"firstlight/internal/detect"
	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
	"firstlight/internal/kmodtree"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/rules"
)

// staticInit writes an ELF header of a program without interpreter: enough
// for the builder, which runs nothing. Beside it are the helpers.
func staticInit(t *testing.T) string {
	t.Helper()
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, 62, 1 // ET_EXEC, EM_X86_64, EV_CURRENT
	b[52], b[54], b[58] = 64, 56, 64
	name := filepath.Join(t.TempDir(), "init")
	for _, p := range []string{"init", "network", "nbd", "nbd-tls", "nvmf", "iscsi", "fetch", "imagecache", "oci", "httpdisk", "ssh", "sshfs", "tang", "tang-tls"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(name), p), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func options(t *testing.T, config string) Options {
	t.Helper()
	root, release := testtool.Kernel(t, "bookworm")
	c, err := ParseConfig("test.toml", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	set, err := feature.Load(feature.Dir{Name: "features", FS: features.FS})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Kernel: release, Sysroot: sysroot.Root(root), Config: *c, Features: set,
		Rules: []compile.Dir{{Name: "rules", FS: rules.FS}}, Init: staticInit(t), Output: filepath.Join(t.TempDir(), "image")}
}

func mustBuild(t *testing.T, o Options) (*Report, []byte) {
	t.Helper()
	r, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

func cat(t *testing.T, b []byte, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := image.Cat(&out, b, name, image.Limits{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func has(t *testing.T, b []byte, name string) bool {
	t.Helper()
	err := image.Cat(io.Discard, b, name, image.Limits{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

const plain = "compression = \"zstd:1\"\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n"

// The image of a described machine holds what modprobe would load there, an
// index of it, and what /init reads.
func TestTarget(t *testing.T) {
	testtool.Need(t, "modprobe")
	o := options(t, plain)
	r, b := mustBuild(t, o)
	want := map[string]bool{}
	for _, m := range []string{"crypto-sha256", "virtio_blk", "virtio_pci", "ext4"} {
		out, err := exec.Command(testtool.Path("modprobe"), "-d", string(o.Sysroot), "-S", o.Kernel, "--show-depends", m).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); f[0] == "insmod" {
				want[strings.TrimPrefix(f[1], string(o.Sysroot))] = true
			}
		}
	}
	for p := range want {
		orig, err := os.ReadFile(filepath.Join(string(o.Sysroot), p))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(cat(t, b, p), orig) {
			t.Errorf("%s is not as the kernel package has it", p)
		}
	}
	if len(r.Modules) != len(want) {
		t.Errorf("%d modules, modprobe wants %d: %v", len(r.Modules), len(want), r.Modules)
	}
	idx, err := kmod.OpenIndex(cat(t, b, "/etc/firstlight/modules.idx"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := idx.PlanFor("virtio:d00000002v00001AF4", kmod.Config{})
	if err != nil || len(plan.Steps) != 3 {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, s := range plan.Steps {
		if !has(t, b, s.Path) {
			t.Errorf("the index names %s, which is not there", s.Path)
		}
	}
	if got := string(cat(t, b, "/etc/firstlight/image")); !strings.HasSuffix(got,
		"kernel="+o.Kernel+"\nmode=target\nfeatures=base crc32c ext4 signatures virtio virtio-blk\n") {
		t.Error(got)
	}
	if len(cat(t, b, "/etc/firstlight/rules.tab")) < 1000 || !bytes.Contains(cat(t, b, "/etc/initrd-release"), []byte("ID=firstlight\n")) {
		t.Error("rules or initrd-release")
	}
	orig, _ := os.ReadFile(o.Init)
	if !bytes.Equal(cat(t, b, "/sbin/modprobe"), orig) {
		t.Error("/sbin/modprobe is not /init")
	}
	if len(r.Notes) != 0 {
		t.Errorf("notes: %q", r.Notes)
	}
}

// Two builds give the same bytes, whatever the cache has.
func TestReproducible(t *testing.T) {
	o := options(t, "[root]\nbus = \"virtio_blk\"\nfstype = \"squashfs\"\nlayers = \"md-raid1\"\n")
	_, want := mustBuild(t, o)
	cache, err := image.OpenCache(filepath.Join(t.TempDir(), "cache"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Cache = cache
	for _, run := range []string{"cold", "warm"} {
		o.Output = filepath.Join(t.TempDir(), "other")
		r, got := mustBuild(t, o)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: another image", run)
		}
		for _, s := range r.Segments {
			if s.Cached != (run == "warm") {
				t.Errorf("%s: %s from the cache: %v", run, s.Name, s.Cached)
			}
		}
	}
	touched := filepath.Join(t.TempDir(), "init")
	text, _ := os.ReadFile(o.Init)
	if err := os.WriteFile(touched, text, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Init, o.Cache = touched, nil
	if _, got := mustBuild(t, o); !bytes.Equal(got, want) {
		t.Error("the time or place of /init shows in the image")
	}
}

// Every built-in feature builds with Debian's kernel, each in generic mode
// and the required modules in a target's.
func TestEveryFeature(t *testing.T) {
	o := options(t, "mode = \"generic\"\n")
	o.InitFull = o.Init
	tree, r, err := Plan(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Modules) < 200 {
		t.Errorf("a generic image with %d modules", len(r.Modules))
	}
	for _, m := range []string{"ahci", "nvme", "xhci_pci", "usb_storage", "uas", "virtio_scsi", "sd_mod", "megaraid_sas", "mmc_block",
		"hv_storvsc", "dm_crypt", "raid456", "btrfs", "usbhid", "hid_apple", "vmd", "sdhci_acpi", "nls_iso8859_1"} {
		if !slices.ContainsFunc(r.Modules, func(x detect.Reason) bool { return x.Name == m }) {
			t.Errorf("%s is not in a generic image", m)
		}
	}
	for _, m := range []string{"scsi_debug", "nouveau", "e1000e", "wacom"} {
		if slices.ContainsFunc(r.Modules, func(x detect.Reason) bool { return x.Name == m }) {
			t.Errorf("%s is in a generic image", m)
		}
	}
	if tree.Get("/init") == nil || tree.HasSecrets() {
		t.Error("no /init, or secrets")
	}
	for _, f := range o.Features.All() {
		if f.Name == "bcachefs" || f.Name == "ntfs" || f.Name == "zfs" {
			continue // not in this kernel, and ZFS's programs are in no package that the tests need
		}
		for _, m := range f.Modules {
			o.Config = Config{Features: []string{f.Name}, Root: &Target{}}
			if f.Name == "rescue" || f.Name == "shell" || f.Name == "emergency" {
				continue
			}
			o := o
			// The programs of some are this machine's.
			if p := map[string][]string{"iscsi": {"iscsid", "iscsiadm"}, "nfs-krb5": {"rpc.gssd"}, "sshfs": {"sshfs", "ssh"}}[f.Name]; p != nil {
				testtool.Need(t, p...)
				o.ModulesDir, o.Sysroot = o.Sysroot.Host("/lib/modules/"+o.Kernel), ""
			}
			if f.Name == sshfsFeature {
				root := sshfsRoot(t)
				o.Config.SSHFS = &SSHFS{Keys: []string{root + defaultSSHFSKeys[:len(defaultSSHFSKeys)-1] + "ed25519"}, KnownHosts: List{root + "/etc/firstlight/sshfs/known_hosts"}}
			}
			if _, _, err := Plan(context.Background(), o); err != nil {
				t.Errorf("%s (%s): %v", f.Name, m, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"no such kernel":   {func(o *Options) { o.Kernel = "9.9" }, "there are: 6.1"},
		"no modules.dep":   {func(o *Options) { o.ModulesDir = t.TempDir() }, "run depmod"},
		"wrong release":    {func(o *Options) { o.ModulesDir = o.Sysroot.Host("/lib/modules/" + o.Kernel); o.Kernel = "6.1.0" }, "is for kernel 6.1.0-"},
		"no such module":   {func(o *Options) { o.Config.Modules = []string{"ext5"} }, "needs the kernel module ext5"},
		"no such feature":  {func(o *Options) { o.Config.Features = []string{"ext5"} }, `did you mean "ext4"`},
		"no such program":  {func(o *Options) { o.Config.Programs = []string{"/bin/nothing"} }, "/bin/nothing"},
		"no such file":     {func(o *Options) { o.Config.Files = []feature.File{{Source: "/etc/nothing"}} }, "/etc/nothing"},
		"no such include":  {func(o *Options) { o.Includes = []Include{{Source: "/no/such"}} }, "--include /no/such"},
		"a device":         {func(o *Options) { o.Includes = []Include{{Source: "/dev/null"}} }, "device"},
		"no such rules":    {func(o *Options) { o.Config.Rules = []string{"99-none.rules"} }, "99-none.rules"},
		"no such firmware": {func(o *Options) { o.Config.Firmware = []string{"none.bin"} }, "none.bin"},
		"firmware outside": {func(o *Options) { o.Config.Firmware = []string{"../../etc/shadow"} }, "not a path"},
		"init missing":     {func(o *Options) { o.Init = "/no/init" }, "/init"},
		"init dynamic":     {func(o *Options) { o.Init = "/bin/sh" }, "not a static program"},
		"output directory": {func(o *Options) { o.Output = t.TempDir() }, "a directory"},
		"output device":    {func(o *Options) { o.Output = "/dev/null" }, "a device"},
		"no host facts": {func(o *Options) {
			o.Config.Root = nil
			o.Detect = func() (*detect.Need, error) { return nil, detect.ErrUndecided }
		}, "--generic"},
		"mode of modules": {func(o *Options) { o.Config.Modules = []string{"drivers/nothing/*"} }, "drivers/nothing/*"},
	} {
		o := options(t, plain)
		if err := os.WriteFile(o.Output, []byte("the old image"), 0o600); err != nil {
			t.Fatal(err)
		}
		old := o.Output
		c.change(&o)
		_, err := Build(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if b, _ := os.ReadFile(old); string(b) != "the old image" {
			t.Errorf("%s: the old image is gone", name)
		}
	}
}

// What a person adds arrives; secrets make the image private.
func TestOwnContent(t *testing.T) {
	dir := t.TempDir()
	key, tab := filepath.Join(dir, "root.key"), filepath.Join(dir, "crypttab")
	for name, text := range map[string]string{key: "secret", filepath.Join(dir, "tree/a/b"): "b", tab: "# c\nroot UUID=1 /etc/root.key luks\nswap UUID=2 /etc/swap.key\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, "cmdline = [\"root=UUID=1\", \"quiet\"]\n"+plain)
	o.Crypttab = tab
	o.Includes = []Include{{key, "/etc/root.key"}, {filepath.Join(dir, "tree"), "/opt/tree"}}
	r, b := mustBuild(t, o)
	if st, _ := os.Stat(o.Output); st.Mode() != 0o644 || r.Private {
		t.Errorf("mode %v", st.Mode())
	}
	if got := string(cat(t, b, "etc/firstlight/cmdline.d/config.conf")); got != "root=UUID=1\nquiet\n" {
		t.Errorf("%q", got)
	}
	if !has(t, b, "/opt/tree/a/b") || !has(t, b, "/etc/crypttab") {
		t.Error("files are missing")
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "crypttab:3: the key /etc/swap.key of swap is not in the image") {
		t.Error(r.Notes)
	}
	headers := "a PARTUUID=1 none luks,header=/etc/a.hdr\nb PARTUUID=2 none header=/b.hdr:LABEL=stick\nc PARTUUID=3 none header=/dev/sdx\nd PARTUUID=4 none header=/etc/root.key\n"
	if err := os.WriteFile(tab, []byte(headers), 0o644); err != nil {
		t.Fatal(err)
	}
	r, _ = mustBuild(t, o)
	if len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "crypttab:1: the header /etc/a.hdr of a is not in the image") ||
		!strings.Contains(r.Notes[1], "crypttab:2: the header of b is read from /b.hdr on LABEL=stick") {
		t.Errorf("notes on headers: %q", r.Notes)
	}
	if err := os.Chmod(key, 0o400); err != nil {
		t.Fatal(err)
	}
	r, _ = mustBuild(t, o)
	if st, _ := os.Stat(o.Output); st.Mode() != 0o600 || !r.Private {
		t.Errorf("with a secret: mode %v", st.Mode())
	}
	if err := os.WriteFile(tab, []byte("root\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(context.Background(), o); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "crypttab:1:") {
		t.Errorf("%v", err)
	}
}

// Programs come with their libraries and the system's top-level links.
func TestPrograms(t *testing.T) {
	testtool.Need(t, "busybox")
	o := options(t, plain)
	o.ModulesDir = o.Sysroot.Host("/lib/modules/" + o.Kernel)
	o.Sysroot = ""
	o.Config.Features = []string{"shell"}
	o.Config.Programs = []string{"ls"}
	_, b := mustBuild(t, o)
	for _, p := range []string{"/bin/sh", "/bin/ls", "/sbin/modprobe", "/lib/modules/" + o.Kernel + "/kernel/fs/ext4/ext4.ko"} {
		if !has(t, b, p) {
			t.Errorf("%s is missing", p)
		}
	}
	testtool.Root(t)
	dir := t.TempDir()
	if err := image.Extract(b, dir, image.Limits{}, func(string, error) {}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("chroot", dir, "/bin/sh", "-c", "ls /etc/initrd-release").CombinedOutput()
	if err != nil || string(out) != "/etc/initrd-release\n" {
		t.Errorf("%s %v", out, err)
	}
}

// Compressed modules and firmware are stored unpacked, byte for byte.
func TestCompressedSources(t *testing.T) {
	testtool.Need(t, "xz", "zstd", "gzip", "depmod")
	src, release := testtool.Kernel(t, "bookworm")
	root := t.TempDir()
	dir := filepath.Join(root, "lib/modules", release)
	pack := map[string][]string{"ext4/ext4": {"xz", ".xz", "--check=crc32"}, "jbd2/jbd2": {"zstd", ".zst"}, "mbcache": {"gzip", ".gz"}}
	for name, c := range pack {
		to := filepath.Join(dir, "kernel/fs", name+".ko"+c[1])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(filepath.Join(src, "lib/modules", release, "kernel/fs", name+".ko"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(c[0], append(c[2:], "-c")...)
		cmd.Stdin = in
		out, err := cmd.Output()
		if err == nil {
			err = os.WriteFile(to, out, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
	}
	dep := "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.zst kernel/fs/mbcache.ko.gz\nkernel/fs/jbd2/jbd2.ko.zst:\nkernel/fs/mbcache.ko.gz:\n"
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][]string{"a.bin": {"cat"}, "b.bin.xz": {"xz", "-c"}, "sub/c.bin.zst": {"zstd", "-c"}, "sub/d.bin.gz": {"gzip", "-c"}} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Stdin = strings.NewReader("firmware " + name)
		out, err := cmd.Output()
		to := filepath.Join(root, "usr/lib/firmware", name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, out, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../usr/lib/firmware", filepath.Join(root, "lib/firmware")); err != nil {
		t.Fatal(err)
	}
	o := options(t, plain)
	o.Sysroot = sysroot.Root(root)
	o.Config.Root = &Target{FSType: List{"ext4"}}
	o.Config.Firmware = []string{"a.bin", "b.bin", "sub/*.bin"}
	_, b := mustBuild(t, o)
	for name := range pack {
		p := "/lib/modules/" + release + "/kernel/fs/" + name + ".ko"
		want, err := os.ReadFile(filepath.Join(src, p))
		if err != nil || !bytes.Equal(cat(t, b, p), want) {
			t.Errorf("%s differs, %v", p, err)
		}
	}
	for name, want := range map[string]string{"a.bin": "a.bin", "b.bin": "b.bin.xz", "sub/c.bin": "sub/c.bin.zst", "sub/d.bin": "sub/d.bin.gz"} {
		if got := string(cat(t, b, "lib/firmware/"+name)); got != "firmware "+want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The module closure of a whole image is closed: whatever a module needs is
// there as well.
func TestClosureIsClosed(t *testing.T) {
	o := options(t, plain)
	o.Config.Root.Layers = List{"luks", "lvm", "md-raid1", "md-raid5"}
	o.Config.Root.FSType = List{"btrfs"}
	tree, r, err := Plan(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	mods, err := kmodtree.Open(o.Sysroot.Host("/lib/modules/"+o.Kernel), kmodtree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Modules {
		x, err := mods.Lookup(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		deps, err := mods.Deps(x)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(deps, x) {
			if !d.Builtin && tree.Get("/lib/modules/"+o.Kernel+"/"+d.File) == nil {
				t.Errorf("%s, which %s needs, is missing", d.File, m.Name)
			}
		}
	}
	for _, e := range tree.Entries() {
		if e.Why == "" {
			t.Errorf("%s is there for no reason", e.Path)
		}
		// Without /dev/null, which a program finds closed without a console, none starts.
		if kind := e.Mode & cpio.TypeMask; (kind == cpio.TypeChar || kind == cpio.TypeBlock) && e.Path != "dev/null" {
			t.Errorf("%s is a device", e.Path)
		}
	}
}

func TestHostMode(t *testing.T) {
	o := options(t, "compression = \"zstd:1\"\n")
	o.Detect = func() (*detect.Need, error) {
		return &detect.Need{
			Facts:   []feature.Fact{{Name: "fstype:ext4", Why: "/ is ext4"}},
			Modules: []detect.Reason{{Name: "virtio:d00000002v00001AF4", Why: "vda"}, {Name: "no_such_module", Why: "of another kernel"}, {Name: "xhci_pci", Why: "usb"}},
			Files:   map[string]string{"/etc/none": "gone since"},
			Notes:   []string{"look"},
		}, nil
	}
	r, b := mustBuild(t, o)
	if !bytes.Contains(cat(t, b, "/etc/firstlight/image"), []byte("mode=host\n")) {
		t.Error("mode")
	}
	for _, m := range []string{"virtio_blk", "xhci_hcd", "ext4"} {
		if !slices.ContainsFunc(r.Modules, func(x detect.Reason) bool { return x.Name == m }) {
			t.Errorf("%s is missing", m)
		}
	}
	if !slices.Equal(r.Notes, []string{"look"}) {
		t.Error(r.Notes)
	}
}

func TestStrip(t *testing.T) {
	testtool.Need(t, "strip")
	o := options(t, "strip = true\n"+plain)
	_, b := mustBuild(t, o)
	p := "/lib/modules/" + o.Kernel + "/kernel/fs/ext4/ext4.ko"
	st, err := os.Stat(filepath.Join(string(o.Sysroot), p))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(cat(t, b, p)); n < 100_000 || int64(n) >= st.Size() {
		t.Errorf("%d bytes of %d", n, st.Size())
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"mode = \"hots\"\n":                       "mode",
		"mode = \"target\"\n":                     "[root]",
		"mode = \"generic\"\n[root]\nbus=\"x\"\n": "[root]",
		"\nmoduls = [\"x\"]\n":                    `c.toml:2:1: unknown key "moduls"`,
		"compression = \"brotli\"\n":              "brotli",
		"align = 3\n":                             "align",
		"crypttab = \"x\"\n":                      "absolute",
		"cmdline = [\"a\\nb\"]\n":                 "more than one line",
		"[[file]]\nsource = \"x\"\n":              "absolute",
		"x":                                       "c.toml:1:",
	} {
		_, err := ParseConfig("c.toml", []byte(text))
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(strings.TrimPrefix(err.Error(), ErrConfig.Error()+": "), "c.toml") {
			t.Errorf("%q: %v", text, err)
		}
	}
	c, err := ParseConfig("c.toml", []byte("[root]\nbus = [\"nvme\", \"ahci\"]\nlayers = \"luks\"\n"))
	if err != nil || len(c.Root.Bus) != 2 || !slices.Equal(c.Root.Layers, List{"luks"}) {
		t.Errorf("%+v %v", c, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("mode = \"generic\"\n[[file]]\nsource = \"/x\"\nmode = \"0600\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = ParseConfig("c.toml", b) })
}

// A feature that needs a handler of the full /init gets it, and nothing else
// does; the image says which one it has, for check and replay.
func TestFullInitForTheFeaturesThatNeedIt(t *testing.T) {
	o := options(t, "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	small, err := os.ReadFile(o.Init)
	if err != nil {
		t.Fatal(err)
	}
	full := append(slices.Clone(small), "full"...) // what follows an ELF's sections is nobody's
	o.InitFull = filepath.Join(t.TempDir(), "init-full")
	if err := os.WriteFile(o.InitFull, full, 0o755); err != nil {
		t.Fatal(err)
	}
	_, b := mustBuild(t, o)
	if !bytes.Equal(cat(t, b, "init"), small) || strings.Contains(string(cat(t, b, "etc/firstlight/image")), "init=") {
		t.Error("the usual image has not the small /init")
	}
	if o.Features, err = feature.Load(feature.Dir{Name: "features", FS: features.FS},
		feature.Dir{Name: "user", FS: fstest.MapFS{"mine.toml": {Data: []byte("description = \"Mine.\"\nwhen = [\"always\"]\ninit = \"full\"\n")}}}); err != nil {
		t.Fatal(err)
	}
	_, b = mustBuild(t, o)
	if !bytes.Equal(cat(t, b, "init"), full) || !strings.Contains(string(cat(t, b, "etc/firstlight/image")), "\ninit=full\n") {
		t.Error("an image that needs the full /init has the small one")
	}
	o.InitFull = filepath.Join(t.TempDir(), "none")
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), o.InitFull) {
		t.Errorf("without the full /init: %v", err)
	}
}

// /init that was compressed when it was installed is taken from there, and only
// from a directory that nobody else may write to.
func TestPackedInitIsUsed(t *testing.T) {
	o := options(t, "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	for _, c := range []struct {
		perm   os.FileMode
		cached bool
	}{{0o755, true}, {0o777, false}} {
		packed := filepath.Join(t.TempDir(), image.PackedDir)
		shipped, err := image.OpenCache(packed, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := PackInit(t.Context(), o.Init, shipped); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(packed, c.perm); err != nil {
			t.Fatal(err)
		}
		if o.Cache, err = image.OpenCache(filepath.Join(t.TempDir(), "cache"), time.Now()); err != nil {
			t.Fatal(err)
		}
		o.Cache.Ship(packed)
		r, with := mustBuild(t, o)
		for _, s := range r.Segments {
			if want := s.Name == "init" && c.cached; s.Cached != want {
				t.Errorf("mode %o: %s was compressed before: %v, want %v", c.perm, s.Name, s.Cached, want)
			}
		}
		o.Cache = nil
		if _, without := mustBuild(t, o); !bytes.Equal(with, without) {
			t.Error("the image is another one with the packed /init")
		}
	}
}
