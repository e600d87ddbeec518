package uki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/image/pe"
	"firstlight/internal/testtool"
	"firstlight/internal/uki/measure"
	"firstlight/test/debian"
)

// tools is a Debian 13 with ukify, and a directory in it that goes away.
func tools(t *testing.T) (root, dir string) {
	t.Helper()
	testtool.Need(t, "mmdebstrap", "chroot")
	testtool.Root(t)
	t.Setenv("FIRSTLIGHT_CACHE", testtool.Cache(t))
	if os.Getenv("FIRSTLIGHT_REQUIRE") != "1" && !debian.HasUKITools() {
		t.Skip("there is no Debian 13 with ukify in the cache, and it would have to be fetched")
	}
	c, err := debian.UKITools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = os.MkdirTemp(filepath.Join(c.Dir, "tmp"), "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return c.Dir, dir
}

// stubs are the systemd-stub of Debian 12 (252) and of Debian 13 (257), as
// options of ukify in the tree and as files of this machine.
func stubs(t *testing.T, root, dir string) map[string]string {
	const name = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
	old := filepath.Join(dir, "old.stub")
	b, err := os.ReadFile(name)
	if err != nil {
		if os.Getenv("FIRSTLIGHT_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err := os.WriteFile(old, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"252": old, "257": filepath.Join(root, name)}
}

// ukify runs it in the tree.
func ukify(t *testing.T, root string, args ...string) {
	t.Helper()
	c := exec.Command("chroot", append([]string{root, "ukify", "build"}, args...)...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ukify %q: %v\n%s", args, err, out)
	}
}

// inputs are files of every kind that goes into an image.
type inputs struct {
	root, dir string
	t         *testing.T
}

func (in inputs) file(name string, data []byte) string {
	in.t.Helper()
	f := filepath.Join(in.dir, name)
	if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
		in.t.Fatal(err)
	}
	if err := os.WriteFile(f, data, 0o644); err != nil {
		in.t.Fatal(err)
	}
	return strings.TrimPrefix(f, in.root)
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// differ says where two images differ.
func differ(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	t.Errorf("%s: ours has %d bytes, ukify's %d; the first that differs is %#x", what, len(got), len(want), n)
	for _, b := range [][]byte{got, want} {
		p, err := pe.Parse(b)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, h := range p.Headers {
			t.Logf("%+v", h)
		}
	}
}

// The image is ukify's, byte for byte: with each section, by each stub, with
// profiles and signed values for PCR 11.
func TestTheSameBytesAsUkify(t *testing.T) {
	root, dir := tools(t)
	in := inputs{root, dir, t}
	kernelRoot, release := testtool.Kernel(t, "trixie")
	kernel := read(t, filepath.Join(kernelRoot, "boot", "vmlinuz-"+release))
	linux := in.file("linux", kernel)
	key := testKey(t)
	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	private := in.file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pub := in.file("key.pub", public)
	var initrds [][]byte
	var initrdArgs []string
	for i, n := range []int{511, 70000} {
		b := bytes.Repeat([]byte{byte(i + 1)}, n)
		initrds = append(initrds, b)
		initrdArgs = append(initrdArgs, "--initrd="+in.file(fmt.Sprint("initrd", i), b))
	}
	osrel := []byte("ID=debian\nPRETTY_NAME=\"Debian\"\n")
	osArg := "--os-release=@" + in.file("os-release", osrel)
	hwids := []byte(`{"type": "devicetree", "name": "A", "compatible": "x,a", "hwids": ["2a78bc3d-8a4a-5d0c-9a3b-000000000001", "1a78bc3d-8a4a-5d0c-9a3b-000000000002"]}`)
	hwids2 := []byte(`{"type": "devicetree", "name": "B", "compatible": "x,b", "hwids": ["3a78bc3d-8a4a-5d0c-9a3b-000000000003"]}`)
	in.file("hw/a.json", hwids)
	in.file("hw/b.json", hwids2)
	hw, err := HWIDs([][]byte{hwids, hwids2})
	if err != nil {
		t.Fatal(err)
	}
	for version, stub := range stubs(t, root, dir) {
		t.Run(version, func(t *testing.T) {
			in := inputs{root, dir, t}
			common := []string{"--linux=" + linux, "--stub=" + strings.TrimPrefix(stub, root), "--output=" + strings.TrimPrefix(dir, root) + "/out", osArg}
			base := Parts{Stub: read(t, stub), Kernel: kernel, OSRelease: osrel, Uname: []byte(release)}
			compare := func(what string, p Parts, args ...string) {
				t.Helper()
				got, err := Build(p)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				ukify(t, root, append(slices.Clone(common), args...)...)
				differ(t, what, got, read(t, filepath.Join(dir, "out")))
				sameAsObjdump(t, got)
				if again, err := Build(p); err != nil || !bytes.Equal(got, again) {
					t.Errorf("%s: the same parts gave another image", what)
				}
			}
			plain := base
			if version == "252" { // has no use for a release
				plain.Uname = nil
				common = append(common, "--uname=")
			}
			compare("a kernel alone", plain)
			p := plain
			p.Initrds, p.Cmdline = initrds, []byte("root=LABEL=x quiet")
			compare("initrds and a command line", p, append(initrdArgs, "--cmdline=  root=LABEL=x   quiet ")...)
			p.Splash, p.DeviceTree = []byte("BM splash"), []byte("\xd0\x0d\xfe\xedtree")
			if version == "252" {
				// Its headers have no room for all of them, where ukify gives up.
				p.PublicKey = public
				grown, err := Build(p)
				if err != nil {
					t.Fatal(err)
				}
				sameAsObjdump(t, grown)
				return
			}
			p.PublicKey = public
			compare("a splash, a tree, a key", p, append(initrdArgs, "--cmdline=root=LABEL=x quiet", "--splash="+in.file("splash", p.Splash),
				"--devicetree="+in.file("tree", p.DeviceTree), "--pcrpkey="+pub)...)
			p = base
			p.Initrds, p.Microcode, p.SBAT = initrds[:1], []byte("microcode"), []string{"sbat,1,SBAT Version,sbat,1,x\nours,1,We,ours,1,https://example.org/\n"}
			compare("microcode and SBAT", p, initrdArgs[0], "--microcode="+in.file("ucode", p.Microcode), "--sbat="+p.SBAT[0])
			p = base
			p.DeviceTrees, p.HWIDs = [][]byte{[]byte("tree one"), []byte("tree two")}, hw
			compare("device trees to choose from", p, "--devicetree-auto="+in.file("t1", p.DeviceTrees[0]), "--devicetree-auto="+in.file("t2", p.DeviceTrees[1]), "--hwids="+strings.TrimPrefix(dir, root)+"/hw")
			p = base
			p.Extra, p.Initrds, p.Sign = []Section{{".own", []byte("mine")}}, initrds, []PolicyKey{{Key: key}}
			compare("signed for PCR 11", p, append(initrdArgs, "--section=.own:mine", "--pcr-private-key="+private, "--pcr-public-key="+pub)...)
			p.Extra, p.PublicKey, p.Banks = nil, public, measure.Banks()[1:2]
			p.Sign = []PolicyKey{{key, []measure.Path{"enter-initrd"}}, {key, []measure.Path{"enter-initrd", "enter-initrd:leave-initrd"}}}
			compare("signed for some phases in one bank", p, append(initrdArgs, "--pcrpkey="+pub, "--pcr-banks=sha256", "--pcr-private-key="+private, "--pcr-public-key="+pub, "--phases=enter-initrd",
				"--pcr-private-key="+private, "--pcr-public-key="+pub, "--phases=enter-initrd,enter-initrd:leave-initrd")...)

			// Profiles are built as images of their own and joined.
			own := Profile{{".profile", []byte("ID=rescue\nTITLE=Rescue\n")}, {".cmdline", []byte("rd.break")}}
			out := strings.TrimPrefix(dir, root) + "/rescue.efi"
			ukify(t, root, "--profile="+string(own[0].Data), "--cmdline=rd.break", "--output="+out)
			addon := read(t, filepath.Join(root, "usr/lib/systemd/boot/efi/addonx64.efi.stub"))
			alone, err := Build(Parts{Stub: addon, Addon: true, Profile: own[0].Data, Cmdline: own[1].Data})
			if err != nil {
				t.Fatal(err)
			}
			differ(t, "a profile", alone, read(t, filepath.Join(root, out)))
			p = base
			p.Initrds, p.Cmdline, p.Profiles = initrds, []byte("quiet"), []Profile{own}
			p.Sign, p.PublicKey = []PolicyKey{{Key: key}}, public
			compare("profiles, signed for", p, append(initrdArgs, "--cmdline=quiet", "--join-profile="+out, "--pcr-private-key="+private, "--pcr-public-key="+pub)...)
			back, err := ReadProfile(alone)
			if err != nil || fmt.Sprint(back) != fmt.Sprint(own) {
				t.Errorf("read %v %v", back, err)
			}
			sameAsObjdump(t, read(t, filepath.Join(dir, "out")))
		})
	}
	t.Run("addon", func(t *testing.T) {
		stub := filepath.Join(root, "usr/lib/systemd/boot/efi/addonx64.efi.stub")
		ukify(t, root, "--cmdline=debug", "--output="+strings.TrimPrefix(dir, root)+"/out")
		got, err := Build(Parts{Stub: read(t, stub), Addon: true, Cmdline: []byte("debug")})
		if err != nil {
			t.Fatal(err)
		}
		differ(t, "an addon", got, read(t, filepath.Join(dir, "out")))
	})
}

// The stub measures every section that it knows; systemd-measure says to what.
func TestTheSameValuesForEverySection(t *testing.T) {
	root, dir := tools(t)
	in := inputs{root, dir, t}
	image := measure.Image{}
	args := []string{root, "/usr/lib/systemd/systemd-measure", "calculate", "--json=short", "--bank=sha256", "--phase=:"}
	for _, name := range measure.Order() {
		image[name] = []byte("what is in " + name)
		// systemd-measure 257 takes each of these two for the other.
		option := map[string]string{".dtbauto": "hwids", ".hwids": "dtbauto"}[name]
		if option == "" {
			option = name[1:]
		}
		args = append(args, "--"+option+"="+in.file(name[1:], image[name]))
	}
	out, err := exec.Command("chroot", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	v := measure.Values(image, measure.Banks()[1:2], []measure.Path{""})
	if !strings.Contains(string(out), fmt.Sprintf("%q", fmt.Sprintf("%x", v[0].Value))) {
		t.Errorf("%x; systemd-measure says %s", v[0].Value, out)
	}
	known, err := Known(read(t, filepath.Join(root, "usr/lib/systemd/boot/efi/linuxx64.efi.stub")))
	if err != nil || !slices.Equal(known, stubSections()) {
		t.Errorf("the stub of 257 looks for %q: %v", known, err)
	}
	known, err = Known(read(t, "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"))
	if want := []string{".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey", ".pcrsig"}; err != nil || !slices.Equal(known, want) {
		t.Errorf("the stub of 252 looks for %q: %v", known, err)
	}
}

// sameAsObjdump compares the sections with those that objdump sees.
func sameAsObjdump(t *testing.T, b []byte) {
	t.Helper()
	testtool.Need(t, "objdump")
	f := filepath.Join(t.TempDir(), "image.efi")
	if err := os.WriteFile(f, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("objdump", "-h", "-w", f).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := pe.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 7 || !strings.HasPrefix(f[1], ".") {
			continue
		}
		h := p.Headers[n]
		size := min(h.VirtualSize, h.RawSize)
		if n++; f[1] != h.Name || f[2] != fmt.Sprintf("%08x", size) || f[5] != fmt.Sprintf("%08x", h.Raw) {
			t.Errorf("objdump says %q, and we %+v", line, h)
		}
	}
	if n != len(p.Headers) {
		t.Errorf("objdump sees %d sections of %d\n%s", n, len(p.Headers), out)
	}
}

func testKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	b, err := os.ReadFile("testdata/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*rsa.PrivateKey)
}
