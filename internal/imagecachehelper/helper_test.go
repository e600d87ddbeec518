package imagecachehelper

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
	"firstlight/internal/fetchhelper"
	"firstlight/internal/imagecache"
	"firstlight/internal/netreport"
	"firstlight/internal/testtool"
)

// TestMain is the program that fetches where it was started as that.
func TestMain(m *testing.M) {
	if os.Getenv("IMAGECACHE_TEST_FETCH") != "" {
		text, _ := io.ReadAll(os.Stdin)
		h := fetchhelper.Helper{Say: func(r netreport.Report) { os.Stdout.WriteString(r.String() + "\n") }}
		h.Run(string(text))
		os.Exit(0)
	}
	os.Setenv("IMAGECACHE_TEST_FETCH", "1")
	os.Exit(m.Run())
}

// machine is one with a disk, and a server that has a file.
type machine struct {
	t    *testing.T
	root string
	disk string // the directory
	s    *httptest.Server
	plan fetchplan.Plan

	mu    sync.Mutex
	file  []byte
	tag   string
	sig   string
	cut   int // bytes after which the next answer breaks off, 0 for none
	asked []string
	last  netreport.Report
}

func content(seed byte) []byte {
	b := make([]byte, 3<<20+17)
	for i := range b {
		b[i] = byte(i*i>>7^i) + seed
	}
	return b
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, root: t.TempDir(), file: content(0), tag: `"1"`}
	m.disk = filepath.Join(m.root, imagecache.Dir, "images")
	if err := os.MkdirAll(filepath.Dir(m.disk), 0o755); err != nil {
		t.Fatal(err)
	}
	m.s = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.s.Close)
	m.plan = fetchplan.Plan{URL: m.s.URL + "/root.sfs", Into: imagecache.Dir + "/images/root.sfs", Sum: sumOf(m.file), Keep: &fetchplan.Keep{Disk: "/dev/vda1"}}
	return m
}

func (m *machine) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	file, tag, cut, sig := m.file, m.tag, m.cut, m.sig
	m.cut = 0
	m.asked = append(m.asked, r.URL.Path+" "+r.Header.Get("Range")+r.Header.Get("If-None-Match"))
	m.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, ".minisig") || strings.HasSuffix(r.URL.Path, ".asc") {
		io.WriteString(w, sig)
		return
	}
	w.Header().Set("ETag", tag)
	if cut > 0 {
		w.Header().Set("Content-Length", "3145745")
		w.Write(file[:cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

// boot runs the helper once.
func (m *machine) boot() (state string) {
	m.t.Helper()
	m.asked = nil
	h := Helper{Root: m.root, Fetch: "/proc/self/exe", Say: func(r netreport.Report) { m.last = r },
		disk: func() (free, all int64, err error) { return 50 << 20, 100 << 20, nil }} // the machine of the tests may be full
	if err := h.Run(m.plan.String()); err != nil {
		m.t.Fatal(err)
	}
	return m.last.State
}

func (m *machine) want(state string, file []byte) {
	m.t.Helper()
	if got := m.boot(); got != state {
		m.t.Fatalf("%s", m.last.String())
	}
	m.has(file)
}

// has compares what is kept.
func (m *machine) has(file []byte) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.disk, "root.sfs"))
	if !bytes.Equal(b, file) {
		m.t.Fatalf("%d bytes are kept, %v", len(b), err)
	}
}

func (m *machine) names() string {
	var list []string
	all, _ := os.ReadDir(m.disk)
	for _, e := range all {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestTheSecondBootNeedsNoServer(t *testing.T) {
	m := newMachine(t)
	m.plan.Keep.Offline = true
	m.want(fetchplan.StateAbsent, nil)
	m.plan.Keep.Offline = false
	m.want(fetchplan.StateFetched, m.file)
	if names := m.names(); names != "root.sfs root.sfs.kept" {
		t.Errorf("the directory has %s", names)
	}
	m.s.Close()
	m.want(fetchplan.StateFetched, m.file)
	if m.last.Get("kept") == "" || m.last.Get("by") != "rd.firstlight.sha256=" {
		t.Error(m.last)
	}
}

func TestADamagedImageIsFetchedAnew(t *testing.T) {
	m := newMachine(t)
	m.want(fetchplan.StateFetched, m.file)
	b := bytes.Clone(m.file)
	b[1<<20] ^= 1
	if err := os.WriteFile(filepath.Join(m.disk, "root.sfs"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	m.want(fetchplan.StateFetched, m.file)
	if len(m.asked) != 1 || m.last.Get("kept") != "" {
		t.Errorf("%q, %v", m.asked, m.last)
	}
}

// part is what a boot left that ended in the middle.
func (m *machine) part(b []byte, done int64, known string) {
	m.t.Helper()
	os.MkdirAll(m.disk, 0o755)
	r := imagecache.Record{URL: m.plan.URL, Known: known, Done: done}
	for name, text := range map[string]string{"root.sfs.part": string(b), "root.sfs.part.kept": r.String()} {
		if err := os.WriteFile(filepath.Join(m.disk, name), []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

func TestWhatCameBeforeAPowerCutIsGoneOnWith(t *testing.T) {
	for name, c := range map[string]struct {
		file  []byte
		known string
		asked string
	}{
		"as it came":            {content(0)[:2<<20], `"1"`, "/root.sfs bytes=1048576-"},
		"all of it":             {content(0), `"1"`, "/root.sfs bytes=1048576-"},
		"damaged":               {make([]byte, 2<<20), `"1"`, "/root.sfs bytes=1048576-, /root.sfs "},
		"of another file":       {make([]byte, 2<<20), `"0"`, "/root.sfs bytes=1048576-"},
		"shorter than was said": {content(0)[:4096], `"1"`, "/root.sfs bytes=4096-"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.part(c.file, 1<<20, c.known)
			m.want(fetchplan.StateFetched, m.file)
			if got := strings.Join(m.asked, ", "); got != c.asked {
				t.Errorf("the server was asked for %s, not %s", got, c.asked)
			}
			if names := m.names(); names != "root.sfs root.sfs.kept" {
				t.Errorf("the directory has %s", names)
			}
		})
	}
}

func TestANewerImageIsTakenOnlyWhereThatIsAsked(t *testing.T) {
	m := newMachine(t)
	m.plan.Sum, m.plan.Unverified = "", true
	old := m.file
	m.want(fetchplan.StateFetched, old)
	m.file, m.tag = content(7), `"2"`
	m.want(fetchplan.StateFetched, old)
	if len(m.asked) != 0 {
		t.Errorf("the server was asked %q", m.asked)
	}
	m.plan.Keep.Newer = 5
	m.want(fetchplan.StateFetched, m.file)
	m.want(fetchplan.StateFetched, m.file)
	if len(m.asked) != 1 || m.asked[0] != `/root.sfs "2"` || m.last.Get("kept") == "" {
		t.Errorf("%q, %v", m.asked, m.last)
	}
	// It is used without the server, and where that breaks off.
	newest := m.file
	m.file, m.tag, m.cut = content(9), `"3"`, 1<<20
	m.plan.Keep.Newer = 1
	slow := m.s.Config.Handler
	m.s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.cut == 0 {
			time.Sleep(3 * time.Second)
		}
		slow.ServeHTTP(w, r)
	})
	m.want(fetchplan.StateFetched, newest)
	m.s.Close()
	m.want(fetchplan.StateFetched, newest)
}

func TestAWrongImageIsNotKept(t *testing.T) {
	m := newMachine(t)
	m.plan.Sum = strings.Repeat("ab", 32)
	m.want(fetchplan.StateRefused, nil)
	if names := m.names(); names != "" {
		t.Errorf("the directory has %s", names)
	}
}

func TestNothingOfOthersIsOverwritten(t *testing.T) {
	for name, change := range map[string]func(m *machine) error{
		"a file of that name": func(m *machine) error { return os.WriteFile(filepath.Join(m.disk, "root.sfs"), []byte("mine"), 0o644) },
		"a link to elsewhere": func(m *machine) error { return os.Symlink("/etc/shadow", filepath.Join(m.disk, "root.sfs.part")) },
		"a second name": func(m *machine) error {
			mine := filepath.Join(m.disk, "mine")
			return os.WriteFile(mine, []byte("mine"), 0o644)
		},
		"a directory that is a link": func(m *machine) error {
			os.Remove(m.disk)
			os.Mkdir(filepath.Join(m.root, imagecache.Dir, "mine"), 0o755)
			return os.Symlink("mine", m.disk)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			os.MkdirAll(m.disk, 0o755)
			if err := change(m); err != nil {
				t.Fatal(err)
			}
			if name == "a second name" {
				if err := os.Link(filepath.Join(m.disk, "mine"), filepath.Join(m.disk, "root.sfs.part")); err != nil {
					t.Fatal(err)
				}
			}
			before := m.names()
			if m.boot() != fetchplan.StateRefused || m.names() != before || len(m.asked) != 0 {
				t.Errorf("%v, the directory has %s, the server was asked %q", m.last, m.names(), m.asked)
			}
		})
	}
}

func TestASignatureIsKeptToo(t *testing.T) {
	m := newMachine(t)
	m.plan.Sum = ""
	key := ed25519.NewKeyFromSeed([]byte("firstlight's key of test images."))
	const number = "\x01\x02\x03\x04\x05\x06\x07\x08"
	public := base64.StdEncoding.EncodeToString([]byte("Ed" + number + string(key.Public().(ed25519.PublicKey))))
	os.MkdirAll(m.root+fetch.Dir, 0o755)
	if err := os.WriteFile(m.root+fetch.Dir+"/a.pub", []byte(public+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	blake := fetch.NewBlake()
	blake.Write(m.file)
	sig := ed25519.Sign(key, blake.Sum())
	global := ed25519.Sign(key, append(bytes.Clone(sig), "c"...))
	m.sig = "untrusted comment: x\n" + base64.StdEncoding.EncodeToString([]byte("ED"+number+string(sig))) + "\ntrusted comment: c\n" + base64.StdEncoding.EncodeToString(global) + "\n"
	m.want(fetchplan.StateFetched, m.file)
	good := m.file
	m.s.Close()
	m.want(fetchplan.StateFetched, good)
	if m.last.Get("kept") == "" || !strings.HasPrefix(m.last.Get("by"), "a signature of the key 0807060504030201") {
		t.Error(m.last)
	}
	// A signature of another file does not hold.
	other := bytes.Clone(good)
	other[0] ^= 1
	os.WriteFile(filepath.Join(m.disk, "root.sfs"), other, 0o644)
	m.plan.Keep.Offline = true
	m.want(fetchplan.StateAbsent, other)
}

// gpgv of the machine says whether a signature of OpenPGP holds, of what came and of
// what is kept.
func TestASignatureOfOpenPGPIsKeptToo(t *testing.T) {
	testtool.Need(t, "gpg", "gpgv")
	m := newMachine(t)
	m.plan.Sum = ""
	home := t.TempDir()
	gpg := func(args ...string) {
		t.Helper()
		c := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	image := filepath.Join(home, "image")
	if err := os.WriteFile(image, m.file, 0o600); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(m.root+fetch.Dir, 0o755)
	os.MkdirAll(filepath.Dir(m.root+trustfiles.GPGV), 0o755)
	real, _ := exec.LookPath("gpgv")
	if err := os.Symlink(real, m.root+trustfiles.GPGV); err != nil {
		t.Fatal(err)
	}
	gpg("--quick-generate-key", "tests@example.org", "ed25519", "sign", "never")
	gpg("--output", m.root+fetch.Dir+"/a.gpg", "--export")
	gpg("--armor", "--output", image+".asc", "--detach-sign", image)
	b, err := os.ReadFile(image + ".asc")
	if err != nil {
		t.Fatal(err)
	}
	m.sig = string(b)
	m.want(fetchplan.StateFetched, m.file)
	good := m.file
	m.s.Close()
	m.want(fetchplan.StateFetched, good)
	if m.last.Get("kept") == "" || m.last.Get("by") != "a signature of OpenPGP" {
		t.Error(m.last)
	}
	other := bytes.Clone(good)
	other[0] ^= 1
	os.WriteFile(filepath.Join(m.disk, "root.sfs"), other, 0o644)
	m.plan.Keep.Offline = true
	m.want(fetchplan.StateAbsent, other)
}
