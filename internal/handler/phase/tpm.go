package phase

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
)

// Numbers of TPM 2.0 Part 2, all of them big-endian.
const (
	tagSessions   = 0x8002     // TPM_ST_SESSIONS
	commandEvent  = 0x0000013c // TPM_CC_PCR_Event
	passwordOwner = 0x40000009 // TPM_RS_PW
	maxBanks      = 16         // more than there are algorithms
)

// eventCommand is TPM2_PCR_Event (Part 3, 22.3): the TPM hashes the text by the
// algorithm of each bank and extends the register in all of them.
func eventCommand(register uint32, text string) []byte {
	be := binary.BigEndian
	b := be.AppendUint16(nil, tagSessions)
	b = be.AppendUint32(b, 0) // length, below
	b = be.AppendUint32(b, commandEvent)
	b = be.AppendUint32(b, register)
	b = be.AppendUint32(b, 4+2+1+2) // the session: an empty password
	b = be.AppendUint32(b, passwordOwner)
	b = append(b, 0, 0, 0, 0, 0) // no nonce, no attributes, no password
	b = be.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	be.PutUint32(b[2:], uint32(len(b)))
	return b
}

// digest is what a bank's register was extended with.
type digest struct {
	bank  string // systemd's name: "sha256"
	value []byte
}

// algorithms are those of banks (TPM_ALG_ID), with the lengths of their digests.
var algorithms = [...]struct {
	id   uint16
	size int
	name string
}{{0x04, 20, "sha1"}, {0x0b, 32, "sha256"}, {0x0c, 48, "sha384"}, {0x0d, 64, "sha512"}, {0x12, 32, "sm3_256"},
	{0x27, 32, "sha3_256"}, {0x28, 48, "sha3_384"}, {0x29, 64, "sha3_512"}}

// parseAnswer reads what the TPM says to eventCommand: the digests of all banks.
func parseAnswer(b []byte) ([]digest, error) {
	be := binary.BigEndian
	if len(b) < 10 || uint64(be.Uint32(b[2:])) != uint64(len(b)) {
		return nil, errors.New("the TPM's answer is cut off")
	}
	if code := be.Uint32(b[6:]); code != 0 {
		return nil, errors.New("the TPM refuses with code 0x" + strconv.FormatUint(uint64(code), 16))
	}
	if len(b) < 18 || be.Uint32(b[14:]) > maxBanks {
		return nil, errors.New("the TPM's answer has no list of digests")
	}
	count := be.Uint32(b[14:])
	var out []digest
	for b = b[18:]; count > 0; count-- {
		size, name := 0, ""
		for _, a := range algorithms {
			if len(b) >= 2 && a.id == be.Uint16(b) {
				size, name = a.size, a.name
			}
		}
		if size == 0 || len(b) < 2+size {
			return nil, errors.New("the TPM's answer has a digest that is not valid")
		}
		out = append(out, digest{name, b[2 : 2+size]})
		b = b[2+size:]
	}
	if len(out) == 0 {
		return nil, errors.New("the TPM has no bank of registers that is in use")
	}
	return out, nil
}

// logFile is where systemd logs what it measures, so that the registers can be
// explained (systemd-pcrlock(8)): objects of the TCG's canonical event log in JSON,
// one a line, each behind a record separator (RFC 7464).
const logFile = "/run/log/systemd/tpm2-measure.log"

const maxLog = 1 << 20 // bytes

func appendLog(m machine.Machine, word string, digests []digest) error {
	old, err := m.ReadFile(logFile, maxLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id, err := m.ReadFile("/proc/sys/kernel/random/boot_id", 64)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	boot := strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
	return m.WriteFile(logFile, append(old, logRecord(word, digests, boot, m.Now().Microseconds())...), 0o600)
}

func logRecord(word string, digests []digest, boot string, usec int64) []byte {
	b := fmt.Appendf(nil, "\x1e{\"pcr\":%d,\"digests\":[", register)
	for i, d := range digests {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "{\"hashAlg\":\"%s\",\"digest\":\"%s\"}", d.bank, hex.EncodeToString(d.value))
	}
	return fmt.Appendf(b, "],\"content_type\":\"systemd\",\"content\":{\"string\":\"%s\",\"bootId\":\"%s\",\"timestamp\":%d,\"eventType\":\"phase\"}}\n", word, boot, usec)
}
