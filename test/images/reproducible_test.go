package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/testtool"
	"firstlight/test/host"
)

// surroundings are what an image must not depend on.
type surroundings struct {
	dir     string // where everything lies
	program string
	umask   string
	env     []string
	date    time.Time // of the source files
	reverse bool      // the order in which they are made
}

// The same image and the same document come of the same content: in another
// place, file system (tmpfs, ext4, xfs), time zone and language, with other times
// of the files, on another day, with another umask and number of processors, with
// the cache or without. That the
// builder does not look at the clock is tested by archtest.
func TestReproducible(t *testing.T) {
	testtool.Root(t)
	testtool.Need(t, "mkfs.ext4", "mkfs.xfs", "zstd", "xz")
	root, release := testtool.Kernel(t, "bookworm")
	top := t.TempDir()
	program, err := host.GoBuild(t.Context(), "./cmd/firstlight", top)
	if err != nil {
		t.Fatal(err)
	}
	tmpfs, ext4 := filepath.Join(top, "a"), filepath.Join(top, "another place/for it")
	mount(t, tmpfs, "tmpfs", "none", "size=400m")
	xfs := filepath.Join(top, "c")
	for dir, mkfs := range map[string][]string{ext4: {"mkfs.ext4", "-q", "-F"}, xfs: {"mkfs.xfs", "-q", "-f"}} {
		fstype := strings.TrimPrefix(mkfs[0], "mkfs.")
		disk := filepath.Join(top, fstype+".disk")
		if err := os.WriteFile(disk, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(disk, 400<<20); err != nil {
			t.Fatal(err)
		}
		if _, err := host.Run(t.Context(), append(mkfs, disk)...); err != nil {
			t.Fatal(err)
		}
		mount(t, dir, fstype, disk, "loop")
	}
	here := surroundings{dir: filepath.Join(tmpfs, "x"), program: program, umask: "022", date: time.Unix(1e9, 0),
		env: []string{"TZ=UTC", "LC_ALL=C", "GOMAXPROCS=1", "HOME=/", "SOURCE_DATE_EPOCH=1700000000"}}
	there := surroundings{dir: filepath.Join(ext4, "y"), program: program, umask: "077", date: time.Now(), reverse: true,
		env: []string{"TZ=Asia/Kathmandu", "LC_ALL=de_DE.UTF-8", "LANGUAGE=de", "GOMAXPROCS=7", "HOME=/nowhere", "SOURCE_DATE_EPOCH=1700000000",
			"ZSTD_CLEVEL=1", "ZSTD_NBTHREADS=3", "XZ_DEFAULTS=-0", "GZIP=-1"}}
	// Nobody says when it is: the clock does.
	today := surroundings{dir: filepath.Join(xfs, "z"), program: program, umask: "007", date: time.Unix(4e8, 0), env: []string{"SOURCE_DATE_EPOCH=", "TZ=America/St_Johns", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=2", "HOME=/"}}
	for _, s := range []surroundings{here, there, today} {
		prepare(t, s, root, release)
	}
	for _, spec := range []string{"", "zstd:3", "xz:1", "gzip", "lz4:1", "none"} {
		name := spec
		if name == "" {
			name = "default"
		}
		t.Run(name, func(t *testing.T) {
			want, doc := built(t, here, release, spec, "--no-cache")
			if len(want) < 100_000 || !bytes.Contains(doc, []byte(`"created": "2023-11-14T22:13:20Z"`)) {
				t.Fatalf("%d bytes, and a document of %d", len(want), len(doc))
			}
			cached := "--cache-dir=" + filepath.Join(there.dir, "cache")
			for _, cache := range []string{"--no-cache", cached, cached} {
				got, gotDoc := built(t, there, release, spec, cache)
				if !bytes.Equal(got, want) || !bytes.Equal(gotDoc, doc) {
					t.Errorf("%s: the image differs (%d and %d bytes, from byte %d on), or the document (%d and %d)", cache, len(got), len(want), common(got, want), len(gotDoc), len(doc))
				}
			}
			got, gotDoc := built(t, today, release, spec, "--no-cache")
			if !bytes.Equal(got, want) {
				t.Errorf("today: the image differs (%d and %d bytes, from byte %d on)", len(got), len(want), common(got, want))
			}
			if bytes.Equal(gotDoc, doc) {
				t.Error("today's document has the time of another one: SOURCE_DATE_EPOCH is set")
			}
		})
	}
}

func common(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func mount(t *testing.T, dir, fstype, source, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Run(t.Context(), "mount", "-t", fstype, "-o", options, source, dir); err != nil {
		if os.Getenv("FIRSTLIGHT_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip("no such mount here: ", err)
	}
	t.Cleanup(func() {
		if _, err := host.Run(context.Background(), "umount", dir); err != nil {
			t.Error(err)
		}
	})
}

// prepare copies what the image is made of: parts of a kernel, a program for
// /init, files.
func prepare(t *testing.T, s surroundings, root, release string) {
	t.Helper()
	modules := filepath.Join("lib/modules", release)
	var names []string
	for _, p := range []string{"kernel/fs/ext4", "kernel/fs/jbd2", "kernel/fs/mbcache.ko", "kernel/lib", "kernel/crypto", "kernel/arch", "kernel/drivers/virtio",
		"kernel/drivers/block", "kernel/drivers/md", "kernel/drivers/char"} {
		names = append(names, filepath.Join(modules, p))
	}
	indexes, err := filepath.Glob(filepath.Join(root, modules, "modules.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range indexes {
		names = append(names, filepath.Join(modules, filepath.Base(i)))
	}
	names = append(names, filepath.Join("boot", "config-"+release))
	if s.reverse {
		for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
			names[i], names[j] = names[j], names[i]
		}
	}
	system := filepath.Join(s.dir, "system")
	for _, n := range names {
		to := filepath.Join(system, n)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := host.Run(t.Context(), "cp", "-r", "--preserve=mode", filepath.Join(root, n), to); err != nil {
			t.Fatal(err)
		}
	}
	tree := map[string]string{"etc/some/b": "b", "etc/some/a": "a", "etc/some/Ä": "a", "etc/some/sub/c": "c"}
	for _, n := range []string{"etc/some/b", "etc/some/a", "etc/some/Ä", "etc/some/sub/c"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(system, n)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(system, n), []byte(tree[n]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := "features = [\"luks\"]\ncmdline = [\"root=/dev/vda1\"]\n[[file]]\nsource = \"/etc/some\"\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n"
	elf := make([]byte, 64) // the head of a static program
	copy(elf, "\x7fELF\x02\x01\x01")
	elf[16], elf[18], elf[20], elf[52], elf[54], elf[58] = 2, 62, 1, 64, 56, 64
	for n, b := range map[string][]byte{"target.toml": []byte(config), "init": elf} {
		if err := os.WriteFile(filepath.Join(s.dir, n), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(s.dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := unix.NsecToTimespec(s.date.UnixNano())
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func built(t *testing.T, s surroundings, release, spec, cache string) (image, document []byte) {
	t.Helper()
	argv := []string{"sh", "-c", `umask "$0"; exec "$@"`, s.umask, s.program, "build", "-q", "--kernel", release, "--sysroot", filepath.Join(s.dir, "system"),
		"--config", "target.toml", "--init", "init", "--output", "image", "--sbom", "document", cache}
	if spec != "" {
		argv = append(argv, "--compression", spec)
	}
	if _, err := (host.Cmd{Argv: argv, Dir: s.dir, Env: s.env}).Run(t.Context()); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", strings.Join(s.env, " "), err))
	}
	var out [2][]byte
	for i, name := range []string{"image", "document"} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[i] = b
	}
	return out[0], out[1]
}
