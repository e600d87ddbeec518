// Package sign signs EFI programs for Secure Boot and verifies such signatures:
// Microsoft's Authenticode for PE files (Windows Authenticode Portable Executable
// Signature Format, 2008) in the form that UEFI asks for (UEFI 2.10, 32.2), which
// is PKCS #7 SignedData (RFC 2315) with SHA-256 and RSA.
//
// Pure. No time is signed, so that the same program, key and certificates give
// the same bytes.
package sign

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"firstlight/internal/image/pe"
)

// ErrSignature is wrapped by errors that say that a signature does not hold, or
// is none.
var ErrSignature = errors.New("the signature does not hold")

// alignment is what the end of the program and each signature are padded to.
const alignment = 8

// The header of each entry of the certificate table (WIN_CERTIFICATE): its length
// with the header, its revision and its kind.
const (
	entryHeader = 8
	revision2   = 0x0200
	kindPKCS7   = 0x0002
)

// Digest is the hash of a program that a signature is for: of all of it but the
// check sum, the place of the certificate table, and the table; with zeros behind
// it to a multiple of eight bytes.
func Digest(b []byte) ([]byte, error) {
	p, err := pe.Parse(b)
	if err != nil {
		return nil, err
	}
	end, err := bodyEnd(b, p)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	sum := p.Optional + pe.OptChecksum
	h.Write(b[:sum])
	h.Write(b[sum+4 : p.Security])
	h.Write(b[p.Security+8 : p.SizeOfHeaders])
	// Sections as they stand in the file, then what is behind the last.
	list := slices.DeleteFunc(slices.Clone(p.Headers), func(s pe.Header) bool { return s.RawSize == 0 })
	slices.SortStableFunc(list, func(a, b pe.Header) int { return int(int64(a.Raw) - int64(b.Raw)) })
	at := int64(p.SizeOfHeaders)
	hashed := at
	for _, s := range list {
		if int64(s.Raw) < at {
			return nil, fmt.Errorf("section %q overlaps what is before it: %w", s.Name, pe.ErrFormat)
		}
		if at = int64(s.Raw) + int64(s.RawSize); at > int64(end) {
			return nil, fmt.Errorf("section %q is among the certificates: %w", s.Name, pe.ErrFormat)
		}
		h.Write(b[s.Raw:at])
		hashed += int64(s.RawSize)
	}
	// What is behind the last section begins where the sum of all sizes says,
	// which with gaps between sections is not where the last one ends.
	if hashed < int64(end) {
		h.Write(b[hashed:end])
		h.Write(make([]byte, -end&(alignment-1)))
	}
	return h.Sum(nil), nil
}

// bodyEnd is where the program ends and its certificates begin, which must be the
// last of the file.
func bodyEnd(b []byte, p *pe.Program) (int, error) {
	if p.CertificateBytes == 0 {
		return len(b), nil
	}
	if int64(p.Certificates)+int64(p.CertificateBytes) != int64(len(b)) {
		return 0, fmt.Errorf("the certificates at bytes %d to %d are not the end of the file, which has %d: %w",
			p.Certificates, int64(p.Certificates)+int64(p.CertificateBytes), len(b), pe.ErrFormat)
	}
	return int(p.Certificates), nil
}

// signatures are the entries of the certificate table that are PKCS #7.
func signatures(b []byte, p *pe.Program) ([][]byte, error) {
	var out [][]byte
	table := b[p.Certificates : int64(p.Certificates)+int64(p.CertificateBytes)]
	for len(table) >= entryHeader {
		size := int64(binary.LittleEndian.Uint32(table))
		if size < entryHeader || size > int64(len(table)) {
			return nil, fmt.Errorf("a certificate of %d bytes, and the table has %d more: %w", size, len(table), pe.ErrFormat)
		}
		if binary.LittleEndian.Uint16(table[6:]) == kindPKCS7 {
			out = append(out, table[entryHeader:size])
		}
		table = table[min((size+alignment-1)&^(alignment-1), int64(len(table))):]
	}
	return out, nil
}

// Strip returns a program without its signatures.
func Strip(b []byte) ([]byte, error) {
	p, err := pe.Parse(b)
	if err != nil {
		return nil, err
	}
	end, err := bodyEnd(b, p)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(b[:end])
	clear(out[p.Security : p.Security+8])
	clear(out[p.Optional+pe.OptChecksum : p.Optional+pe.OptChecksum+4])
	return out, nil
}

// attach puts a signature behind those that a program has.
func attach(b []byte, p *pe.Program, signature []byte) ([]byte, error) {
	end, err := bodyEnd(b, p)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	table := slices.Clone(b[end:])
	table = append(table, make([]byte, -len(table)&(alignment-1))...)
	table = le.AppendUint32(table, uint32(entryHeader+len(signature)))
	table = le.AppendUint16(le.AppendUint16(table, revision2), kindPKCS7)
	table = append(table, signature...)
	table = append(table, make([]byte, -len(table)&(alignment-1))...)
	out := append(make([]byte, 0, end+alignment+len(table)), b[:end]...)
	out = append(out, make([]byte, -end&(alignment-1))...)
	if len(out)+len(table) > math.MaxUint32 {
		return nil, fmt.Errorf("a program of more than 4 GiB: %w", pe.ErrFormat)
	}
	le.PutUint32(out[p.Security:], uint32(len(out)))
	le.PutUint32(out[p.Security+4:], uint32(len(table)))
	out = append(out, table...)
	le.PutUint32(out[p.Optional+pe.OptChecksum:], checksum(out, p.Optional+pe.OptChecksum))
	return out, nil
}

// checksum is the check sum of a PE file: its words added up with the carry, and
// its length; the field itself counts as zero.
func checksum(b []byte, field int) uint32 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		if i == field || i == field+2 {
			continue
		}
		sum += uint32(b[i]) | uint32(b[i+1])<<8
		sum = sum&0xffff + sum>>16
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1])
		sum = sum&0xffff + sum>>16
	}
	return sum + uint32(len(b))
}
