package integrityfmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func sample() []byte {
	b := make([]byte, 4096)
	copy(b, magic)
	b[offVersion], b[offInterleave], b[offBlock] = 5, 15, 3
	binary.LittleEndian.PutUint16(b[offTag:], 48)
	binary.LittleEndian.PutUint64(b[offProvided:], 8192)
	binary.LittleEndian.PutUint32(b[offFlags:], FixedPadding)
	return b
}

func TestRead(t *testing.T) {
	at := append(make([]byte, 1024), sample()...)
	s, err := Read(bytes.NewReader(at), 1024)
	if err != nil || s.TagSize != 48 || s.Sectors != 8192 || s.BlockSize != 4096 || !s.Has(FixedPadding) || s.Has(Inline) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Read(bytes.NewReader(at), 0); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if _, err := Read(bytes.NewReader(at[:1024+300]), 1024); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	for name, f := range map[string]func(b []byte){
		"version": func(b []byte) { b[offVersion] = 9 },
		"block":   func(b []byte) { b[offBlock] = 4 },
		"sectors": func(b []byte) { clear(b[offProvided : offProvided+8]) },
		"huge":    func(b []byte) { b[offProvided+7] = 1 },
		"tag":     func(b []byte) { clear(b[offTag : offTag+2]) },
	} {
		b := sample()
		f(b)
		if _, err := Read(bytes.NewReader(b), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, offset int64) {
		if s, err := Read(bytes.NewReader(b), offset); err == nil && (s.BlockSize < 512 || s.BlockSize > 4096 || s.Sectors == 0 || s.TagSize <= 0) {
			t.Errorf("%+v", s)
		}
	})
}
