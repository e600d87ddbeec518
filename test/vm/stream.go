package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Stream is one serial port of the guest: everything that came out of it so
// far, and the way in.
type Stream struct {
	conn  net.Conn
	start time.Time

	mu     sync.Mutex
	buf    []byte
	lines  []Line // complete lines
	begun  int    // where the current line starts in buf
	ended  bool
	notify chan struct{} // closed and replaced at every change
}

// Line is one complete line of output, without its line end.
type Line struct {
	At   time.Duration // since the machine was started, on the host's clock
	Text string
}

// ErrEnded is returned by Expect when the port was closed, that is, when the
// machine is gone.
var ErrEnded = errors.New("the machine ended")

// maxStream bounds what one port may print, in bytes.
const maxStream = 256 << 20

func newStream(conn net.Conn, start time.Time, tee ...io.Writer) *Stream {
	s := &Stream{conn: conn, start: start, notify: make(chan struct{})}
	go s.read(tee)
	return s
}

func (s *Stream) read(tee []io.Writer) {
	chunk := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(chunk)
		now := time.Since(s.start)
		s.mu.Lock()
		if n > 0 && len(s.buf)+n <= maxStream {
			s.buf = append(s.buf, chunk[:n]...)
			for {
				i := bytes.IndexByte(s.buf[s.begun:], '\n')
				if i < 0 {
					break
				}
				text := strings.TrimRight(string(s.buf[s.begun:s.begun+i]), "\r")
				s.lines = append(s.lines, Line{At: now, Text: text})
				s.begun += i + 1
			}
		}
		s.ended = err != nil
		close(s.notify)
		s.notify = make(chan struct{})
		s.mu.Unlock()
		for _, w := range tee {
			w.Write(chunk[:n])
		}
		if err != nil {
			return
		}
	}
}

// Expect waits until text stands in what came after offset from, and returns
// the offset behind it.
func (s *Stream) Expect(ctx context.Context, from int, text string) (int, error) {
	for {
		s.mu.Lock()
		i := bytes.Index(s.buf[min(from, len(s.buf)):], []byte(text))
		ended, notify := s.ended, s.notify
		s.mu.Unlock()
		if i >= 0 {
			return from + i + len(text), nil
		}
		if ended {
			return 0, fmt.Errorf("wait for %q: %w", text, ErrEnded)
		}
		select {
		case <-notify:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for %q: %w", text, ctx.Err())
		}
	}
}

// Type sends text to the guest.
func (s *Stream) Type(text string) error {
	if _, err := s.conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("type to the guest: %w", err)
	}
	return nil
}

// Text is everything that came so far.
func (s *Stream) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.buf)
}

// Lines is every complete line that came so far.
func (s *Stream) Lines() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[:len(s.lines):len(s.lines)]
}

// EndOfOutput waits until the port is closed.
func (s *Stream) EndOfOutput(ctx context.Context) error {
	for {
		s.mu.Lock()
		ended, notify := s.ended, s.notify
		s.mu.Unlock()
		if ended {
			return nil
		}
		select {
		case <-notify:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
