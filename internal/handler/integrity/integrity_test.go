package integrity

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/ueventd"
)

// device begins with a superblock for 1000 sectors.
func device(name string, flags uint32) handlertest.Disk {
	b := make([]byte, 1<<20)
	copy(b, "integrt\x00\x05\x0f")
	binary.LittleEndian.PutUint16(b[10:], 4)
	binary.LittleEndian.PutUint64(b[16:], 1000)
	binary.LittleEndian.PutUint32(b[24:], flags)
	b[28] = 3
	return handlertest.Disk{Name: name, Content: bytes.NewReader(b), Size: 1 << 20}
}

func boot(t *testing.T, table string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, "root=/dev/mapper/i", handler.Image{Full: true, Features: []string{"integrity"}}, func(w *handler.World) func() {
		h := New(w)
		return h.Start
	})
	b.Machine.Files["/etc/integritytab"], b.Machine.Files["/k"] = table, "key"
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	// The file was not there when the boot began.
	b.World().Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	b.Run()
	return b
}

func TestDeviceIsSetUpWhenNothingIsResumed(t *testing.T) {
	b := boot(t, "i /dev/sda /k integrity-algorithm=hmac-sha256,journal-watermark=40%\n")
	b.World().ResumeSettled = false
	b.Add(device("sda", 0))
	if f := b.Fact("integrity device"); f.Condition != goal.Incomplete || len(b.Machine.DM.Tables) != 0 || !strings.Contains(f.Text, "nothing is resumed") {
		t.Fatalf("%+v, %v", f, b.Machine.DM.Tables)
	}
	b.World().ResumeSettled = true
	b.World().Sched.Notify(handler.TopicResumeSettled)
	b.Run()
	got := b.Machine.DM.Tables["i"]
	if len(got) != 1 || got[0].Length != 1000 || !got[0].Secret || b.Machine.DM.UUIDs["i"] != "CRYPT-INTEGRITY-i" {
		t.Errorf("%v, %s", got, b.Machine.DM.UUIDs["i"])
	}
	if f := b.Fact("integrity device"); f.Text != "" {
		t.Errorf("%+v", f)
	}
}

func TestTableWithoutKey(t *testing.T) {
	b := boot(t, "i /dev/sda - mode=bitmap,allow-discards\n")
	b.World().ResumeSettled = true
	b.Add(device("sda", 2))
	if got := b.Machine.DM.Tables["i"]; len(got) != 1 || !strings.HasSuffix(got[0].String(), " 0 4 B 4 block_size:4096 recalculate allow_discards internal_hash:crc32c") {
		t.Errorf("%v", got)
	}
}

func TestWhatCannotBeSetUpIsExplained(t *testing.T) {
	for table, want := range map[string]string{
		"i /dev/sda /gone integrity-algorithm=hmac-sha256\n": "key file /gone",
		"i /dev/sda\n": "flags 0x1",
	} {
		b := boot(t, table)
		b.World().ResumeSettled = true
		flags := uint32(0)
		if strings.HasPrefix(want, "flags") {
			flags = 1
		}
		b.Add(device("sda", flags))
		if f := b.Fact("integrity device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, want) {
			t.Errorf("%+v, want %s", f, want)
		}
		if len(b.Machine.DM.Tables) != 0 {
			t.Errorf("%v", b.Machine.DM.Tables)
		}
	}
}
