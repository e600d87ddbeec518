// Package askwire is what /init and a helper program at which questions are asked
// too say to each other: one message a packet of a Unix socket. It is pure and
// small, as both ends have it.
package askwire

import "encoding/binary"

// FD is the file descriptor at which a helper has the socket.
const FD = 3

// SecretMark begins a line of a helper's output which is for no record: what opens
// something, in hexadecimal.
const SecretMark = 1

// ShellPrompt is the ID of the question whether somebody wants the emergency shell,
// and of that for its password.
const ShellPrompt = "emergency"

// Kind is what a message is.
type Kind byte

// The kinds. Ask, End, Told and Shell are /init's, Answer and ShellEnded the
// helper's.
const (
	Ask        Kind = 'a' // the question ID stands: Text, and how it is shown
	End        Kind = 'e' // it was answered at By, or with By "" withdrawn
	Told       Kind = 't' // Text is said to everybody
	Shell      Kind = 's' // the session that has answered ID gets a shell, the program Text
	Answer     Kind = 'A' // the answer to ID, from By
	ShellEnded Kind = 'E' // Text is why there was none, "" if there was
)

// Message is one of them.
type Message struct {
	Kind         Kind
	Echo, Silent bool // as in machine.Prompt
	ID           string
	By           string
	Text         string
	Secret       []byte // of an Answer; wiped by whoever has it
}

// MaxSize bounds a message in bytes.
const MaxSize = 32 << 10

// malformed says that a packet is no message. It is a type, so that a program that
// uses none of this has nothing of it.
type malformed struct{}

func (malformed) Error() string { return "not a message of a question" }

// Append adds the message's bytes to b: the kind, the flags, three texts with
// their lengths before them (16 bits, the most significant first), and the secret
// up to the end. Texts that are too long are cut.
func (m *Message) Append(b []byte) []byte {
	flags := byte(0)
	if m.Echo {
		flags |= 1
	}
	if m.Silent {
		flags |= 2
	}
	b = append(b, byte(m.Kind), flags)
	for _, s := range [...]string{m.ID, m.By, m.Text} {
		if len(s) > maxText {
			s = s[:maxText]
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	return append(b, m.Secret...)
}

// maxText bounds a text in bytes, so that a message with three and an answer has
// room.
const maxText = 8 << 10

// Parse reads a message. Its secret is a part of b.
func Parse(b []byte) (m Message, err error) {
	if len(b) < 2 || len(b) > MaxSize || b[1] > 3 {
		return m, malformed{}
	}
	m.Kind, m.Echo, m.Silent = Kind(b[0]), b[1]&1 != 0, b[1]&2 != 0
	switch m.Kind {
	case Ask, End, Told, Shell, Answer, ShellEnded:
	default:
		return m, malformed{}
	}
	b = b[2:]
	for _, s := range [...]*string{&m.ID, &m.By, &m.Text} {
		if len(b) < 2 {
			return Message{}, malformed{}
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > maxText || len(b) < 2+n {
			return Message{}, malformed{}
		}
		*s, b = string(b[2:2+n]), b[2+n:]
	}
	if len(b) > 0 && m.Kind != Answer {
		return Message{}, malformed{}
	}
	m.Secret = b
	return m, nil
}
