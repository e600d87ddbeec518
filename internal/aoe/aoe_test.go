package aoe

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
)

func TestNamesOfDisks(t *testing.T) {
	for text, want := range map[string]string{
		"e0.0": "e0.0 ", "etherd/e12.3": "e12.3 ", "/dev/etherd/e65534.254p12": "e65534.254 12",
		"": "", "e0": "", "e0.x": "", "e65535.0": "", "e0.255": "", "/dev/sda": "", "e0.0p": "", "e0.0p0": "", "e0.0p01": "", "0.0": "",
	} {
		d, part, ok := Parse(text)
		if got := d.String() + " " + part; ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

type edge struct {
	there bool
	err   error
	asked int
	log   []string
}

func (e *edge) Discover() error { e.asked++; return e.err }
func (e *edge) There(Disk) bool { return e.there }
func (e *edge) Say(r netreport.Report) {
	e.log = append(e.log, r.Get("condition")+" "+r.Get("device"))
}

func TestADiskIsAskedForUntilItIsThere(t *testing.T) {
	e := &edge{}
	s := New(e, Disk{})
	now, pauses := time.Duration(0), []time.Duration{}
	for range 7 {
		s.Step(now)
		s.Step(now) // too early
		pauses = append(pauses, s.Next()-now)
		now = s.Next()
	}
	if want := "[250ms 500ms 1s 2s 4s 4s 4s]"; fmt.Sprint(pauses) != want || e.asked != 7 {
		t.Errorf("%v, asked %d times", pauses, e.asked)
	}
	e.err = errors.New("no such file")
	s.Step(now)
	e.there = true
	s.Step(s.Next())
	if want := []string{"working ", "incomplete ", "blocked ", "there /dev/etherd/e0.0"}; !slices.Equal(e.log, want) || s.Next() != diskup.Never {
		t.Errorf("%q", e.log)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/dev/etherd/e0.0p1")
	f.Fuzz(func(t *testing.T, text string) {
		d, part, ok := Parse(text)
		if !ok {
			return
		}
		again := d.Node()
		if part != "" {
			again += "p" + part
		}
		if d2, part2, ok := Parse(again); !ok || d2 != d || part2 != part {
			t.Errorf("%q is %q, which is %v %q", text, again, d2, part2)
		}
	})
}
