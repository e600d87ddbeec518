package main

import (
	"archive/tar"
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/test/signing"
)

// untar unpacks an archive that lies on a device. only and without are
// directories: what is unpacked is what lies below the one, with that prefix
// cut off, except what lies below the other. "" and "-" mean no limit.
func untar(device, dir, only, without string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	r := tar.NewReader(bufio.NewReaderSize(f, 1<<20))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("untar %s: %w", device, err)
		}
		name, ok := place(h.Name, only, without)
		if !ok {
			continue
		}
		link := h.Linkname
		if h.Typeflag == tar.TypeLink {
			if link, ok = place(link, only, without); !ok {
				return fmt.Errorf("untar %s: %s is a link to what is left out", device, h.Name)
			}
			link = filepath.Join(dir, link)
		}
		if err := unpack(r, h, filepath.Join(dir, name), link); err != nil {
			return fmt.Errorf("untar %s: %s: %w", device, h.Name, err)
		}
	}
}

func place(name, only, without string) (string, bool) {
	name = filepath.Clean("/" + name)
	if without != "" && without != "-" && strings.HasPrefix(name, "/"+without+"/") {
		return "", false
	}
	if only != "" && only != "-" {
		rest, ok := strings.CutPrefix(name, "/"+only+"/")
		return rest, ok
	}
	return name, true
}

func unpack(r io.Reader, h *tar.Header, path, link string) error {
	mode := os.FileMode(h.Mode & 0o777)
	switch h.Typeflag {
	case tar.TypeDir:
		if err := os.MkdirAll(path, mode); err != nil {
			return err
		}
	case tar.TypeReg:
		os.Remove(path) // a later archive replaces files of an earlier one
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, r); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	case tar.TypeLink:
		return os.Link(link, path)
	case tar.TypeSymlink:
		os.Remove(path)
		if err := os.Symlink(h.Linkname, path); err != nil {
			return err
		}
		return os.Lchown(path, h.Uid, h.Gid)
	default:
		return nil // device nodes: /dev is devtmpfs wherever this is booted
	}
	if err := os.Chown(path, h.Uid, h.Gid); err != nil {
		return err
	}
	// Chmod after chown, which clears set-user-id bits.
	if err := unix.Chmod(path, uint32(h.Mode&0o7777)); err != nil {
		return err
	}
	return os.Chtimes(path, h.ModTime, h.ModTime)
}

// poke writes bytes at an offset; a negative one counts from the end.
func poke(device, offset, data string) error {
	b, err := hex.DecodeString(data)
	if err != nil {
		return err
	}
	off, err := strconv.ParseInt(offset, 0, 64)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if off < 0 {
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		off += size
	}
	if _, err := f.WriteAt(b, off); err != nil {
		return err
	}
	return f.Sync()
}

// overwrite copies one file or device onto the start of another.
func overwrite(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	if err := dst.Sync(); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

// halves gives two partitions of a disk the first and the last 128 bits of a
// root hash as their UUIDs, as the Discoverable Partitions Specification has it.
func halves(disk, data, hash, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	root := strings.TrimSpace(string(b))
	if len(root) < 32 {
		return fmt.Errorf("%s: root hash %q", file, root)
	}
	for _, p := range []struct{ number, half string }{{data, root[:32]}, {hash, root[len(root)-32:]}} {
		h := p.half
		uuid := strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
		if out, err := exec.Command("sfdisk", "--part-uuid", disk, p.number, uuid).CombinedOutput(); err != nil {
			return fmt.Errorf("partition %s: %w: %s", p.number, err, out)
		}
	}
	return nil
}

// sign writes the signature of a root hash to a partition of the type verity-sig,
// as the Discoverable Partitions Specification has it.
func sign(device, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := signing.Partition(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// gone waits until the kernel has taken something out of sysfs, which it does
// without a word.
func gone(path string) error {
	for range 100 {
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s is still there", path)
}
