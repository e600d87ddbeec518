package httpdisk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/fetch"
	"firstlight/internal/nbd/nbdserve"
	"firstlight/internal/netreport"
)

// edge is a file on a server that a test answers for.
type edge struct {
	data    []byte
	version string
	asked   []load
	log     []string
	answers map[uint64][]byte
	codes   map[uint64]uint32
	size    uint64
	refuse  error
}

type load struct {
	piece int64
	buf   []byte
	known *fetch.File
}

func (e *edge) Load(piece int64, buf []byte, known *fetch.File) {
	e.asked = append(e.asked, load{piece, buf, known})
}
func (e *edge) Attach(size uint64) (int, error) { e.size = size; return 2, e.refuse }
func (e *edge) Answer(cookie uint64, code uint32, parts ...[]byte) {
	if _, again := e.codes[cookie]; again {
		panic("answered twice")
	}
	e.codes[cookie], e.answers[cookie] = code, bytes.Clone(slices.Concat(parts...))
}
func (e *edge) Say(r netreport.Report) { e.log = append(e.log, r.Get("condition")+": "+r.Get("text")) }

// take is the oldest that was asked for.
func (e *edge) take() load {
	l := e.asked[0]
	e.asked = e.asked[1:]
	return l
}

// serve answers the oldest as a server does.
func (e *edge) serve(c *Core, now time.Duration) {
	l := e.take()
	if l.known != nil && l.known.Validator != e.version {
		c.Loaded(now, l.piece, fetch.File{}, &fetch.Changed{Text: "another"})
		return
	}
	clear(l.buf[copy(l.buf, e.data[l.piece*PieceSize:]):])
	c.Loaded(now, l.piece, fetch.File{Size: int64(len(e.data)), Validator: e.version}, nil)
}

func newEdge(size int) *edge {
	e := &edge{data: make([]byte, size), version: `"a"`, answers: map[uint64][]byte{}, codes: map[uint64]uint32{}}
	rand.NewChaCha8([32]byte{byte(size)}).Read(e.data)
	return e
}

func target(t *testing.T, more string) Target {
	t.Helper()
	x, err := Parse("root - url=http://u:secret@10.0.0.1/disk.img" + more)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func read(cookie, offset uint64, n int) nbdserve.Request {
	return nbdserve.Request{Cookie: cookie, Offset: offset, Length: uint32(n)}
}

func TestAFileBecomesADisk(t *testing.T) {
	e := newEdge(3*PieceSize + 700)
	c := New(e, target(t, ""))
	c.Start(0)
	e.serve(c, 1)
	if e.size != 3*PieceSize+1024 || !slices.Equal(e.log, []string{"working: is asked for", "there: is /dev/nbd2"}) {
		t.Fatal(e.size, e.log)
	}
	c.Request(2, read(1, 512, 1024)) // is there already
	c.Request(2, read(2, PieceSize-512, 2*PieceSize))
	c.Request(2, read(3, 3*PieceSize+512, 512))
	if len(e.asked) != 3 || e.asked[0].piece != 1 {
		t.Fatal(e.asked)
	}
	for len(e.asked) > 0 {
		e.serve(c, 3)
	}
	whole := append(bytes.Clone(e.data), make([]byte, 324)...)
	for cookie, want := range map[uint64][]byte{1: whole[512:1536], 2: whole[PieceSize-512 : 3*PieceSize-512], 3: whole[3*PieceSize+512:]} {
		if e.codes[cookie] != nbdserve.OK || !bytes.Equal(e.answers[cookie], want) {
			t.Errorf("request %d: code %d, %d bytes", cookie, e.codes[cookie], len(e.answers[cookie]))
		}
	}
	c.Request(4, nbdserve.Request{Command: nbdserve.CmdFlush, Cookie: 4})
	c.Request(4, nbdserve.Request{Command: nbdserve.CmdWrite, Cookie: 5, Length: 512})
	c.Request(4, read(6, e.size, 512))
	c.Request(4, read(7, e.size-512, 1024))
	c.Request(4, read(8, 0, maxRequest+512))
	c.Request(4, read(9, 1<<63, 512))
	for cookie, want := range map[uint64]uint32{4: nbdserve.OK, 5: nbdserve.ErrNotPermitted, 6: nbdserve.ErrInvalid, 7: nbdserve.ErrInvalid, 8: nbdserve.ErrInvalid, 9: nbdserve.ErrInvalid} {
		if e.codes[cookie] != want {
			t.Errorf("request %d: %d, want %d", cookie, e.codes[cookie], want)
		}
	}
}

func TestAServerThatIsAwayIsWaitedFor(t *testing.T) {
	e := newEdge(8 * PieceSize)
	c := New(e, target(t, ""))
	c.Start(0)
	var pauses []time.Duration
	now := time.Duration(0)
	for range 7 {
		l := e.take()
		c.Loaded(now, l.piece, fetch.File{}, errors.New("does not answer"))
		pauses = append(pauses, c.Next()-now)
		now = c.Next()
		c.Deadline(now)
	}
	if want := "[250ms 500ms 1s 2s 4s 4s 4s]"; fmt.Sprint(pauses) != want {
		t.Errorf("%v, want %s", pauses, want)
	}
	e.serve(c, now)
	c.Request(now, read(1, PieceSize, 4*PieceSize))
	for range Loads {
		l := e.take()
		c.Loaded(now, l.piece, fetch.File{}, errors.New("does not answer"))
	}
	if len(e.asked) != 0 || len(e.codes) != 0 || c.Next() != now+diskup.Pause(0) {
		t.Fatal(e.asked, e.codes, c.Next())
	}
	c.Deadline(c.Next())
	for len(e.asked) > 0 {
		e.serve(c, now)
	}
	if !bytes.Equal(e.answers[1], e.data[PieceSize:5*PieceSize]) || e.log[len(e.log)-1] != "there: is /dev/nbd2" {
		t.Error(e.codes, e.log)
	}
}

func TestAChangedFileIsNotRead(t *testing.T) {
	e := newEdge(8 * PieceSize)
	c := New(e, target(t, ""))
	c.Start(0)
	e.serve(c, 0)
	old := e.version
	e.version = `"b"`
	c.Request(1, read(1, 0, 2*PieceSize))
	e.serve(c, 1)
	if e.codes[1] != nbdserve.ErrIO || len(e.answers[1]) != 0 || !strings.Contains(e.log[len(e.log)-1], "blocked: another: reading from it fails") {
		t.Fatal(e.codes, e.log)
	}
	e.version = old
	c.Request(2, read(2, 0, 2*PieceSize))
	e.serve(c, 2)
	if !bytes.Equal(e.answers[2], e.data[:2*PieceSize]) || e.log[len(e.log)-1] != "there: is /dev/nbd2" {
		t.Error(e.codes, e.log)
	}
}

func TestAFileWithoutAVersionNeedsARootHash(t *testing.T) {
	for _, c := range []struct {
		more, want string
	}{{"", "blocked: the server does not say which version"}, {" verified=yes", "there: is /dev/nbd2"}} {
		e := newEdge(PieceSize)
		e.version = ""
		x := New(e, target(t, c.more))
		x.Start(0)
		e.serve(x, 0)
		if got := e.log[len(e.log)-1]; !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Requests of all kinds over a file that is larger than what is kept, while the server
// fails: each is answered once, in the end, with what the file has there.
func TestManyRequests(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 3))
		e := newEdge(40*PieceSize + int(seed)*100)
		c := New(e, target(t, ""))
		now := time.Duration(0)
		c.Start(now)
		for c.Device() == "" {
			e.serve(c, now)
		}
		want := map[uint64][]byte{}
		whole := append(bytes.Clone(e.data), make([]byte, 512)...)
		for cookie := uint64(1); cookie < 200; {
			now += time.Duration(r.IntN(int(50 * time.Millisecond)))
			switch k := r.IntN(4); {
			case k < 2:
				n := uint64(1+r.IntN(2560)) * 512
				if r.IntN(20) == 0 {
					n = maxRequest
				}
				off := uint64(r.IntN(int(e.size-n)/512+1)) * 512
				want[cookie] = whole[off : off+n]
				c.Request(now, read(cookie, off, int(n)))
				cookie++
			case k == 2 && len(e.asked) > 0:
				i := r.IntN(len(e.asked))
				e.asked[0], e.asked[i] = e.asked[i], e.asked[0]
				if r.IntN(5) == 0 {
					l := e.take()
					c.Loaded(now, l.piece, fetch.File{}, errors.New("broken"))
				} else {
					e.serve(c, now)
				}
			case c.Next() <= now:
				c.Deadline(now)
			}
			if len(e.asked) > Loads {
				t.Fatalf("seed %d: %d are asked for at the same time", seed, len(e.asked))
			}
		}
		for len(e.asked) > 0 || c.Next() != diskup.Never {
			if len(e.asked) > 0 {
				e.serve(c, now)
			} else {
				now = c.Next()
				c.Deadline(now)
			}
		}
		for cookie, b := range want {
			if e.codes[cookie] != nbdserve.OK || !bytes.Equal(e.answers[cookie], b) {
				t.Fatalf("seed %d: request %d: code %d, %d bytes of %d", seed, cookie, e.codes[cookie], len(e.answers[cookie]), len(b))
			}
		}
		if len(e.answers) != len(want) {
			t.Fatalf("seed %d: %d answers to %d requests", seed, len(e.answers), len(want))
		}
	}
}

func TestNoSecretIsShown(t *testing.T) {
	e := newEdge(PieceSize)
	c := New(e, target(t, ""))
	c.Start(0)
	e.serve(c, 0)
	if strings.Contains(fmt.Sprint(e.log, c.said), "secret") {
		t.Error(c.said)
	}
	for _, bad := range []string{"", "root - n=1", "root - url=tftp://s/x", "root - url=http:///x", "root - url=http://s/x proxy=https://u:secret@p/", "disk - url=http://s/x"} {
		if x, err := Parse(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", bad, x, err)
		}
	}
}
