// Package nbd speaks the handshake of the network block device protocol
// (github.com/NetworkBlockDevice/nbd, doc/proto.md) over a connection that it is
// given, and says what the kernel has to know of the export. What comes after the
// handshake is the kernel's business; nothing is negotiated that its driver does
// not know (structured replies, extended headers, metadata contexts).
//
// It is pure: the connection is an io.ReadWriter. All numbers of the protocol are
// in network byte order.
package nbd

import (
	"encoding/binary"
	"errors"
	"io"

	"firstlight/internal/fmt"
)

// Port is the protocol's own, 10809.
const Port = 10809

// Magic numbers.
const (
	magicInit   = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption = 0x49484156454f5054 // "IHAVEOPT", also that of newstyle servers
	magicReply  = 0x0003e889045565a9
	magicOld    = 0x00420281861253
)

// Flags of the handshake.
const (
	flagFixed    = 1 << 0
	flagNoZeroes = 1 << 1
)

// Options that a client asks for.
const (
	optExportName = 1
	optAbort      = 2
	optList       = 3
	optStartTLS   = 5
	optGo         = 7
)

// Replies to options. Errors have the highest bit.
const (
	repAck    = 1
	repServer = 2
	repInfo   = 3
	repError  = 1 << 31
)

// Pieces of information in the reply to optGo.
const (
	infoExport    = 0
	infoName      = 1
	infoText      = 2
	infoBlockSize = 3
)

// Flags of an export.
const (
	FlagHas       = 1 << 0
	FlagReadOnly  = 1 << 1
	FlagFlush     = 1 << 2
	FlagFUA       = 1 << 3
	FlagMultiConn = 1 << 8 // several connections see each other's writes
)

// Bounds of what a server may send, in bytes, and of how many names are listed.
const (
	maxData   = 64 << 10
	maxName   = 4096
	maxListed = 64
)

// Info is what a server says of an export.
type Info struct {
	Size  uint64 // bytes
	Flags uint16 // Flag…
	// MinBlock and MaxBlock bound requests, in bytes; 0 where nothing is said.
	MinBlock, MaxBlock uint32
	Description        string
	// Secure: what was said since was encrypted.
	Secure bool
}

// BlockSize is the size of a block that the kernel is to use, in bytes: what the
// server can do with, at least 512. ok is false where the kernel cannot. What is
// left of the export behind its last whole block cannot be reached.
func (i Info) BlockSize() (size uint32, ok bool) {
	size = max(i.MinBlock, 512)
	return size, size <= 4096 && size&(size-1) == 0 && i.Size >= uint64(size)
}

// Same says whether another connection leads to what looks like the same export:
// one that is larger, smaller, or writable in another way, is not.
func (i Info) Same(o Info) bool {
	return i.Size == o.Size && i.MinBlock == o.MinBlock && (i.Flags^o.Flags)&(FlagReadOnly|FlagFlush|FlagFUA) == 0
}

// Options are what a connection is to be.
type Options struct {
	Export string // "" for the default one
	// StartTLS encrypts the connection from where it stands; nil leaves it plain.
	StartTLS func(plain io.ReadWriter) (io.ReadWriter, error)
}

// RefusedError is the answer of a server that does not give the export.
type RefusedError struct {
	Code uint32 // NBD_REP_ERR_*, without the highest bit
	Text string // the server's own words, printable; "" for none
	// Exports are what it has, as far as it says.
	Exports []string
	Export  string
}

// Codes of RefusedError.
const (
	CodeUnsupported = 1
	CodePolicy      = 2
	CodeInvalid     = 3
	CodeTLSRequired = 5
	CodeUnknown     = 6
	CodeShutdown    = 7
	CodeBlockSize   = 8
)

// Error says why.
func (e *RefusedError) Error() string {
	name := "the export " + e.Export
	if e.Export == "" {
		name = "its default export"
	}
	var s string
	switch e.Code {
	case CodeUnknown:
		s = "the server has not " + name
	case CodePolicy:
		s = "the server does not give this machine " + name
	case CodeTLSRequired:
		s = "the server gives " + name + " to encrypted connections alone"
	case CodeShutdown:
		s = "the server is shutting down"
	case CodeBlockSize:
		s = "the server wants blocks of another size"
	default:
		s = fmt.Sprintf("the server refuses %s (code %d)", name, e.Code)
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Errors of a handshake.
var (
	ErrNoServer = errors.New("what answers is no NBD server")
	ErrProtocol = errors.New("the server does not keep to the protocol")
	ErrNoTLS    = errors.New("the server does not encrypt, and without encryption nothing is taken from it")
	// ErrClosed is the only answer that old servers have to a name that they do
	// not know.
	ErrClosed = errors.New("the server closes the connection: it has no such export, or does not give it to this machine")
)

// ErrHangsUp is how a server ends an encrypted connection at once. Debian's does so
// where this machine has no certificate that it accepts.
var ErrHangsUp = errors.New("the server ends the encrypted connection as soon as it is made: it may want another certificate of this machine")

// Negotiate asks for an export. What is returned besides is what the kernel, or a
// relay to it, talks to from then on: rw itself, or the encrypted connection over
// it.
func Negotiate(rw io.ReadWriter, o Options) (Info, io.ReadWriter, error) {
	c := &client{rw: rw, o: o}
	info, err := c.negotiate()
	if err != nil {
		return Info{}, nil, err
	}
	if info.Size == 0 {
		return Info{}, nil, errors.New("the export is empty")
	}
	if info.Size > 1<<63-1 {
		return Info{}, nil, fmt.Errorf("an export of %d bytes: %w", info.Size, ErrProtocol)
	}
	return info, c.rw, nil
}

type client struct {
	rw io.ReadWriter
	o  Options
	// fixed: errors of options are answered, noZeroes: no padding is sent.
	fixed, noZeroes, secure bool
}

func (c *client) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c.rw, b)
	return b, err
}

func (c *client) negotiate() (Info, error) {
	if len(c.o.Export) > maxName {
		return Info{}, fmt.Errorf("a name of %d bytes is longer than the %d that a name may have", len(c.o.Export), maxName)
	}
	b, err := c.read(16)
	if err != nil {
		return Info{}, fmt.Errorf("hear the server's greeting: %w", err)
	}
	if binary.BigEndian.Uint64(b) != magicInit {
		return Info{}, ErrNoServer
	}
	switch binary.BigEndian.Uint64(b[8:]) {
	case magicOption:
	case magicOld:
		return c.old()
	default:
		return Info{}, ErrNoServer
	}
	if b, err = c.read(2); err != nil {
		return Info{}, fmt.Errorf("hear the server's greeting: %w", err)
	}
	flags := binary.BigEndian.Uint16(b)
	c.fixed, c.noZeroes = flags&flagFixed != 0, flags&flagNoZeroes != 0
	if _, err := c.rw.Write(binary.BigEndian.AppendUint32(nil, uint32(flags&(flagFixed|flagNoZeroes)))); err != nil {
		return Info{}, fmt.Errorf("greet the server: %w", err)
	}
	if c.o.StartTLS != nil {
		if err := c.startTLS(); err != nil {
			return Info{}, err
		}
	}
	if !c.fixed {
		return c.exportName()
	}
	info, err := c.goTo()
	var refused *RefusedError
	if errors.As(err, &refused) {
		if refused.Code == CodeUnsupported {
			return c.exportName()
		}
		refused.Exports = c.list()
		c.option(optAbort, nil) // it need not hear it
	}
	return info, err
}

// old is the handshake of servers before 2.9.16: one export, at once.
func (c *client) old() (Info, error) {
	if c.o.StartTLS != nil {
		return Info{}, ErrNoTLS
	}
	if c.o.Export != "" {
		return Info{}, errors.New("the server is too old to have exports with names: name it by its port")
	}
	b, err := c.read(8 + 4 + 124)
	if err != nil {
		return Info{}, fmt.Errorf("hear what the export is: %w", err)
	}
	return Info{Size: binary.BigEndian.Uint64(b), Flags: uint16(binary.BigEndian.Uint32(b[8:]))}, nil
}

func (c *client) option(opt uint32, data []byte) error {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	_, err := c.rw.Write(append(b, data...))
	return err
}

// reply reads an answer to an option. What is longer than anything needed is an
// error.
func (c *client) reply(opt uint32) (typ uint32, data []byte, err error) {
	b, err := c.read(20)
	if err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(b[16:])
	if binary.BigEndian.Uint64(b) != magicReply || binary.BigEndian.Uint32(b[8:]) != opt || n > maxData {
		return 0, nil, ErrProtocol
	}
	data, err = c.read(int(n))
	return binary.BigEndian.Uint32(b[12:]), data, err
}

func (c *client) startTLS() error {
	if !c.fixed {
		return ErrNoTLS
	}
	if err := c.option(optStartTLS, nil); err != nil {
		return fmt.Errorf("ask for encryption: %w", err)
	}
	typ, data, err := c.reply(optStartTLS)
	switch {
	case err != nil:
		return fmt.Errorf("ask for encryption: %w", err)
	case typ != repAck && typ&repError == 0 || typ == repAck && len(data) > 0:
		return ErrProtocol
	case typ != repAck:
		return ErrNoTLS
	}
	if c.rw, err = c.o.StartTLS(c.rw); err != nil {
		return err
	}
	c.secure = true
	return nil
}

// exportName is the older way to ask for an export: refused by hanging up.
func (c *client) exportName() (Info, error) {
	if err := c.option(optExportName, []byte(c.o.Export)); err != nil {
		return Info{}, fmt.Errorf("ask for the export: %w", err)
	}
	n := 10
	if !c.noZeroes {
		n += 124
	}
	b, err := c.read(n)
	switch {
	case errors.Is(err, io.EOF):
		return Info{}, ErrClosed
	case err != nil:
		return Info{}, fmt.Errorf("hear what the export is: %w", err)
	}
	return Info{Size: binary.BigEndian.Uint64(b), Flags: binary.BigEndian.Uint16(b[8:]), Secure: c.secure}, nil
}

// goTo asks for an export, and for the sizes of blocks.
func (c *client) goTo() (Info, error) {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(c.o.Export)))
	data = append(data, c.o.Export...)
	data = append(data, 0, 2, 0, infoBlockSize, 0, infoText)
	if err := c.option(optGo, data); err != nil {
		return Info{}, fmt.Errorf("ask for the export: %w", err)
	}
	info, has := Info{Secure: c.secure}, false
	for range maxListed {
		typ, data, err := c.reply(optGo)
		switch {
		case errors.Is(err, io.EOF) && c.secure && !has:
			return Info{}, ErrHangsUp
		case err != nil:
			return Info{}, fmt.Errorf("hear what the export is: %w", err)
		case typ == repAck && has:
			return info, nil
		case typ == repAck:
			return Info{}, ErrProtocol
		case typ&repError != 0:
			return Info{}, &RefusedError{Code: typ &^ repError, Text: printable(data), Export: c.o.Export}
		case typ != repInfo || len(data) < 2:
			return Info{}, ErrProtocol
		}
		switch kind, d := binary.BigEndian.Uint16(data), data[2:]; kind {
		case infoExport:
			if len(d) != 10 {
				return Info{}, ErrProtocol
			}
			has, info.Size, info.Flags = true, binary.BigEndian.Uint64(d), binary.BigEndian.Uint16(d[8:])
		case infoBlockSize:
			if len(d) != 12 {
				return Info{}, ErrProtocol
			}
			info.MinBlock, info.MaxBlock = binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[8:])
		case infoText:
			info.Description = printable(d)
		}
	}
	return Info{}, ErrProtocol
}

// list are the names of the server's exports, as far as it gives them.
func (c *client) list() []string {
	if c.option(optList, nil) != nil {
		return nil
	}
	var names []string
	for range maxListed {
		typ, data, err := c.reply(optList)
		if err != nil || typ != repServer || len(data) < 4 {
			break
		}
		if n := binary.BigEndian.Uint32(data); uint64(n) <= uint64(len(data)-4) {
			names = append(names, printable(data[4:4+n]))
		}
	}
	return names
}

// printable is a server's text as it can be shown.
func printable(b []byte) string {
	b = append([]byte(nil), b[:min(len(b), 200)]...)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}
