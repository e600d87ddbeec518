package luks

import (
	"bytes"
	"strings"
	"testing"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
)

func bootFull(t *testing.T, crypttab string, features ...string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, "root=/dev/mapper/p", handler.Image{Full: true, Crypttab: crypttab, Features: features},
		func(w *handler.World) func() { return NewFull(w).Start })
	b.Machine.Files["/k"] = strings.Repeat("0123456789abcdef", 4)
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

func TestPlainVolumeWithAKeyFile(t *testing.T) {
	b := bootFull(t, "p /dev/sda /k plain,cipher=aes-xts-plain64,size=512,offset=8,skip=3,sector-size=4096,discard,check=true\n")
	b.Add(handlertest.Disk{Name: "sda"})
	want := "0 2040 crypt aes-xts-plain64 (hidden) 3 8:1 8 2 allow_discards sector_size:4096"
	got := b.Machine.DM.Tables["p"]
	if len(got) != 1 || got[0].String() != want || b.Machine.DM.UUIDs["p"] != "CRYPT-PLAIN-p" {
		t.Errorf("%v, want %s; uuid %s", got, want, b.Machine.DM.UUIDs["p"])
	}
}

// A key on the bytes of a device, named like a file, is waited for.
func TestPlainVolumeWithAKeyOnADevice(t *testing.T) {
	b := bootFull(t, "p /dev/sda /dev/sdb plain,cipher=aes-xts-plain64,size=256,keyfile-offset=512,check=true\n")
	b.Add(handlertest.Disk{Name: "sda"})
	if f := b.Fact("encrypted device"); f.Condition != goal.Incomplete || !strings.Contains(f.Text, "its key is on /dev/sdb") {
		t.Errorf("%+v", f)
	}
	b.Add(handlertest.Disk{Name: "sdb", Content: bytes.NewReader(bytes.Repeat([]byte("k"), 1<<20))})
	if len(b.Machine.DM.Tables["p"]) != 1 {
		t.Errorf("not opened: %+v", b.Fact("encrypted device"))
	}
}

func TestPlainVolumeThatIsSomethingElseIsLeftAlone(t *testing.T) {
	swap := make([]byte, 1<<20)
	copy(swap[4086:], "SWAPSPACE2")
	swap[1024] = 1
	swap[1028] = 255
	b := bootFull(t, "p /dev/sda /k plain,cipher=aes-xts-plain64,size=512,check=true\n")
	b.Add(handlertest.Disk{Name: "sda", Content: bytes.NewReader(swap)})
	if f := b.Fact("encrypted device"); len(b.Machine.DM.Tables) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, "it holds swap") {
		t.Errorf("%+v, %v", f, b.Machine.DM.Tables)
	}
}

func TestPlainVolumeWithoutItsCipherIsExplained(t *testing.T) {
	b := bootFull(t, "p /dev/sda /k plain\n")
	if f := b.Fact("encrypted device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "needs cipher= and size=") || !b.Said("needs cipher= and size=") {
		t.Errorf("%+v", f)
	}
}

// The small /init, and an image without the tool, say what is missing.
func TestTypesThatTheImageCannotOpen(t *testing.T) {
	b := bootFull(t, "v /dev/sda none tcrypt,initramfs\n")
	if !b.Said("needs the feature cryptsetup-tool in the image") {
		t.Error("nothing is said of the tool")
	}
	b = handlertest.New(t, "root=/dev/mapper/p", handler.Image{Crypttab: "p /dev/sda /k plain,cipher=aes-xts-plain64,size=512,initramfs\n"},
		func(w *handler.World) func() { return NewFull(w).Start })
	b.Add(handlertest.Disk{Name: "sda"})
	if !b.Said("needs the feature luks-plain in the image") || len(b.Machine.DM.Tables) != 0 {
		t.Errorf("%v", b.Machine.DM.Tables)
	}
}

func TestVolumesForTheRealSystemAreLeftToIt(t *testing.T) {
	b := bootFull(t, "a /dev/sda /dev/urandom swap,cipher=aes-xts-plain64,size=512\nb /dev/sda /dev/random plain,cipher=aes-xts-plain64,size=512\n"+
		"c /dev/sda /k plain,tmp,cipher=aes-xts-plain64,size=512\nd /dev/sda /k plain,noauto,cipher=aes-xts-plain64,size=512\n")
	b.Add(handlertest.Disk{Name: "sda"})
	if len(b.Machine.DM.Tables) != 0 {
		t.Errorf("%v", b.Machine.DM.Tables)
	}
}
