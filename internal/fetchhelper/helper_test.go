package fetchhelper

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/netreport"
)

// content is a file of a size that takes several reads.
func content() []byte {
	b := make([]byte, 3<<20+17)
	for i := range b {
		b[i] = byte(i*i>>7 ^ i)
	}
	return b
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// got is what a plan came to.
type got struct {
	reports []netreport.Report
	last    netreport.Report
	file    []byte
}

func (g got) count(state string) (n int) {
	for _, r := range g.reports {
		if r.State == state {
			n++
		}
	}
	return n
}

func get(t *testing.T, root string, p fetchplan.Plan) (g got) {
	t.Helper()
	p.Into = filepath.Join(t.TempDir(), "image")
	if p.Limit == 0 {
		p.Limit = 1 << 30
	}
	h := Helper{dialer: dialer{Root: root}, Say: func(r netreport.Report) { g.reports = append(g.reports, r) }}
	done := make(chan error, 1)
	go func() { done <- h.Run(p.String()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	g.last = g.reports[len(g.reports)-1]
	g.file, _ = os.ReadFile(p.Into)
	return g
}

func serve(t *testing.T, b []byte, tag string) *httptest.Server {
	s := httptest.NewServer(handler(b, tag))
	t.Cleanup(s.Close)
	return s
}

func handler(b []byte, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+tag+`"`)
		http.ServeContent(w, r, "root.sfs", time.Time{}, bytes.NewReader(b))
	}
}

func TestAnImageWithItsSum(t *testing.T) {
	b := content()
	s := serve(t, b, "v1")
	g := get(t, "", fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: sumOf(b)})
	if g.last.State != fetchplan.StateFetched || !bytes.Equal(g.file, b) || g.last.Get("sum") != sumOf(b) {
		t.Fatal(g.last)
	}
	g = get(t, "", fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: strings.Repeat("ab", 32)})
	if g.last.State != fetchplan.StateRefused || g.file != nil {
		t.Error("an image with another sum is left:", g.last)
	}
	if g = get(t, t.TempDir(), fetchplan.Plan{URL: s.URL + "/root.sfs"}); g.last.State != fetchplan.StateRefused || g.count(fetchplan.StateAsking) > 0 {
		t.Error("an image that nothing verifies is asked for:", g.last)
	}
	if g = get(t, "", fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: sumOf(b), Limit: 1 << 20}); g.last.State != fetchplan.StateRefused || g.count(fetchplan.StateProgress) > 0 {
		t.Error("an image that does not fit is fetched:", g.last)
	}
}

// The connection breaks again and again; what came is not asked for twice, and a
// file that is another one meanwhile is fetched anew.
func TestBreaks(t *testing.T) {
	b := content()
	changed := bytes.Clone(b)
	changed[5] ^= 1
	for name, c := range map[string]struct {
		second []byte
		tag    string
	}{"same": {b, "v1"}, "changed": {changed, "v2"}} {
		t.Run(name, func(t *testing.T) {
			n := 0
			var ranges []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n++
				ranges = append(ranges, r.Header.Get("Range"))
				if n == 1 {
					w.Header().Set("Content-Length", "3145745")
					w.Header().Set("ETag", `"v1"`)
					w.Write(b[:1<<20])
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
				handler(c.second, c.tag)(w, r)
			}))
			defer s.Close()
			g := get(t, "", fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: sumOf(c.second)})
			if g.last.State != fetchplan.StateFetched || !bytes.Equal(g.file, c.second) || n != 2 || ranges[1] != "bytes=1048576-" || g.count(fetchplan.StateTrouble) != 1 {
				t.Error(g.last, n, ranges)
			}
		})
	}
}

// A server that always sends everything, and breaks off earlier the second time.
func TestBreaksOfAServerWithoutRanges(t *testing.T) {
	b, n := content(), 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3145745")
		w.Header().Set("ETag", `"v1"`)
		n++
		if n < 3 {
			w.Write(b[:(3-n)<<20])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(b)
	}))
	defer s.Close()
	if g := get(t, "", fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: sumOf(b)}); g.last.State != fetchplan.StateFetched || n != 3 {
		t.Error(g.last, n)
	}
}

func TestRedirectionsAndProxies(t *testing.T) {
	b := content()
	s := serve(t, b, "v1")
	r := httptest.NewServer(http.RedirectHandler(s.URL+"/root.sfs", http.StatusFound))
	defer r.Close()
	if g := get(t, "", fetchplan.Plan{URL: r.URL + "/x", Sum: sumOf(b)}); g.last.State != fetchplan.StateFetched {
		t.Error(g.last)
	}
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI + " " + r.Header.Get("Proxy-Authorization")
		handler(b, "v1")(w, r)
	}))
	defer proxy.Close()
	if g := get(t, "", fetchplan.Plan{URL: "http://nowhere.invalid/root.sfs", Sum: sumOf(b), Proxy: strings.Replace(proxy.URL, "//", "//u:p@", 1)}); g.last.State != fetchplan.StateFetched || asked != "http://nowhere.invalid/root.sfs Basic dTpw" {
		t.Error(g.last, asked)
	}
}

func TestHTTPSWithTheAuthoritiesOfTheImage(t *testing.T) {
	b := content()
	s := httptest.NewTLSServer(handler(b, "v1"))
	defer s.Close()
	s.Config.ErrorLog = nil
	root := t.TempDir()
	plan := fetchplan.Plan{URL: s.URL + "/root.sfs", Sum: sumOf(b)}
	if g := get(t, root, plan); g.last.State != fetchplan.StateRefused || !strings.Contains(g.last.Get("text"), "certificates of authorities") {
		t.Error("a server that nobody knows is believed:", g.last)
	}
	insecure := plan
	insecure.NoVerifyTLS = true
	if g := get(t, root, insecure); g.last.State != fetchplan.StateFetched {
		t.Error(g.last)
	}
	write(t, root+fetch.Dir+"/ours.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if g := get(t, root, plan); g.last.State != fetchplan.StateFetched {
		t.Error(g.last)
	}
	// By a proxy that only connects.
	wrong := plan
	wrong.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/root.sfs"
	write(t, root+"/etc/hosts", []byte("127.0.0.1 localhost\n"))
	if g := get(t, root, wrong); g.last.State != fetchplan.StateRefused || !strings.Contains(g.last.Get("text"), "another name") {
		t.Error(g.last)
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What minisign itself signs is taken, and nothing else is.
func TestMinisignsOwnSignatures(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		if os.Getenv("FIRSTLIGHT_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, root, b := t.TempDir(), t.TempDir(), content()
	write(t, dir+"/root.sfs", b)
	for _, args := range [][]string{{"-G", "-W", "-p", dir + "/k.pub", "-s", dir + "/k.key"}, {"-S", "-H", "-s", dir + "/k.key", "-m", dir + "/root.sfs"}} {
		if out, err := exec.Command("minisign", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	public, err := os.ReadFile(dir + "/k.pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, root+fetch.Dir+"/k.pub", public)
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer s.Close()
	if g := get(t, root, fetchplan.Plan{URL: s.URL + "/root.sfs"}); g.last.State != fetchplan.StateFetched || !strings.Contains(g.last.Get("by"), "file:root.sfs") {
		t.Error(g.last)
	}
	b[1000] ^= 1
	write(t, dir+"/root.sfs", b)
	if g := get(t, root, fetchplan.Plan{URL: s.URL + "/root.sfs"}); g.last.State != fetchplan.StateRefused || g.file != nil {
		t.Error("an image that was changed after it was signed is taken:", g.last)
	}
}
