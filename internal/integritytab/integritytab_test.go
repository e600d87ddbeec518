package integritytab

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	list, problems := Parse("integritytab", `# name device key options
root PARTUUID=5f2b1e0c-0000-4000-8000-000000000001 - integrity-algorithm=sha256,mode=bitmap,allow-discards
data /dev/sda3
keyed /dev/sda4 /etc/keys/i.key integrity-algorithm=hmac-sha256,journal-watermark=40%,journal-commit-time=500ms,data-device=/dev/sdb1,wobble
`)
	if len(list) != 3 || len(problems) != 1 || !strings.Contains(problems[0], "integritytab:4: unknown option wobble") {
		t.Fatalf("%+v, %q", list, problems)
	}
	if e := list[0]; e.Algorithm != "sha256" || e.Mode != 'B' || !e.AllowDiscards || e.Keyed() {
		t.Errorf("%+v", e)
	}
	if e := list[1]; e.Algorithm != "crc32c" || e.Mode != 'J' {
		t.Errorf("%+v", e)
	}
	if e := list[2]; e.Algorithm != "hmac(sha256)" || e.Watermark != 40 || e.CommitTime != 500 || e.Data.String() != "/dev/sdb1" || !e.Keyed() {
		t.Errorf("%+v", e)
	}
	for _, bad := range []string{"root", "a/b /dev/sda1", "root nonsense", "root /dev/sda1 key", "root /dev/sda1 - mode=x", "root /dev/sda1 - journal-watermark=200",
		"root /dev/sda1 - integrity-algorithm=md5", "root /dev/sda1 - integrity-algorithm=hmac-sha256", "root /dev/sda1 /k crc32", "root /dev/sda1 - - -",
		"root /dev/sda1\nroot /dev/sda2"} {
		if list, problems := Parse("t", bad); len(problems) == 0 || len(list) > 1 {
			t.Errorf("%q: %+v", bad, list)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root /dev/sda1 /k integrity-algorithm=hmac-sha256,journal-commit-time=5,mode=direct")
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := Parse("t", text)
		for _, e := range list {
			if e.Name == "" || !e.Device.IsDevice() || e.Keyed() != (e.KeyFile != "") || strings.IndexByte("JBD", e.Mode) < 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
