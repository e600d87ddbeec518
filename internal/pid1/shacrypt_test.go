package pid1

import (
	"os/exec"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// openssl computes the same; the lengths are those at which the algorithm
// takes other ways.
func TestShaCryptIsThatOfOpenSSL(t *testing.T) {
	testtool.Need(t, "openssl")
	for _, n := range []int{1, 2, 11, 63, 64, 65, 127, 128, 200} {
		for _, salt := range []string{"a", "firstlight", "0123456789abcdef", "rounds=1234$salt"} {
			password := strings.Repeat("pÄss word", 30)[:n]
			cmd := exec.Command(testtool.Path("openssl"), "passwd", "-6", "-salt", salt, "-stdin")
			cmd.Stdin = strings.NewReader(password + "\n")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("openssl passwd: %v", err)
			}
			hash := strings.TrimSpace(string(out))
			if !checkPassword(hash, []byte(password)) {
				t.Errorf("%d bytes, salt %s: %s, want %s", n, salt, shaCrypt(hash, []byte(password)), hash)
			}
			if checkPassword(hash, []byte(password+"x")) || checkPassword(hash, []byte(password[1:])) {
				t.Errorf("another password than the %d bytes is taken", n)
			}
		}
	}
}

func TestShaCryptDeniesWhatIsNotAHash(t *testing.T) {
	good := shaCrypt("$6$salt", []byte("x"))
	if !checkPassword(good, []byte("x")) {
		t.Fatalf("%q is refused", good)
	}
	for _, hash := range []string{"", "$6$", "$6$salt", "$6$salt$", good[:len(good)-1], good + "x", "$6$rounds=x$salt$" + good[8:],
		"$6$rounds=99999999999$salt$" + good[8:], "$6$rounds=10$salt$" + good[8:], "$6$" + strings.Repeat("s", 17) + "$" + good[8:], "$5" + good[2:], "$y" + good[2:]} {
		if checkPassword(hash, []byte("x")) {
			t.Errorf("%q lets in", hash)
		}
	}
}
