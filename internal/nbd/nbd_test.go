package nbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// server is one that follows the protocol, with switches for what servers differ
// in.
type server struct {
	exports   map[string]uint64
	flags     uint16
	minBlock  uint32
	old       bool // the handshake before newstyle
	unfixed   bool
	noGo      bool
	needTLS   bool
	tls       bool // it can encrypt; the test's "encryption" inverts every byte
	padded    bool // it sends the zeroes
	noListing bool
}

type inverted struct{ io.ReadWriter }

func (c inverted) Read(b []byte) (int, error) {
	n, err := c.ReadWriter.Read(b)
	for i := range b[:n] {
		b[i] ^= 0xff
	}
	return n, err
}

func (c inverted) Write(b []byte) (int, error) {
	b = slices.Clone(b)
	for i := range b {
		b[i] ^= 0xff
	}
	return c.ReadWriter.Write(b)
}

func (s *server) serve(c io.ReadWriter) error {
	put := func(parts ...any) error {
		var b bytes.Buffer
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				b.WriteString(p)
			default:
				binary.Write(&b, binary.BigEndian, p)
			}
		}
		_, err := c.Write(b.Bytes())
		return err
	}
	if s.old {
		return put(uint64(magicInit), uint64(magicOld), s.exports[""], uint32(s.flags), make([]byte, 124))
	}
	flags := uint16(flagFixed | flagNoZeroes)
	if s.unfixed {
		flags = 0
	}
	if s.padded {
		flags &^= flagNoZeroes
	}
	if err := put(uint64(magicInit), uint64(magicOption), flags); err != nil {
		return err
	}
	var client uint32
	if err := binary.Read(c, binary.BigEndian, &client); err != nil || client != uint32(flags) {
		return errors.New("flags of the client")
	}
	secure := false
	for {
		var h struct {
			Magic    uint64
			Opt, Len uint32
		}
		if err := binary.Read(c, binary.BigEndian, &h); err != nil {
			return err
		}
		data := make([]byte, h.Len)
		io.ReadFull(c, data)
		reply := func(typ uint32, data []byte) error {
			return put(uint64(magicReply), h.Opt, typ, uint32(len(data)), data)
		}
		if s.needTLS && !secure && h.Opt != optStartTLS && h.Opt != optAbort {
			reply(repError|CodeTLSRequired, nil)
			continue
		}
		switch h.Opt {
		case optStartTLS:
			if !s.tls {
				reply(repError|CodeUnsupported, nil)
				continue
			}
			reply(repAck, nil)
			c, secure = inverted{c}, true
		case optList:
			if s.noListing {
				reply(repError|CodePolicy, nil)
				continue
			}
			for n := range s.exports {
				reply(repServer, append(binary.BigEndian.AppendUint32(nil, uint32(len(n))), n...))
			}
			reply(repAck, nil)
		case optGo:
			size, ok := s.exports[string(data[4:4+binary.BigEndian.Uint32(data)])]
			switch {
			case s.noGo:
				reply(repError|CodeUnsupported, nil)
			case !ok:
				reply(repError|CodeUnknown, []byte("no\nsuch thing"))
			default:
				b := binary.BigEndian.AppendUint64([]byte{0, infoExport}, size)
				reply(repInfo, binary.BigEndian.AppendUint16(b, s.flags))
				if s.minBlock > 0 {
					b = binary.BigEndian.AppendUint32([]byte{0, infoBlockSize}, s.minBlock)
					b = binary.BigEndian.AppendUint32(b, 4096)
					reply(repInfo, binary.BigEndian.AppendUint32(b, 1<<25))
				}
				return reply(repAck, nil)
			}
		case optExportName:
			size, ok := s.exports[string(data)]
			if !ok {
				return io.EOF
			}
			var zeroes []byte
			if flags&flagNoZeroes == 0 {
				zeroes = make([]byte, 124)
			}
			return put(size, s.flags, zeroes)
		case optAbort:
			reply(repAck, nil)
			return nil
		}
	}
}

func talk(s *server, o Options) (Info, error) {
	ours, theirs := net.Pipe()
	go func() {
		s.serve(theirs)
		theirs.Close()
	}()
	defer ours.Close()
	info, _, err := Negotiate(ours, o)
	return info, err
}

func TestNegotiateWithServersOfEveryAge(t *testing.T) {
	some := map[string]uint64{"": 1 << 20, "root": 1 << 30}
	invert := func(c io.ReadWriter) (io.ReadWriter, error) { return inverted{c}, nil }
	for name, c := range map[string]struct {
		s    server
		o    Options
		want Info
	}{
		"go":               {server{exports: some, flags: 5}, Options{Export: "root"}, Info{Size: 1 << 30, Flags: 5}},
		"block sizes":      {server{exports: some, flags: 5, minBlock: 4096}, Options{Export: "root"}, Info{Size: 1 << 30, Flags: 5, MinBlock: 4096, MaxBlock: 1 << 25}},
		"default export":   {server{exports: some, flags: 1}, Options{}, Info{Size: 1 << 20, Flags: 1}},
		"no go":            {server{exports: some, flags: 3, noGo: true}, Options{Export: "root"}, Info{Size: 1 << 30, Flags: 3}},
		"no go, padded":    {server{exports: some, flags: 3, noGo: true, padded: true}, Options{Export: "root"}, Info{Size: 1 << 30, Flags: 3}},
		"newstyle":         {server{exports: some, flags: 3, unfixed: true}, Options{Export: "root"}, Info{Size: 1 << 30, Flags: 3}},
		"oldstyle":         {server{exports: some, flags: 3, old: true}, Options{}, Info{Size: 1 << 20, Flags: 3}},
		"encrypted":        {server{exports: some, flags: 1, tls: true}, Options{Export: "root", StartTLS: invert}, Info{Size: 1 << 30, Flags: 1, Secure: true}},
		"only encrypted":   {server{exports: some, flags: 1, tls: true, needTLS: true}, Options{Export: "root", StartTLS: invert}, Info{Size: 1 << 30, Flags: 1, Secure: true}},
		"encrypted, no go": {server{exports: some, flags: 1, tls: true, noGo: true}, Options{Export: "root", StartTLS: invert}, Info{Size: 1 << 30, Flags: 1, Secure: true}},
	} {
		if got, err := talk(&c.s, c.o); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	some := map[string]uint64{"root": 1 << 30}
	invert := func(c io.ReadWriter) (io.ReadWriter, error) { return inverted{c}, nil }
	for name, c := range map[string]struct {
		s    server
		o    Options
		want string
	}{
		"unknown":            {server{exports: some}, Options{Export: "rot"}, "the server has not the export rot: no?such thing"},
		"unknown, newstyle":  {server{exports: some, unfixed: true}, Options{Export: "rot"}, ErrClosed.Error()},
		"TLS needed":         {server{exports: some, needTLS: true, tls: true}, Options{Export: "root"}, "to encrypted connections alone"},
		"no TLS":             {server{exports: some}, Options{Export: "root", StartTLS: invert}, ErrNoTLS.Error()},
		"no TLS, newstyle":   {server{exports: some, unfixed: true}, Options{Export: "root", StartTLS: invert}, ErrNoTLS.Error()},
		"no TLS, oldstyle":   {server{exports: some, old: true}, Options{StartTLS: invert}, ErrNoTLS.Error()},
		"name of an old one": {server{exports: some, old: true}, Options{Export: "root"}, "too old"},
		"empty":              {server{exports: map[string]uint64{"root": 0}}, Options{Export: "root"}, "empty"},
		"huge":               {server{exports: map[string]uint64{"root": 1 << 63}}, Options{Export: "root"}, "keep to the protocol"},
	} {
		if got, err := talk(&c.s, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, got, err, c.want)
		}
	}
	var refused *RefusedError
	if _, err := talk(&server{exports: some}, Options{Export: "rot"}); !errors.As(err, &refused) || !slices.Equal(refused.Exports, []string{"root"}) {
		t.Errorf("%v: the exports are not listed: %+v", err, refused)
	}
	if _, err := talk(&server{exports: some, noListing: true}, Options{Export: "rot"}); !errors.As(err, &refused) || refused.Exports != nil {
		t.Errorf("%v: %+v", err, refused)
	}
}

// An answer in clear where encryption was asked for ends the handshake: nobody
// between can talk a client out of it.
func TestEncryptionCannotBeTalkedAway(t *testing.T) {
	var b bytes.Buffer
	for _, v := range []any{uint64(magicInit), uint64(magicOption), uint16(flagFixed), uint64(magicReply), uint32(optStartTLS), uint32(repError | CodePolicy), uint32(0),
		uint64(magicReply), uint32(optGo), uint32(repInfo), uint32(12), uint16(0), uint64(512), uint16(1), uint64(magicReply), uint32(optGo), uint32(repAck), uint32(0)} {
		binary.Write(&b, binary.BigEndian, v)
	}
	used := false
	_, _, err := Negotiate(half{&b}, Options{StartTLS: func(c io.ReadWriter) (io.ReadWriter, error) { used = true; return c, nil }})
	if !errors.Is(err, ErrNoTLS) || used {
		t.Errorf("%v", err)
	}
}

func TestBlockSizeIsOneThatTheKernelTakes(t *testing.T) {
	for _, c := range []struct {
		info Info
		size uint32
		ok   bool
	}{
		{Info{Size: 4096}, 512, true}, {Info{Size: 4096, MinBlock: 1}, 512, true}, {Info{Size: 8192, MinBlock: 4096}, 4096, true},
		{Info{Size: 1 << 20, MinBlock: 8192}, 8192, false}, {Info{Size: 1000}, 512, true}, {Info{Size: 100}, 512, false}, {Info{Size: 4096, MinBlock: 1536}, 1536, false},
	} {
		if size, ok := c.info.BlockSize(); size != c.size || ok != c.ok {
			t.Errorf("%+v: %d, %v", c.info, size, ok)
		}
	}
}

// half answers from a buffer and takes everything.
type half struct{ r io.Reader }

func (h half) Read(b []byte) (int, error)  { return h.r.Read(b) }
func (h half) Write(b []byte) (int, error) { return len(b), nil }

func FuzzNegotiate(f *testing.F) {
	for _, s := range []server{{exports: map[string]uint64{"": 1 << 20}, flags: 1}, {exports: map[string]uint64{"a": 1}}, {exports: map[string]uint64{"": 512}, old: true}} {
		var said bytes.Buffer
		ours, theirs := net.Pipe()
		go func() { s.serve(theirs); theirs.Close() }()
		Negotiate(struct {
			io.Reader
			io.Writer
		}{io.TeeReader(ours, &said), ours}, Options{})
		ours.Close()
		f.Add(said.Bytes(), "", false)
	}
	f.Fuzz(func(t *testing.T, b []byte, export string, tls bool) {
		o := Options{Export: export}
		if tls {
			o.StartTLS = func(c io.ReadWriter) (io.ReadWriter, error) { return c, nil }
		}
		info, _, err := Negotiate(half{bytes.NewReader(b)}, o)
		if err == nil && (info.Size == 0 || info.Size > 1<<63-1 || info.Secure != tls) {
			t.Errorf("%+v", info)
		}
	})
}
