package argon2

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

// clock is one that says how long each trial took.
func clock(t *testing.T, took ...time.Duration) func() time.Duration {
	var at time.Duration
	begun := false
	return func() time.Duration {
		if begun {
			if len(took) == 0 {
				t.Fatal("more trials than expected")
			}
			at += took[0]
			took = took[1:]
		}
		begun = !begun
		return at
	}
}

func TestTheQuickerFormIsChosen(t *testing.T) {
	for _, c := range []struct {
		name string
		took []time.Duration
		own  bool
	}{
		{"vectors are quicker", []time.Duration{90, 60, 61, 100, 101, 99}, false},
		{"vectors are emulated", []time.Duration{900, 400, 410, 300, 200, 210}, true},
		{"hardly a difference", []time.Duration{100, 100, 100, 80, 80, 76}, false},
		{"a trial is disturbed", []time.Duration{900, 60, 800, 100, 90, 95}, false},
		{"time stands still", []time.Duration{0, 0, 0, 0, 0, 0}, false},
	} {
		if got := quicker(clock(t, c.took...)); got != c.own {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestWhatIsCheapIsNotTried(t *testing.T) {
	Key(Argon2id, []byte("pass"), []byte("salt"), Cost{1, 64, 1}, 32, func() time.Duration {
		t.Error("the clock was read")
		return 0
	})
}

// TestOwnIsTheLibrarys derives the same keys in both forms.
func TestOwnIsTheLibrarys(t *testing.T) {
	pass, salt := []byte("a passphrase"), []byte("some salt of a slot")
	for _, kind := range []Type{Argon2i, Argon2id} {
		for _, c := range []Cost{{1, 8, 1}, {1, 1, 1}, {1, 64, 1}, {3, 64, 1}, {2, 100, 2}, {1, 257, 4}, {4, 1021, 3}, {1, 4096, 1}, {2, 2048, 4}, {1, 64, 255}, {1, 5000, 200}} {
			for _, size := range []uint32{1, 4, 32, 63, 64, 65, 96, 128, 1000} {
				if got, want := own(kind, pass, salt, c, size), library(kind, pass, salt, c, size); !bytes.Equal(got, want) {
					t.Fatalf("type %d, %+v, %d bytes: %x, the library has %x", kind, c, size, got, want)
				}
			}
		}
	}
}

// TestReference has what the reference program printed.
func TestReference(t *testing.T) {
	const want = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7" // argon2id, t=2, m=64 MiB, p=1
	slow := clock(t, 9, 9, 9, 1, 1, 1)
	if got := hex.EncodeToString(Key(Argon2id, []byte("password"), []byte("somesalt"), Cost{2, 1 << 16, 1}, 32, slow)); got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func FuzzOwn(f *testing.F) {
	f.Add([]byte("pass"), []byte("salt"), uint32(1), uint32(64), uint8(1), uint32(32), true)
	f.Add([]byte{}, []byte{}, uint32(3), uint32(300), uint8(7), uint32(65), false)
	f.Fuzz(func(t *testing.T, pass, salt []byte, passes, memory uint32, threads uint8, size uint32, id bool) {
		c := Cost{passes%4 + 1, memory % 4096, max(threads, 1)}
		kind := Argon2i
		if id {
			kind = Argon2id
		}
		size = size%200 + 1
		if got, want := own(kind, pass, salt, c, size), library(kind, pass, salt, c, size); !bytes.Equal(got, want) {
			t.Fatalf("type %d, %+v, %d bytes: %x, the library has %x", kind, c, size, got, want)
		}
	})
}

func BenchmarkForms(b *testing.B) {
	c := Cost{1, 1 << 16, 1}
	for name, form := range map[string]func(Type, []byte, []byte, Cost, uint32) []byte{"own": own, "library": library} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(c.Memory) << 10)
			for b.Loop() {
				form(Argon2id, nil, nil, c, 32)
			}
		})
	}
}
