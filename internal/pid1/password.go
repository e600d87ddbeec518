package pid1

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"firstlight/internal/fmt"
)

// maxPasswordMemory bounds what a password's hash may ask for, in KiB.
const maxPasswordMemory = 1 << 20

// checkPassword compares a password with its hash: that of crypt(5) with
// SHA-512, "$6$SALT$HASH", as `openssl passwd -6` prints it, or Argon2id in the
// PHC string format, "$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH" (unpadded
// base64). Anything else denies.
func checkPassword(hash string, password []byte) bool {
	if strings.HasPrefix(hash, shaPrefix) {
		got := shaCrypt(hash, password)
		return got != "" && subtle.ConstantTimeCompare([]byte(got), []byte(hash)) == 1
	}
	f := strings.Split(hash, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false
	}
	memory, time, threads, ok := argonCost(f[3])
	if !ok {
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

// argonCost reads "m=65536,t=3,p=4": the memory in KiB, the passes over it
// and the lanes.
func argonCost(s string) (memory, time uint32, threads uint8, ok bool) {
	f := strings.Split(s, ",")
	if len(f) != 3 {
		return 0, 0, 0, false
	}
	var n [3]uint64
	for i, key := range [...]string{"m=", "t=", "p="} {
		value, found := strings.CutPrefix(f[i], key)
		bits := [...]int{32, 32, 8}[i]
		v, err := strconv.ParseUint(value, 10, bits)
		if !found || err != nil {
			return 0, 0, 0, false
		}
		n[i] = v
	}
	return uint32(n[0]), uint32(n[1]), uint8(n[2]), true
}
