package vm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Share is a directory of this machine that the guest can mount.
type Share struct {
	Tag, Dir string
	// Virtiofs is by that, otherwise it is 9p.
	Virtiofs bool
}

// virtiofsd is where Debian's QEMU has the program that serves one.
const virtiofsd = "/usr/lib/qemu/virtiofsd"

// shareArgs connect the guest to the directories. The sockets of virtiofs are in
// dir; it needs the guest's memory to be shared.
func shareArgs(shares []Share, dir string, memory int) (args []string) {
	shared := false
	for i, s := range shares {
		id := "share" + strconv.Itoa(i)
		if !s.Virtiofs {
			args = append(args, "-fsdev", "local,security_model=none,id="+id+",path="+s.Dir, "-device", "virtio-9p-pci,fsdev="+id+",mount_tag="+s.Tag)
			continue
		}
		if !shared {
			shared = true
			args = append(args, "-object", fmt.Sprintf("memory-backend-memfd,id=shared,size=%dM,share=on", memory), "-numa", "node,memdev=shared")
		}
		args = append(args, "-chardev", "socket,id="+id+",path="+filepath.Join(dir, id), "-device", "vhost-user-fs-pci,chardev="+id+",tag="+s.Tag)
	}
	return args
}

// serveShares starts what serves the guest's virtiofs, until ctx ends, and
// returns once it is there.
func serveShares(ctx context.Context, shares []Share, dir string) error {
	for i, s := range shares {
		if !s.Virtiofs {
			continue
		}
		socket := filepath.Join(dir, "share"+strconv.Itoa(i))
		cmd := exec.CommandContext(ctx, virtiofsd, "--socket-path="+socket, "-o", "source="+s.Dir, "-o", "sandbox=chroot")
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("virtiofs of %s: %w", s.Dir, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for there := false; !there; {
			if matches, _ := filepath.Glob(socket); len(matches) > 0 {
				there = true
				continue
			}
			select {
			case err := <-ended:
				return fmt.Errorf("virtiofs of %s: %w", s.Dir, errors.Join(errors.New("it ended at once"), err))
			case <-time.After(10 * time.Millisecond): // it has no other sign that it is there
			}
		}
	}
	return nil
}
