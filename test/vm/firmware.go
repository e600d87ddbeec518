package vm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
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

// Enroll adds a certificate, in DER, to the signature database ("db") of a file
// that FirmwareVariables has just made. Without a platform key the firmware
// verifies nothing by it; Linux reads it into its platform keyring all the same.
//
// The layout is EDK II's: a firmware volume (PI 1.7, vol. 3), in it the store of
// authenticated variables, whose records follow each other.
func Enroll(name string, cert []byte) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	le := binary.LittleEndian
	const storeHeader, recordHeader = 28, 60
	if len(b) < 72 || string(b[40:44]) != "_FVH" {
		return fmt.Errorf("firmware: %s is no firmware volume", name)
	}
	at := int(le.Uint16(b[48:])) + storeHeader
	list := guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072") // EFI_CERT_X509_GUID
	list = le.AppendUint32(list, uint32(28+16+len(cert)))
	list = le.AppendUint32(list, 0)
	list = le.AppendUint32(list, uint32(16+len(cert)))
	list = append(append(list, guid("6669726d-7761-4265-a000-000000000001")...), cert...)
	title := []byte("d\x00b\x00\x00\x00")
	const nonVolatile, boot, runtime, authenticated = 1, 2, 4, 0x20
	r := []byte{0xaa, 0x55, 0x3f, 0} // a valid record
	r = le.AppendUint32(r, nonVolatile|boot|runtime|authenticated)
	r = append(r, make([]byte, 8+16+4)...) // count, time and key of the last writing
	r = le.AppendUint32(r, uint32(len(title)))
	r = le.AppendUint32(r, uint32(len(list)))
	r = append(r, guid("d719b2cb-3d3a-4596-a3bc-dad00e67656f")...) // EFI_IMAGE_SECURITY_DATABASE_GUID
	r = append(append(r, title...), list...)
	if at+len(r) > len(b) || !bytes.Equal(b[at:at+len(r)], bytes.Repeat([]byte{0xff}, len(r))) {
		return fmt.Errorf("firmware: %s has no room, or variables already", name)
	}
	copy(b[at:], r)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	return nil
}

// guid is a GUID as UEFI writes it: the first three fields little-endian.
func guid(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil {
		panic(err)
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}
