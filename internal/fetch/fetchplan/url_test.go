package fetchplan

import (
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for _, c := range []struct{ text, shown, file string }{
		{"http://server/root.sfs", "http://server/root.sfs", "root.sfs"},
		{"HTTPS://u:p%40ss@Server:8443/a/b.iso?x=1#f", "https://server:8443/a/b.iso?x=1", "b.iso"},
		{"tftp://[fe80::1]:69/x", "tftp://[fe80::1]/x", "x"},
		{"http://server", "http://server/", "image"},
		{"http://server/%2e%2e", "http://server/%2e%2e", "image"},
		{"http://server/a%2fb;c.tar.zst", "http://server/a%2fb;c.tar.zst", "b_c.tar.zst"},
	} {
		u, err := ParseURL(c.text)
		if err != nil || u.String() != c.shown || u.File() != c.file {
			t.Errorf("%s: %s, %s, %v", c.text, u, u.File(), err)
		}
	}
	if u, _ := ParseURL("http://u:p%40ss@s/x"); u.User != "u" || u.Password != "p@ss" {
		t.Error(u.User, u.Password)
	}
	for _, bad := range []string{"", "root.sfs", "file:///etc/shadow", "http:///x", "http://a b/x", "http://s:0/x", "http://s:x/", "http://[::1/x", "http://s/a\nb", "http://u%0d%0a@s/x",
		"http://-s/x", "http://s/" + strings.Repeat("x", MaxURL)} {
		if u, err := ParseURL(bad); err == nil {
			t.Errorf("%q was taken: %s", bad, u)
		}
	}
}

func TestPlansComeBackAsTheyWere(t *testing.T) {
	p := Plan{URL: "https://u:p@s/x y", Into: "/run/x", Sum: "ab", Unverified: true, NoVerifyTLS: true, Proxy: "http://p:3128", Limit: 1 << 40}
	if got, err := ParsePlan(p.String()); err != nil || got != p {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParsePlan("fetch - url=x"); err == nil {
		t.Error("half a plan was taken")
	}
}

func FuzzURL(f *testing.F) {
	f.Add("http://u:p@server:80/a/b?c#d", "../x?y")
	f.Add("tftp://[::1]/x", "//h/y")
	f.Fuzz(func(t *testing.T, a, b string) {
		u, err := ParseURL(a)
		if err != nil {
			return
		}
		if strings.ContainsAny(u.File(), "/\x00\n") || u.File() == "" || u.File() == ".." || u.File()[0] == '.' {
			t.Errorf("%q is kept as %q", a, u.File())
		}
		again, err := ParseURL(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q is shown as %q, which is %q, %v", a, u, again, err)
		}
		if to, err := u.Resolve(b); err == nil {
			if strings.ContainsAny(to.Path+to.Host, " \r\n") || !strings.HasPrefix(to.Path, "/") {
				t.Errorf("%q leads to %q", b, to)
			}
		}
	})
}

func TestWhatLiesBesideAURL(t *testing.T) {
	for _, x := range []struct{ got, want string }{
		{Behind("http://s/a/root.img", ".sig"), "http://s/a/root.img.sig"},
		{Behind("http://s/root.img?token=a?b", ".sig"), "http://s/root.img.sig?token=a?b"},
		{Below("http://s/layout", "index.json"), "http://s/layout/index.json"},
		{Below("http://s/layout/", "index.json"), "http://s/layout/index.json"},
		{Below("/layout/?token=a", "blobs/sha256/x"), "/layout/blobs/sha256/x?token=a"},
	} {
		if x.got != x.want {
			t.Errorf("%s, want %s", x.got, x.want)
		}
	}
}
