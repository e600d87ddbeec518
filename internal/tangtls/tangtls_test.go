package tangtls

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/clevis"
	"firstlight/internal/jose/josetest"
	"firstlight/internal/tanghelper"
)

// authority makes a certificate for 127.0.0.1 that stands for itself, in PEM too.
func authority(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tang"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// image is a directory with a certificate where an image has them.
func image(t *testing.T, pem []byte) string {
	t.Helper()
	root := t.TempDir()
	if pem == nil {
		return root
	}
	if err := os.MkdirAll(filepath.Join(root, Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, Dir, "own.crt"), pem, 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// tang serves the exchange of the tests' binding by TLS, and counts what it is asked.
func tang(t *testing.T, c tls.Certificate) (port int, asked func() []string) {
	t.Helper()
	keys, err := os.ReadFile("../clevis/testdata/server.json")
	if err != nil {
		t.Fatal(err)
	}
	s := josetest.Load(t, string(keys))
	l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var list []string
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				list = append(list, r.Method+" "+r.URL.Path)
				mu.Unlock()
				answer, ok := s.Recover(strings.TrimPrefix(r.URL.Path, "/rec/"), body)
				if !ok {
					fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), list...) }
}

// binding is the tests' binding with another URL. What it holds is sealed with the
// old one, so that it does not open in the end.
func binding(t *testing.T, port int) string {
	t.Helper()
	b, err := os.ReadFile("../clevis/testdata/tang.jwe")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(strings.TrimSpace(string(b)), ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(text, []byte(`"url":"`)) + len(`"url":"`)
	end := i + bytes.IndexByte(text[i:], '"')
	text = append(append(append([]byte(nil), text[:i]...), fmt.Sprintf("https://127.0.0.1:%d", port)...), text[end:]...)
	return base64.RawURLEncoding.EncodeToString(text) + "." + rest
}

// first is a writer that keeps what is written until it has seen how it ends.
type first struct {
	mu    sync.Mutex
	text  string
	ended chan string
}

func (f *first) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.text += string(b); strings.Contains(f.text, "failed ") {
		select {
		case f.ended <- f.text:
		default:
		}
	}
	return len(b), nil
}

func TestTangByTLS(t *testing.T) {
	own, pem := authority(t)
	_, other := authority(t)
	for _, c := range []struct {
		name, want string
		pem        []byte
		asked      int
	}{
		{"its authority is known", `the\x20key\x20does\x20not\x20open\x20it`, pem, 1},
		{"another authority", `unknown\x20authority`, other, 0},
		{"no authority", `no\x20certificates\x20of\x20authorities`, nil, 0},
	} {
		port, asked := tang(t, own)
		out := &first{ended: make(chan string, 1)}
		go tanghelper.Run(binding(t, port), out, Client(image(t, c.pem))) // it asks again and again
		select {
		case text := <-out.ended:
			if list := asked(); !strings.Contains(text, c.want) || len(list) != c.asked || len(list) == 1 && !strings.HasPrefix(list[0], "POST /rec/") {
				t.Errorf("%s: asked %q, said\n%s", c.name, list, text)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing came", c.name)
		}
	}
	// A program without TLS says which feature it takes.
	if err := tanghelper.Run(binding(t, 443), io.Discard, nil); err == nil || !strings.Contains(err.Error(), "clevis-tls") {
		t.Error(err)
	}
	if p, err := clevis.ParseTLS(binding(t, 443)); err != nil || p.Why != nil || len(p.Leaves()) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}
