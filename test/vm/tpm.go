package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// tpmArgs connect the guest to the TPM whose socket is in dir.
func (m Machine) tpmArgs(dir string) []string {
	if m.TPM == "" {
		return nil
	}
	return []string{"-chardev", "socket,id=tpm,path=" + filepath.Join(dir, "tpm"), "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"}
}

// serveTPM starts the program that is the guest's TPM 2.0 (swtpm), until ctx ends or
// the machine does, and returns once it is there.
func (m Machine) serveTPM(ctx context.Context, dir string) error {
	if m.TPM == "" {
		return nil
	}
	if err := os.MkdirAll(m.TPM, 0o700); err != nil {
		return fmt.Errorf("TPM: %w", err)
	}
	socket := filepath.Join(dir, "tpm")
	cmd := exec.CommandContext(ctx, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+m.TPM, "--ctrl", "type=unixio,path="+socket, "--terminate")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("TPM: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("TPM: %w", errors.Join(errors.New("swtpm ended at once"), err))
		case <-time.After(10 * time.Millisecond): // it has no other sign that it is there
		}
	}
}
