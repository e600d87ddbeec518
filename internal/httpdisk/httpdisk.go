// Package httpdisk decides how a file of a web server is a disk of this machine that
// is read piece by piece: it is the core of the helper program httpdisk, which plays
// the server of the kernel's driver for network block devices.
//
// It reads no clock and opens no socket: requests, and what has come of the file,
// come in with their time, and what is to be done goes to an Edge. It never waits;
// Next is when it wants to be called again.
//
// It never writes, and it never puts a disk together from two versions of a file:
// where the server has another one, reading fails.
package httpdisk

import (
	"errors"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/fetch"
	"firstlight/internal/nbd/nbdserve"
	"firstlight/internal/netreport"
)

// What is kept, all of it taken at the beginning: none may be had while the kernel
// waits for this disk. The kernel keeps what it has read itself; this is for what
// comes before and after that in a piece.
const (
	// PieceSize is how much is asked for at a time, in bytes, Pieces how many are
	// kept.
	PieceSize = 256 << 10
	Pieces    = 32
	// Loads is how many are asked for at the same time, each over a connection of
	// its own.
	Loads = 4
	// maxRequest bounds a request of the kernel, in bytes; its own bound is 1.25 MiB.
	maxRequest = Pieces / 2 * PieceSize
	// maxWaiting bounds the requests that the kernel may have open: its queue has 128.
	maxWaiting = 4096
	// sector is the unit of the disk, in bytes.
	sector = 512
)

// Edge is what the core may ask for.
type Edge interface {
	// Load asks for a part of the file, which fills buf from its beginning on;
	// known is nil while nothing is known of the file. What comes of it comes back
	// by Loaded. buf may be written to until then.
	Load(piece int64, buf []byte, known *fetch.File)
	// Attach makes a device of size bytes, and returns its index.
	Attach(size uint64) (index int, err error)
	// Answer answers a request of the kernel. parts are the data of a read, which
	// are not changed before it returns.
	Answer(cookie uint64, code uint32, parts ...[]byte)
	// Say reports to the boot.
	Say(netreport.Report)
}

// state is what is in a slot of the memory.
type state uint8

const (
	empty   state = iota
	wanted        // to be asked for
	loading       // asked for
	present
)

// slot is room for a piece.
type slot struct {
	state state
	piece int64
	users int   // requests that wait for it
	used  int64 // when it was used last, in requests
	buf   []byte
}

// request is one of the kernel's that was begun.
type request struct {
	nbdserve.Request
	slots   []int
	missing int // pieces that have not come
	failed  bool
}

// Core is one disk. It is for one goroutine.
type Core struct {
	k     Edge
	t     Target
	now   time.Duration
	next  time.Duration
	tries int
	file  *fetch.File // nil while nothing is known of it
	index int         // of the device, below 0 while there is none

	slots   []slot
	begun   []*request
	waiting []nbdserve.Request
	count   int64 // of requests
	loads   int   // that are under way
	said    diskup.Said
}

// New prepares the core.
func New(k Edge, t Target) *Core {
	c := &Core{k: k, t: t, index: -1, next: diskup.Never, slots: make([]slot, Pieces)}
	memory := make([]byte, Pieces*PieceSize)
	for i := range c.slots {
		c.slots[i].buf = memory[i*PieceSize : (i+1)*PieceSize : (i+1)*PieceSize]
	}
	return c
}

// Next is when Deadline wants to be called.
func (c *Core) Next() time.Duration { return c.next }

// Device is the node of the device, "" while there is none.
func (c *Core) Device() string { return diskup.NBD(c.index) }

// Start asks for the beginning of the file, which says what it is.
func (c *Core) Start(now time.Duration) {
	c.now = now
	c.report("working", "is asked for", "")
	s := &c.slots[0]
	s.state, s.piece = wanted, 0
	c.load()
}

// Deadline is called at Next.
func (c *Core) Deadline(now time.Duration) {
	c.now = now
	if c.next > now {
		return
	}
	c.next = diskup.Never
	if c.index < 0 && c.file != nil {
		c.attach()
		return
	}
	c.load()
}

// load asks for what is wanted, as far as it may.
func (c *Core) load() {
	if c.next != diskup.Never {
		return // the server is given a pause
	}
	for i := range c.slots {
		s := &c.slots[i]
		if s.state == wanted && c.loads < Loads {
			s.state = loading
			c.loads++
			c.k.Load(s.piece, s.buf, c.file)
		}
	}
}

// Loaded takes in what came of a piece: the file that it is of, or what is wrong.
func (c *Core) Loaded(now time.Duration, piece int64, f fetch.File, err error) {
	c.now = now
	c.loads--
	at := c.find(piece)
	if at < 0 || c.slots[at].state != loading {
		return
	}
	s := &c.slots[at]
	if err == nil && c.file == nil {
		err = c.learn(f)
	}
	var changed *fetch.Changed
	switch {
	case err == nil:
		s.state = present
		if c.index >= 0 {
			c.tries = 0
			c.present()
		}
		c.came(at, false)
		if c.index < 0 {
			c.attach()
		}
	case c.file != nil && c.index >= 0 && errors.As(err, &changed):
		s.state = empty
		c.report("blocked", err.Error()+": reading from it fails (EIO)", "put the file back as it was, or boot anew")
		c.came(at, true)
	default:
		s.state = wanted
		c.failed(err)
	}
	c.begin()
	c.load()
}

// learn takes the file for the one that is read from now on.
func (c *Core) learn(f fetch.File) error {
	switch {
	case f.Size <= 0:
		return &fetch.Refusal{Text: "the file is empty", Try: "put a disk image there"}
	case f.Validator == "" && !c.t.Verified:
		return &fetch.Refusal{Text: "the server does not say which version of the file it has (neither ETag nor Last-Modified), so that a disk might be put together from two",
			Try: "let the server say it, or give a root hash (roothash=)"}
	}
	c.file = &f
	return nil
}

// attach makes the device.
func (c *Core) attach() {
	n, err := c.k.Attach(c.size())
	if err != nil {
		c.failed(err)
		return
	}
	c.index, c.tries = n, 0
	c.present()
}

// size is that of the disk in bytes: what is behind the file in its last sector is
// zero.
func (c *Core) size() uint64 { return (uint64(c.file.Size) + sector - 1) &^ (sector - 1) }

// find is the slot with a piece, -1 for none.
func (c *Core) find(piece int64) int {
	for i := range c.slots {
		if s := &c.slots[i]; s.state != empty && s.piece == piece {
			return i
		}
	}
	return -1
}

// Request takes in one of the kernel's.
func (c *Core) Request(now time.Duration, r nbdserve.Request) {
	c.now = now
	switch {
	case r.Command == nbdserve.CmdFlush:
		c.k.Answer(r.Cookie, nbdserve.OK)
	case r.Command != nbdserve.CmdRead:
		c.k.Answer(r.Cookie, nbdserve.ErrNotPermitted)
	case c.file == nil || r.Length == 0 || r.Length > maxRequest || r.Offset >= c.size() || uint64(r.Length) > c.size()-r.Offset || len(c.waiting) == maxWaiting:
		c.k.Answer(r.Cookie, nbdserve.ErrInvalid)
	default:
		c.waiting = append(c.waiting, r)
		c.begin()
		c.load()
	}
}

// begin begins with requests that wait, in their order, as far as there is room.
func (c *Core) begin() {
	for len(c.waiting) > 0 {
		r := c.waiting[0]
		slots, ok := c.reserve(int64(r.Offset/PieceSize), int64((r.Offset+uint64(r.Length)-1)/PieceSize))
		if !ok {
			return
		}
		c.waiting = c.waiting[1:]
		q := &request{Request: r, slots: slots}
		for _, i := range slots {
			if c.slots[i].state != present {
				q.missing++
			}
		}
		c.begun = append(c.begun, q)
		if q.missing == 0 {
			c.finish(q)
		}
	}
}

// reserve makes room for pieces, and keeps it for a request; ok is false when there
// is not enough.
func (c *Core) reserve(first, last int64) (slots []int, ok bool) {
	c.count++
	for p := first; p <= last; p++ {
		i := c.find(p)
		if i < 0 {
			if i = c.oldest(); i < 0 {
				for _, i := range slots {
					c.slots[i].users--
				}
				return nil, false
			}
			c.slots[i].state, c.slots[i].piece = wanted, p
		}
		c.slots[i].users++
		c.slots[i].used = c.count
		slots = append(slots, i)
	}
	return slots, true
}

// oldest is the slot that is not needed and was used the longest time ago, -1 for
// none.
func (c *Core) oldest() int {
	best := -1
	for i := range c.slots {
		s := &c.slots[i]
		if s.users > 0 || s.state == loading {
			continue
		}
		if s.state == empty {
			return i
		}
		if best < 0 || s.used < c.slots[best].used {
			best = i
		}
	}
	return best
}

// came tells the requests that wait for a piece that it is there, or will not be.
func (c *Core) came(at int, failed bool) {
	for _, q := range append([]*request(nil), c.begun...) {
		for _, i := range q.slots {
			if i == at {
				q.missing--
				q.failed = q.failed || failed
			}
		}
		if q.missing == 0 {
			c.finish(q)
		}
	}
}

// finish answers a request.
func (c *Core) finish(q *request) {
	for i, b := range c.begun {
		if b == q {
			c.begun = append(c.begun[:i], c.begun[i+1:]...)
			break
		}
	}
	if q.failed {
		c.k.Answer(q.Cookie, nbdserve.ErrIO)
	} else {
		parts, at, left := make([][]byte, 0, len(q.slots)), q.Offset%PieceSize, uint64(q.Length)
		for _, i := range q.slots {
			n := min(PieceSize-at, left)
			parts = append(parts, c.slots[i].buf[at:at+n])
			at, left = 0, left-n
		}
		c.k.Answer(q.Cookie, nbdserve.OK, parts...)
	}
	for _, i := range q.slots {
		c.slots[i].users--
	}
}

// present says that the disk is there.
func (c *Core) present() { c.report("there", "is "+c.Device(), "") }

// failed tries again after a while, and says why.
func (c *Core) failed(err error) {
	if c.next == diskup.Never {
		c.next = c.now + diskup.Pause(c.tries)
		c.tries++
	}
	condition, try := "incomplete", "look at the server; it is asked again by itself"
	if r := fetch.Final(err); r != nil {
		condition, try = "blocked", r.Try
	}
	c.report(condition, err.Error(), try)
}

// report says how things stand, once each.
func (c *Core) report(condition, text, try string) {
	c.said.Tell(c.k, diskup.Report("the disk "+c.t.URL.String(), condition, text, try).With("device", c.Device()))
}
