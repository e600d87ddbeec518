package vm

import (
	"fmt"
	"os"
)

// Where Debian's package ovmf has a UEFI firmware, and the variables that it
// starts with.
const (
	firmwareCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	firmwareVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// storeBytes is the size of a machine's persistent store: eight records.
const storeBytes = 64 << 10

// FirmwareVariables makes the file for Machine.Firmware.
func FirmwareVariables(name string) error {
	b, err := os.ReadFile(firmwareVars)
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	return nil
}
