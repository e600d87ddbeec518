package trial

import (
	"bytes"
	"io"
)

// What Firstlight says on the console at a question.
const (
	promptText = "Passphrase for "
	wrongText  = "does not open"
)

// typist passes on what the machine says and answers its questions for a
// passphrase, each once: one that is shown again below a message is the same,
// and where the passphrase was wrong the same one will not be right. Then it
// refuses to answer, as Ctrl-D does, so that the boot goes on to say so.
type typist struct {
	out    io.Writer
	keys   io.Writer
	secret []byte

	line     []byte // the last line so far
	answered map[string]bool
	wrong    bool // since the last answer
}

// maxLine bounds what is kept of a line, in bytes: the start is what counts.
const maxLine = 4096

// Write implements io.Writer.
func (t *typist) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' {
			t.wrong = t.wrong || bytes.Contains(t.line, []byte(wrongText))
			t.line = t.line[:0]
			continue
		}
		if len(t.line) < maxLine {
			t.line = append(t.line, c)
		}
		// "Passphrase for /dev/vda2 (cr):", at the end of what is there.
		i := bytes.LastIndex(t.line, []byte(promptText))
		if c == ':' && i >= 0 && bytes.HasSuffix(t.line, []byte("):")) {
			if err := t.answer(string(t.line[i:])); err != nil {
				return 0, err
			}
		}
	}
	return t.out.Write(p)
}

func (t *typist) answer(question string) (err error) {
	switch {
	case !t.answered[question]:
		if t.answered == nil {
			t.answered = map[string]bool{}
		}
		t.answered[question], t.wrong = true, false
		_, err = t.keys.Write(append(bytes.Clone(t.secret), '\r'))
	case t.wrong:
		t.wrong = false
		_, err = t.keys.Write([]byte{4}) // Ctrl-D
	}
	return err
}
