package overlayconf

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "none",
		"# overlayroot=tmpfs\n": "none",
		"overlayroot_cfgdisk=\"disabled\"\noverlayroot=\"\"\n": "",
		"overlayroot=\"tmpfs:swap=1,recurse=0\"\n":             "tmpfs:swap=1,recurse=0",
		" export overlayroot='disabled'; x=1":                  "disabled",
		"overlayroot=tmpfs # all\n":                            "tmpfs",
		"overlayroot=tmpfs\noverlayroot=device:dev=vdb;\n":     "device:dev=vdb",
		"overlayroot=\"open\n":                                 "none",
	} {
		got, ok := Parse(text)
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAPasswordIsLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"# x\noverlayroot=\"crypt:dev=vdb,pass=secret,mkfs=0\"\n": "overlayroot='crypt:dev=vdb,pass=hidden,mkfs=0'\n",
		"overlayroot=crypt:pass=secret,dev=vdb":                   "overlayroot='crypt:pass=hidden,dev=vdb'\n",
		"nothing":                                                 "",
	} {
		if got := WithoutPassword(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// What is kept of a file says what the file says, but for the password.
func FuzzParse(f *testing.F) {
	f.Add("overlayroot=\"tmpfs:swap=1\"\n")
	f.Add("overlayroot='crypt:dev=a,pass=b'")
	f.Fuzz(func(t *testing.T, text string) {
		value, ok := Parse(text)
		if strings.ContainsAny(value, "'\n") {
			return
		}
		again, still := Parse(WithoutPassword(text))
		if ok != still || !strings.Contains(value, "pass=") && value != again {
			t.Errorf("%q: %q, then %q", text, value, again)
		}
	})
}
