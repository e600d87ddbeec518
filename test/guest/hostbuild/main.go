// Hostbuild runs in a real Debian, from the disk of tools that is mounted where
// it lies: it does what a person does who tries Firstlight on an installed
// machine. It asks firstlight what the machine needs, builds an image for it,
// carries the image out on a disk of its own and powers the machine off.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"firstlight/test/guest/report"

	"golang.org/x/sys/unix"
)

// outDisk takes the image: its length in 8 bytes, big endian, then itself.
const outDisk = "/dev/disk/by-id/virtio-out"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hostbuild:", err)
	}
	exec.Command("systemctl", "poweroff", "--force").Run()
}

func run() (err error) {
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.Send(report.Message{Note: err.Error()})
		}
		w.Drain()
	}()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tools := filepath.Dir(self)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	// The installed kernel package, as far as its modules go.
	modules := "/lib/modules/" + release
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(filepath.Join(filepath.Dir(tools), "modules"), modules, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", modules, err)
	}
	firstlight := filepath.Join(tools, "firstlight")
	need, err := output(firstlight, "detect", "--json")
	if err != nil {
		return err
	}
	if err := w.SendBytes("detect.json", need); err != nil {
		return err
	}
	const image = "/run/firstlight-host.img"
	build := []string{firstlight, "build", "--kernel", release, "--host", "--no-cache", "--compression", "zstd:3", "--verbose", "--output", image}
	said, err := output(build...)
	if err != nil {
		return err
	}
	if err := w.SendBytes("build.log", said); err != nil {
		return err
	}
	foretold, err := output(firstlight, "check", "--json", image)
	if err != nil {
		return err
	}
	if err := w.SendBytes("check.json", foretold); err != nil {
		return err
	}
	if err := refused(image, build); err != nil {
		return err
	}
	if err := carry(image); err != nil {
		return err
	}
	// The boot that has just been can be looked into.
	boot, err := output(firstlight, "trace", "show")
	if err != nil {
		return err
	}
	if err := w.SendBytes("trace.txt", boot); err != nil {
		return err
	}
	return w.Send(report.Message{Note: "done"})
}

// output is what a program prints.
func output(argv ...string) ([]byte, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return out, nil
}

// refused builds an image that lacks the driver of the disks, which must not take
// the place of the one that is there, unless by force.
func refused(image string, build []string) error {
	good, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	config := image + ".toml"
	if err := os.WriteFile(config, []byte("omit_modules = [\"virtio_blk\"]\n"), 0o644); err != nil {
		return err
	}
	build = append(build, "--config", config)
	_, err = output(build...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(err.Error(), "no block device at all") {
		return fmt.Errorf("an image without the driver of the disks was to be refused, with the reason: %v", err)
	}
	if now, err := os.ReadFile(image); err != nil || !bytes.Equal(now, good) {
		return errors.Join(errors.New("an image that was refused has taken the place of the good one"), err)
	}
	if _, err := output(append(build, "--force")...); err != nil {
		return fmt.Errorf("by force: %w", err)
	}
	if now, err := os.ReadFile(image); err != nil || bytes.Equal(now, good) {
		return errors.Join(errors.New("not installed although forced"), err)
	}
	return os.WriteFile(image, good, 0o644)
}

func carry(image string) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(outDisk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(data))), data...)); err != nil {
		return err
	}
	return f.Sync()
}
