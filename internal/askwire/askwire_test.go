package askwire

import (
	"bytes"
	"strings"
	"testing"
)

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	for _, m := range []Message{
		{Kind: Ask, ID: "luks 1234", Text: "Passphrase for /dev/sda2", Silent: true},
		{Kind: Answer, ID: "luks 1234", By: "ssh 10.0.0.2", Secret: []byte("with\nnewline and \x00")},
		{Kind: Answer, ID: "luks 1234"},
		{Kind: End, ID: "x", By: "/dev/ttyS0"}, {Kind: Told, Text: "two\nlines"}, {Kind: Shell, ID: "emergency", Text: "A=b", Echo: true}, {Kind: ShellEnded},
	} {
		got, err := Parse(m.Append(nil))
		if err != nil || got.Kind != m.Kind || got.ID != m.ID || got.By != m.By || got.Text != m.Text || got.Echo != m.Echo || got.Silent != m.Silent || !bytes.Equal(got.Secret, m.Secret) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
}

// A text that a message has no room for must not take the rest with it.
func TestLongTextsAreCut(t *testing.T) {
	m := Message{Kind: Told, Text: strings.Repeat("x", 100_000)}
	got, err := Parse(m.Append(nil))
	if err != nil || len(got.Text) != maxText {
		t.Errorf("%d bytes, %v", len(got.Text), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add((&Message{Kind: Ask, ID: "a", Text: "b", Echo: true}).Append(nil))
	f.Add((&Message{Kind: Answer, ID: "a", Secret: []byte("b")}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x is read as %+v, which is %x", b, m, m.Append(nil))
		}
	})
}
