package kernelimage

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/image/compress"
	"firstlight/internal/testtool"
)

// What Debian's kernels tell of themselves is what their configurations say.
func TestKernelAsItsConfiguration(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			root, release := testtool.Kernel(t, suite)
			text, err := os.ReadFile(filepath.Join(root, "boot", "config-"+release))
			if err != nil {
				t.Fatal(err)
			}
			want, err := OfConfig(string(text))
			if err != nil {
				t.Fatal(err)
			}
			kernel, err := os.ReadFile(filepath.Join(root, "boot", "vmlinuz-"+release))
			if err != nil {
				t.Fatal(err)
			}
			got, err := OfKernel(kernel)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Supported || !want.Supported || !slices.Equal(got.Methods, want.Methods) || len(want.Methods) != len(methods)+1 {
				t.Errorf("the kernel tells %+v, its configuration %+v", got, want)
			}
			// Without one of the messages its method is not found.
			vmlinux, err := Unpack(kernel)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range methods {
				if n := bytes.Count(vmlinux, []byte(k.message)); n != 1 {
					t.Errorf("%q stands in the kernel %d times", k.message, n)
				}
			}
			cut, err := OfKernel(bytes.ReplaceAll(vmlinux, []byte("ZSTD-compressed"), []byte("zstd-compressed")))
			if err != nil || cut.Can(compress.Zstd) || !cut.Can(compress.XZ) {
				t.Errorf("without zstd: %+v, %v", cut, err)
			}
		})
	}
}

const some = "#\n# Linux\n#\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_GZIP=y\n# CONFIG_RD_ZSTD is not set\nCONFIG_RD_XZ=y\nCONFIG_EXT4_FS=m\n"

// A configuration in the kernel counts, however the kernel is packed.
func TestConfigurationInTheKernel(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write([]byte(some))
	_ = w.Close()
	vmlinux := []byte(strings.Repeat("code ", 1000) + configStart + z.String() + configEnd + " ZSTD-compressed data is corrupt")
	var packed bytes.Buffer
	w = gzip.NewWriter(&packed)
	_, _ = w.Write(vmlinux)
	_ = w.Close()
	zboot := make([]byte, 64)
	copy(zboot, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(zboot[8:], 64)
	binary.LittleEndian.PutUint32(zboot[12:], uint32(packed.Len()))
	bz := make([]byte, 1024)
	copy(bz[0x202:], "HdrS\x0f\x02")
	bz[0x1f1] = 1
	binary.LittleEndian.PutUint32(bz[0x24c:], uint32(packed.Len()))
	for name, b := range map[string][]byte{"plain": vmlinux, "gzip": packed.Bytes(), "zboot": append(zboot, packed.Bytes()...),
		"bzImage": append(bz, packed.Bytes()...)} {
		i, err := OfKernel(b)
		if err != nil || !i.Supported || !slices.Equal(i.Methods, []compress.Method{compress.None, compress.Gzip, compress.XZ}) {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
	if i, err := OfConfig(strings.Replace(some, "CONFIG_BLK_DEV_INITRD=y", "# CONFIG_BLK_DEV_INITRD is not set", 1)); err != nil || i.Supported {
		t.Errorf("without an initramfs: %+v, %v", i, err)
	}
	for _, bad := range []string{"", "no kernel", "MZ\x00\x00zimg\xff\xff\xff\xff\xff\xff\xff\xff........"} {
		if i, err := OfKernel([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, i)
		}
	}
}

func TestPayloadRefusesWhatIsNoBzImage(t *testing.T) {
	short := make([]byte, 0x250)
	copy(short[0x202:], "HdrS\x0f\x02")
	short[0x24c] = 1 // a payload of one byte, behind the end
	for name, b := range map[string][]byte{"empty": nil, "no header": make([]byte, 4096), "cut": short} {
		if p, err := BzImagePayload(b); err == nil {
			t.Errorf("%s: %d bytes", name, len(p))
		}
	}
}

func FuzzOfKernel(f *testing.F) {
	f.Add([]byte("code IKCFG_ST\x1f\x8b\x08\x00 IKCFG_ED no cpio magic Decoding failed"))
	f.Add([]byte("MZ\x00\x00zimg\x10\x00\x00\x00\x04\x00\x00\x00\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = OfKernel(b) })
}
