package pid1

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// maxPasswordMemory bounds what a password's hash may ask for, in KiB.
const maxPasswordMemory = 1 << 20

// checkPassword compares a password with its hash in the PHC string format,
// "$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH" (unpadded base64). Anything else
// denies.
func checkPassword(hash string, password []byte) bool {
	f := strings.Split(hash, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(f[4])
	want, err2 := base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || memory == 0 || memory > maxPasswordMemory || time == 0 || time > 64 || threads == 0 ||
		len(salt) < 8 || len(want) < 16 || len(want) > 128 {
		return false
	}
	got := argon2.IDKey(password, salt, time, memory, threads, uint32(len(want)))
	defer clear(got)
	return subtle.ConstantTimeCompare(got, want) == 1
}
