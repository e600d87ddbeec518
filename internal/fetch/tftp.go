package fetch

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// This file is the receiving side of TFTP: RFC 1350 with the options of RFC
// 2347 to 2349 (blksize, tsize) and RFC 7440 (windowsize).

// Operations of packets.
const (
	opRead = iota + 1
	opWrite
	opData
	opAck
	opError
	opOptions
)

// What is asked for: blocks that fit an Ethernet frame, and as many without an
// answer as a server's queue of packets holds.
const (
	tftpBlock  = 1428
	tftpWindow = 32
	// MaxPacket is the size of the largest packet that comes, in bytes.
	MaxPacket = 4 + tftpBlock
	// MaxUnasked is how many repeated questions go without an answer before
	// the transfer is begun anew.
	MaxUnasked = 6
)

// ReadRequest asks for a file.
func ReadRequest(file string) ([]byte, error) {
	if strings.ContainsRune(file, 0) || len(file) > 255 || file == "" {
		return nil, &Refusal{"a name that TFTP cannot have", "name the file by a shorter path"}
	}
	b := []byte{0, opRead}
	for _, s := range [...]string{file, "octet", "tsize", "0", "blksize", strconv.Itoa(tftpBlock), "windowsize", strconv.Itoa(tftpWindow)} {
		b = append(append(b, s...), 0)
	}
	return b, nil
}

// Receiver takes in the packets of one transfer.
type Receiver struct {
	// Total is the size of the file in bytes, -1 where the server does not say.
	Total int64
	// Done: the last block has come.
	Done bool

	block, window int
	begun         bool   // the server has answered
	next          uint16 // the block that is waited for
	since         int    // blocks since the last acknowledgement
	asked         bool   // a gap was answered, and the blocks behind it are to come no more
}

// NewReceiver returns one.
func NewReceiver() *Receiver {
	return &Receiver{Total: -1, block: 512, window: 1, next: 1}
}

var errTFTP = errors.New("what the TFTP server sent cannot be read")

// Packet takes in a packet: data is what of the file it has, reply what is to be
// sent. Packets that are of no use are passed over.
func (r *Receiver) Packet(b []byte) (data, reply []byte, err error) {
	if len(b) < 4 || r.Done {
		return nil, nil, nil
	}
	switch op := binary.BigEndian.Uint16(b); op {
	case opOptions:
		if r.begun {
			return nil, nil, nil
		}
		if err := r.options(string(b[2:])); err != nil {
			return nil, TFTPError(8, "an option that was not asked for"), err
		}
		r.begun = true
		return nil, r.Ack(), nil
	case opData:
		return r.data(binary.BigEndian.Uint16(b[2:]), b[4:])
	case opError:
		text, _, _ := strings.Cut(string(b[4:]), "\x00")
		if text = printable(text); text == "" {
			text = "error " + strconv.Itoa(int(binary.BigEndian.Uint16(b[2:])))
		}
		return nil, nil, errors.New("the TFTP server says: " + text)
	}
	return nil, nil, nil
}

// options reads what the server grants of what was asked for.
func (r *Receiver) options(s string) error {
	f := strings.Split(strings.TrimSuffix(s, "\x00"), "\x00")
	if len(f)%2 != 0 {
		return errTFTP
	}
	for i := 0; i < len(f); i += 2 {
		n, ok := number(f[i+1])
		if !ok {
			return errTFTP
		}
		switch strings.ToLower(f[i]) {
		case "tsize":
			r.Total = n
		case "blksize":
			if n < 8 || n > tftpBlock {
				return errTFTP
			}
			r.block = int(n)
		case "windowsize":
			if n < 1 || n > tftpWindow {
				return errTFTP
			}
			r.window = int(n)
		}
	}
	return nil
}

// data takes in a block. A number counts to 65535, and goes on with 0.
func (r *Receiver) data(n uint16, b []byte) (data, reply []byte, err error) {
	if len(b) > r.block {
		return nil, TFTPError(4, "a block that is too large"), errTFTP
	}
	r.begun = true
	if n != r.next {
		// One was lost, or the server sends what came already. It is told once
		// where to go on.
		if r.asked {
			return nil, nil, nil
		}
		r.asked, r.since = true, 0
		return nil, r.Ack(), nil
	}
	r.asked = false
	r.next++
	r.since++
	r.Done = len(b) < r.block
	if r.Done || r.since >= r.window {
		r.since = 0
		reply = r.Ack()
	}
	return b, reply, nil
}

// Ack acknowledges what has come so far; it is repeated when nothing comes.
func (r *Receiver) Ack() []byte {
	n := r.next - 1
	return []byte{0, opAck, byte(n >> 8), byte(n)}
}

// Again is what to send when nothing has come for a while, nil for the question
// itself.
func (r *Receiver) Again() []byte {
	if !r.begun {
		return nil
	}
	r.asked, r.since = false, 0
	return r.Ack()
}

// TFTPError tells the server that no more is wanted.
func TFTPError(code byte, text string) []byte {
	return append(append([]byte{0, opError, 0, code}, text...), 0)
}
