package clevis

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/jose"
	"firstlight/internal/jose/josetest"
)

func read(t testing.TB, name string) string {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// answer asks the server with the keys of testdata for a pin.
func answer(t *testing.T, s *josetest.Server, p *Pin) error {
	t.Helper()
	x, err := p.Begin(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := s.Recover(p.KID, []byte(x.Ask()))
	if !ok {
		t.Fatalf("the server has no key %s", p.KID)
	}
	return p.Finish(x, b)
}

// What the field's own clevis has bound to its own tang is opened: the files were
// made by Debian's.
func TestOpensWhatClevisHasBound(t *testing.T) {
	s := josetest.Load(t, read(t, "server.json"))
	for name, want := range map[string]struct {
		plain  string
		leaves int
		needed int
	}{"tang.jwe": {"hunter2", 1, 1}, "sss.jwe": {"hunter3", 3, 2}, "nested.jwe": {"hunter4", 2, 2}} {
		p, err := Parse(read(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		leaves := p.Leaves()
		if len(leaves) != want.leaves {
			t.Errorf("%s: %d servers to ask", name, len(leaves))
		}
		// The last of three servers is away.
		for i, l := range leaves[:want.needed] {
			if got, err := p.Open(); got != nil || err != nil {
				t.Errorf("%s is open with %d of %d answers: %q, %v", name, i, want.needed, got, err)
			}
			if err := answer(t, s, l); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		got, err := p.Open()
		if err != nil || string(got) != want.plain {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		p.Wipe()
		if p.Done() {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestWrongAnswersOpenNothing(t *testing.T) {
	s := josetest.Load(t, read(t, "server.json"))
	p, err := Parse(read(t, "tang.jwe"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Begin(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// Another server has another key.
	if err := p.Finish(x, []byte(x.Ask())); !errors.Is(err, jose.ErrWrongKey) && !errors.Is(err, jose.ErrMalformed) || p.Done() {
		t.Errorf("its own question as an answer: %v", err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}`, strings.Replace(read(t, "adv"), "payload", "x", 1)} {
		if x, err = p.Begin(rand.Reader); err != nil {
			t.Fatal(err)
		}
		if err := p.Finish(x, []byte(bad)); err == nil || p.Done() {
			t.Errorf("%q opens it", bad)
		}
	}
	if err := answer(t, s, p); err != nil || !p.Done() {
		t.Errorf("the right one afterwards: %v", err)
	}
}

// The server never sees the same twice, nor what would give the secret away.
func TestEveryQuestionIsAnother(t *testing.T) {
	p, err := Parse(read(t, "tang.jwe"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{p.client.JSON(): true}
	for range 8 {
		x, err := p.Begin(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if seen[x.Ask()] {
			t.Error("a question comes twice")
		}
		seen[x.Ask()] = true
	}
}

func TestAdvertisementIsItsServers(t *testing.T) {
	adv := read(t, "adv")
	a, err := jose.ParseAdvertisement([]byte(adv))
	if err != nil || len(a.Keys) != 2 || len(a.Signed) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	p, err := Parse(read(t, "tang.jwe"))
	if err != nil {
		t.Fatal(err)
	}
	if !a.SameServer(p.Known) {
		t.Error("it is not known again")
	}
	if a.SameServer(nil) {
		t.Error("any server is the same")
	}
	// One letter of a signature, or of what is signed, less.
	i := strings.Index(adv, `"signature": "`)
	if i < 0 {
		t.Fatal(adv)
	}
	i += len(`"signature": "`) + 10
	other := byte('A')
	if adv[i] == other {
		other = 'B'
	}
	if _, err := jose.ParseAdvertisement([]byte(adv[:i] + string(other) + adv[i+1:])); err == nil {
		t.Error("a broken signature is right")
	}
}

func TestPinsThatCannotBeUsedSayWhy(t *testing.T) {
	text := josetest.Seal(`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"tpm2","tpm2":{}}}`)
	p, err := Parse(text)
	if err != nil || p.Why == nil || !strings.Contains(p.Why.Error(), "tpm2 is not supported") || p.Leaves() != nil {
		t.Errorf("%+v, %v", p, err)
	}
	for head, want := range map[string]string{
		`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":{"t":2,"p":"AA","jwe":["` + text + `"]}}}`: "2 of 1 pins",
		`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":{"t":0,"p":"AA","jwe":["` + text + `"]}}}`: "0 of 1 pins",
		`{"alg":"dir","enc":"A256GCM"}`:                                  "names none",
		`{"alg":"RSA-OAEP","enc":"A256GCM"}`:                             "RSA-OAEP",
		`{"alg":"dir","enc":"A128CBC-HS256"}`:                            "A128CBC",
		`{"alg":"dir","enc":"A256GCM","crit":["x"]}`:                     "crit",
		`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"a\u001b[2J"}}`:    "names none",
		`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":3}}`:   "0 of 0",
		`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"x","x":{}}`:       "",
		`{"alg":"dir","alg":"dir","enc":"A256GCM","clevis":{"pin":"x"}}`: "",
	} {
		if _, err := Parse(josetest.Seal(head)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", head, err, want)
		}
	}
	one := josetest.Seal(`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":{"t":1,"p":"AA","jwe":["` + text + `"]}}}`)
	if p, err := Parse(one); err != nil || p.Why == nil || !strings.Contains(p.Why.Error(), "tpm2") {
		t.Errorf("%+v, %v", p, err)
	}
	deep := text
	for range 6 {
		deep = josetest.Seal(`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":{"t":1,"p":"AA","jwe":["` + deep + `"]}}}`)
	}
	if _, err := Parse(deep); err == nil {
		t.Error("pins within pins without end are taken")
	}
}

func TestURLs(t *testing.T) {
	for s, want := range map[string]URL{
		"http://tang.local":            {false, "tang.local", "80", ""},
		"tang.local:7500":              {false, "tang.local", "7500", ""},
		"https://[2001:db8::1]/a/b/":   {true, "2001:db8::1", "443", "/a/b"},
		"HTTP://10.0.0.1:80/":          {false, "10.0.0.1", "80", ""},
		"":                             {},
		"ftp://x":                      {},
		"http://user@host":             {},
		"http://x:0":                   {},
		"http://x:70000":               {},
		"http://x/a b":                 {},
		"http://x/a?b":                 {},
		"http://x\r\nHost: y":          {},
		"http://[fe80::1%eth0]/":       {},
		"http://[::1":                  {},
		"file:///etc/shadow":           {},
		"http://x/\r\nX-Forwarded: 1/": {},
	} {
		u, err := ParseURL(s)
		if (err != nil) != (want == URL{}) || err == nil && u != want {
			t.Errorf("%q: %+v, %v", s, u, err)
		}
	}
}

func TestAnswersOfHTTP(t *testing.T) {
	for _, tt := range []struct {
		raw    string
		ended  bool
		status int
		body   string
		whole  bool
		bad    bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, 200, "{}", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", false, 200, "", false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", true, 0, "", false, true},
		{"HTTP/1.0 404 Not Found\r\n\r\nno", true, 404, "no", true, false},
		{"HTTP/1.0 404 Not Found\r\n\r\nno", false, 404, "no", false, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, 200, "", true, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", false, 200, "abc", true, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", false, 0, "", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", false, 0, "", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false, 0, "", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", false, 0, "", false, true},
		{"SSH-2.0-x\r\n\r\n", false, 0, "", false, true},
		{"HTTP/1.1 200", true, 0, "", false, true},
	} {
		a, whole, err := ParseAnswer([]byte(tt.raw), tt.ended)
		if (err != nil) != tt.bad || err == nil && (whole != tt.whole || whole && (a.Status != tt.status || string(a.Body) != tt.body)) {
			t.Errorf("%q: %+v, %v, %v", tt.raw, a, whole, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range []string{"tang.jwe", "sss.jwe", "nested.jwe"} {
		f.Add(read(f, n))
	}
	f.Add(josetest.Seal(`{"alg":"dir","enc":"A256GCM","clevis":{"pin":"sss","sss":{"t":1,"p":"AA","jwe":["x"]}}}`))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if n := len(p.Leaves()); n > maxPins {
			t.Errorf("%d servers to ask", n)
		}
		if plain, _ := p.Open(); plain != nil {
			t.Errorf("opened without a server: %q", plain)
		}
	})
}

func FuzzAdvertisement(f *testing.F) {
	f.Add([]byte(read(f, "adv")))
	f.Add([]byte(`{"payload":"e30","signatures":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := jose.ParseAdvertisement(b); err == nil && len(a.Signed) == 0 {
			t.Error("nobody has signed it")
		}
	})
}

// What a server answers is any bytes: nothing but the right point opens anything.
func FuzzFinish(f *testing.F) {
	f.Add([]byte(`{"alg":"ECMR","crv":"P-521","kty":"EC","x":"AA","y":"AA"}`))
	p, err := Parse(read(f, "tang.jwe"))
	if err != nil {
		f.Fatal(err)
	}
	x, err := p.Begin(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(x.Ask()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p.Finish(x, b) == nil || p.Done() {
			t.Errorf("%q opens it", b)
		}
	})
}

// What is asked for at a server is one line of one host, whatever the volume's header
// says.
func FuzzURL(f *testing.F) {
	f.Add("http://tang.example:8080/a/")
	f.Add("[fd00::1]:80")
	f.Add("http://a\r\nHost: b/")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			return
		}
		head, _, ok := strings.Cut(string(u.Request("/adv", "")), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		if !ok || len(strings.Fields(lines[0])) != 3 || strings.ContainsAny(strings.Join(lines, ""), "\r\n") || len(lines) > 5 {
			t.Errorf("%q asks\n%s", s, head)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, b []byte, ended bool) {
		a, whole, err := ParseAnswer(b, ended)
		if err == nil && ended && !whole {
			t.Error("it is neither whole nor broken")
		}
		if len(a.Body) > len(b) {
			t.Error("there is more than came")
		}
		if whole && !ended {
			again, w, err := ParseAnswer(b, true)
			if !w || err != nil || !bytes.Equal(again.Body, a.Body) && len(a.Body) > 0 && bytes.Contains(b, []byte("ength")) {
				t.Errorf("%q: then %q, %v, %v", a.Body, again.Body, w, err)
			}
		}
	})
}
