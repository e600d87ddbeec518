package pid1

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/testtool"
)

// below makes a directory that files may be written to.
func below(t *testing.T) string {
	t.Helper()
	testtool.Root(t)
	dir, err := os.MkdirTemp("/run", "firstlight-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestCopyFile(t *testing.T) {
	dir, root := below(t), t.TempDir()
	for _, size := range []int{0, 1, copyBlock - 1, copyBlock, 2*copyBlock + 17} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * i >> 9)
		}
		want := fmt.Sprintf("%x", sha256.Sum256(data))
		for _, how := range []int{0, machine.CopySum, machine.CopyGive, machine.CopySum | machine.CopyGive} {
			file := filepath.Join(root, "image")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(dir, "copy")
			sum, err := files{}.CopyFile(root, "/image", target, how)
			if err != nil {
				t.Fatalf("%d bytes, %d: %v", size, how, err)
			}
			if got, _ := os.ReadFile(target); !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %d: the copy differs", size, how)
			}
			if how&machine.CopySum != 0 && sum != want {
				t.Errorf("%d bytes, %d: sum %q", size, how, sum)
			}
			left, err := os.Stat(file)
			if err != nil || left.Size() == 0 != (size == 0 || how&machine.CopyGive != 0) {
				t.Errorf("%d bytes, %d: %d bytes of the file are left, %v", size, how, left.Size(), err)
			}
		}
	}
	if sum, err := (files{}).CopyFile(root, "image", "", machine.CopySum); err != nil || len(sum) != 64 {
		t.Errorf("only read: %q, %v", sum, err)
	}
	for _, target := range []string{"/etc/copy", "/dev/sda", "/dev/../etc/copy", "/run/../etc/copy", "copy"} {
		if _, err := (files{}).CopyFile(root, "image", target, 0); err == nil {
			t.Errorf("written to %s", target)
		}
	}
	if _, err := (files{}).CopyFile(root, "nowhere", dir+"/copy", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A copy that does not fit leaves nothing behind.
func TestCopyFileIntoTooLittle(t *testing.T) {
	dir, root := below(t), t.TempDir()
	if err := (mounts{}).Mount(machine.Mount{Source: "tmpfs", Target: dir, FSType: "tmpfs", Data: "size=1m"}); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { mounts{}.Unmount(dir, true) })
	if err := os.WriteFile(filepath.Join(root, "image"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (files{}).CopyFile(root, "image", dir+"/copy", 0); err == nil {
		t.Error("it fits")
	}
	if _, err := os.Stat(dir + "/copy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part of the copy is left: %v", err)
	}
}

func TestEmpty(t *testing.T) {
	dir := below(t)
	for _, f := range []string{"changes/a/b/c", "changes/d", "other/e"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../other", dir+"/changes/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := (files{}).Empty(dir + "/changes"); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir + "/changes"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(dir + "/other/e"); err != nil {
		t.Error("a link was followed")
	}
	if err := (files{}).Empty(dir + "/link"); err == nil {
		t.Error("a link counts as a directory")
	}
	if err := (files{}).Empty("/etc"); err == nil {
		t.Error("/etc would be emptied")
	}
	if err := (files{}).Empty(dir + "/nowhere"); err != nil {
		t.Error(err)
	}
}
