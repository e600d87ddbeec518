package overlay

import (
	"strings"
	"testing"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
)

func TestEncryptedChangesThatAreAskedFor(t *testing.T) {
	vdb := devspec.Spec{Kind: devspec.Path, Value: "/dev/vdb"}
	for value, want := range map[string]struct {
		o bootcmd.Overlay
		s secret
	}{
		"crypt:dev=/dev/vdb": {bootcmd.Overlay{Kind: bootcmd.OverlayMedia, By: "x", Device: vdb, Recurse: true}, secret{name: "secure", fstype: "ext4"}},
		"crypt:mapname=m,pass=foo,fstype=ext3,mkfs=1,dev=/dev/vdb,timeout=120,recurse=0,swap=1,dir=a": {
			bootcmd.Overlay{Kind: bootcmd.OverlayMedia, By: "x", Device: vdb, Swap: true, Dir: "/a", Timeout: 2 * time.Minute}, secret{name: "m", pass: "foo", fstype: "ext3", mkfs: "1"}},
	} {
		o, s, why := read("x", value)
		if why != "" || o != want.o || s == nil || *s != want.s {
			t.Errorf("%s: %+v, %+v, %s", value, o, s, why)
		}
	}
	for _, value := range []string{"crypt", "crypt:", "crypt:pass=a", "crypt:dev=/dev/vdb,mkfs=3", "crypt:dev=/dev/vdb,fstype=xfs", "crypt:dev=/dev/vdb,mapname=a/b",
		"crypt:dev=/dev/vdb,mapname=-v", "crypt:dev=/dev/vdb,nonsense=1", "tmpfs\" ro", "nonsense"} {
		if _, _, why := read("x", value); why == "" {
			t.Errorf("%s is taken", value)
		}
	}
	o, s, why := readDracut("vdb,mapname=m,mkfs=0,timeout=3")
	if want := (secret{name: "m", fstype: "ext4", mkfs: "0", ask: true}); why != "" || *s != want || o.Kind != bootcmd.OverlayRun || o.Device != vdb || o.Timeout != 3*time.Second {
		t.Errorf("%+v, %+v, %s", o, s, why)
	}
	for _, value := range []string{"", "vdb,pass=x", "vdb,mkfs=2", "LABEL="} {
		if _, _, why := readDracut(value); why == "" {
			t.Errorf("%q is taken", value)
		}
	}
}

// Whatever is asked for: a password is in no reason, and the device is one.
func FuzzAsked(f *testing.F) {
	f.Add("crypt:dev=/dev/vdb,pass=secret-word,mkfs=1")
	f.Fuzz(func(t *testing.T, text string) {
		readDracut(text)
		o, s, why := read("x", text)
		if why == "" && s != nil && (!o.Device.IsDevice() || o.Kind != bootcmd.OverlayMedia) {
			t.Errorf("%q: %+v", text, o)
		}
		if s != nil && len(s.pass) > 8 && strings.Contains(why, s.pass) {
			t.Errorf("%q: %s", text, why)
		}
	})
}
