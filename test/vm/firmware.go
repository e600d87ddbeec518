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
func Enroll(name string, cert []byte) error { return enroll(name, cert, "db") }

// SecureBoot does the same and makes the certificate the platform key and the key
// exchange key too: the firmware starts nothing that its key has not signed.
func SecureBoot(name string, cert []byte) error { return enroll(name, cert, "db", "KEK", "PK") }

// enroll writes variables with a certificate in each.
//
// The layout is EDK II's: a firmware volume (PI 1.7, vol. 3), in it the store of
// authenticated variables, whose records follow each other at multiples of four
// bytes.
func enroll(name string, cert []byte, variables ...string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	const storeHeader = 28
	if len(b) < 72 || string(b[40:44]) != "_FVH" {
		return fmt.Errorf("firmware: %s is no firmware volume", name)
	}
	at := int(binary.LittleEndian.Uint16(b[48:])) + storeHeader
	for _, v := range variables {
		r := record(v, cert)
		if at+len(r) > len(b) || !bytes.Equal(b[at:at+len(r)], bytes.Repeat([]byte{0xff}, len(r))) {
			return fmt.Errorf("firmware: %s has no room, or variables already", name)
		}
		copy(b[at:], r)
		at += (len(r) + 3) &^ 3
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	return nil
}

// record is a variable with a list of one certificate, in DER.
func record(name string, cert []byte) []byte {
	le := binary.LittleEndian
	list := guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072") // EFI_CERT_X509_GUID
	list = le.AppendUint32(list, uint32(28+16+len(cert)))
	list = le.AppendUint32(list, 0)
	list = le.AppendUint32(list, uint32(16+len(cert)))
	list = append(append(list, guid("6669726d-7761-4265-a000-000000000001")...), cert...)
	vendor := "8be4df61-93ca-11d2-aa0d-00e098032b8c" // EFI_GLOBAL_VARIABLE
	if name == "db" {
		vendor = "d719b2cb-3d3a-4596-a3bc-dad00e67656f" // EFI_IMAGE_SECURITY_DATABASE_GUID
	}
	var title []byte
	for _, c := range []byte(name + "\x00") {
		title = append(title, c, 0)
	}
	const nonVolatile, boot, runtime, authenticated = 1, 2, 4, 0x20
	r := []byte{0xaa, 0x55, 0x3f, 0} // a valid record
	r = le.AppendUint32(r, nonVolatile|boot|runtime|authenticated)
	r = append(r, make([]byte, 8+16+4)...) // count, time and key of the last writing
	r = le.AppendUint32(r, uint32(len(title)))
	r = le.AppendUint32(r, uint32(len(list)))
	return append(append(append(r, guid(vendor)...), title...), list...)
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
