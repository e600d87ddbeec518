package clevis

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// tangd is the field's own server, which answers one request on its standard input
// and output.
const tangd = "/usr/libexec/tangd"

// tangServer serves its keys over HTTP.
func tangServer(t *testing.T) (url, dir string) {
	dir = t.TempDir()
	if out, err := exec.Command("/usr/libexec/tangd-keygen", dir).CombinedOutput(); err != nil {
		if os.Getenv("FIRSTLIGHT_REQUIRE") != "" {
			t.Fatalf("tangd-keygen: %v: %s", err, out)
		}
		t.Skipf("tangd-keygen: %v: %s", err, out)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		cmd := exec.Command(tangd, dir)
		cmd.Stdin = strings.NewReader(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/jwk+json\r\nContent-Length: %d\r\n\r\n%s", r.Method, r.URL.Path, len(body), body))
		out, _ := cmd.Output()
		a, whole, err := ParseAnswer(out, true)
		if err != nil || !whole {
			w.WriteHeader(500)
			return
		}
		w.WriteHeader(a.Status)
		w.Write(a.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL, dir
}

// What Debian's clevis encrypts for Debian's tang in this moment is opened, over our
// own HTTP, also when the server has newer keys.
func TestAgainstTheFieldsOwnPrograms(t *testing.T) {
	testtool.Need(t, "clevis", "jose", "jq", "curl")
	if _, err := os.Stat(tangd); err != nil {
		testtool.Need(t, tangd)
	}
	one, dir := tangServer(t)
	two, _ := tangServer(t)
	for pin, config := range map[string]string{
		"tang": fmt.Sprintf(`{"url":%q}`, one),
		"sss":  fmt.Sprintf(`{"t":2,"pins":{"tang":[{"url":%q},{"url":%q}],"sss":{"t":1,"pins":{"tang":[{"url":%q}]}}}}`, one, two, two),
	} {
		cmd := exec.Command("clevis", "encrypt", pin, config, "-y")
		cmd.Stdin = strings.NewReader("correct horse " + pin)
		var failed bytes.Buffer
		cmd.Stderr = &failed
		sealed, err := cmd.Output()
		if err != nil {
			t.Fatalf("clevis encrypt %s: %v: %s", pin, err, failed.String())
		}
		if pin == "tang" { // its keys are rotated: the old ones are hidden, and still answer
			old, err := filepath.Glob(filepath.Join(dir, "*.jwk"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range old {
				if err := os.Rename(f, filepath.Join(dir, "."+filepath.Base(f))); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command("/usr/libexec/tangd-keygen", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		p, err := Parse(string(sealed))
		if err != nil {
			t.Fatal(err)
		}
		c := NewClient(p)
		var plain []byte
		ask, _ := c.Ask(0)
		for _, l := range ask {
			x, err := l.Begin(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			u, err := ParseURL(l.URL)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", net.JoinHostPort(u.Host, u.Port))
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(u.Request("/rec/"+l.KID, x.Ask()))
			raw, err := io.ReadAll(conn)
			conn.Close()
			if err != nil {
				t.Fatal(err)
			}
			a, _, err := ParseAnswer(raw, true)
			if err != nil || a.Status != 200 {
				t.Fatalf("%s: %d %s, %v", pin, a.Status, a.Body, err)
			}
			if err := l.Finish(x, a.Body); err != nil {
				t.Fatal(err)
			}
			if plain, err = c.Answered(l); err != nil {
				t.Fatal(err)
			}
			if plain != nil {
				break
			}
		}
		if string(plain) != "correct horse "+pin {
			t.Errorf("%s: %q", pin, plain)
		}
	}
}
