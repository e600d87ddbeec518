package check

import (
	"errors"
	"testing"

	"firstlight/internal/handler/all"
	"firstlight/internal/image"
	"firstlight/internal/snapshot"
)

// Whatever an image holds, it is refused or judged.
func FuzzImage(f *testing.F) {
	header := func(name string, mode, size string) string {
		hex := func(n int) string {
			const digits = "0123456789abcdef"
			out := make([]byte, 8)
			for i := 7; i >= 0; i-- {
				out[i], n = digits[n&15], n>>4
			}
			return string(out)
		}
		h := "070701" + "00000001" + mode + "00000000" + "00000000" + "00000001" + "00000000" + size +
			"00000000" + "00000000" + "00000000" + "00000000" + hex(len(name)+1) + "00000000" + name + "\x00"
		for len(h)%4 != 0 {
			h += "\x00"
		}
		return h
	}
	end := header("TRAILER!!!", "00000000", "00000000")
	f.Add([]byte(end))
	f.Add([]byte(header("init", "0000a1ff", "00000004") + "init" + header("etc/firstlight/image", "000081a4", "00000008") + "kernel=6" + end))
	f.Add([]byte(header("a", "0000a1ff", "00000001") + "b\x00\x00\x00" + header("b", "0000a1ff", "00000001") + "a\x00\x00\x00" + header("a/init", "000081ed", "00000004") + "\x7fELF" + end))
	s := &snapshot.Snapshot{Kernel: "6", Sys: snapshot.NewTree()}
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := Open(b)
		if err != nil {
			if !errors.Is(err, image.ErrImage) {
				t.Errorf("%v does not say that it is no image", err)
			}
			return
		}
		if r := Run(im, s, Config{Cmdline: "root=/dev/vda", Handlers: all.Handlers()}); r.Verdict == Boots {
			t.Errorf("it boots a machine without disks: %+v", r)
		}
	})
}
