package pid1

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"firstlight/internal/askwire"
	"firstlight/internal/console"
	"firstlight/internal/machine"
)

// place is a helper program at which questions are asked.
type place struct {
	console *console.Console
	fd      int

	mu    sync.Mutex
	id    string      // the question that was last answered here
	ended chan string // where the end of its shell is waited for
}

// newPlace has questions asked at the other end of the socket fd until it is
// closed.
func newPlace(c *console.Console, fd int) {
	p := &place{console: c, fd: fd}
	c.AddPlace(p)
	go p.listen()
}

// send sends a message. A program that does not listen loses it: nothing waits
// for one.
func (p *place) send(m askwire.Message) {
	unix.Sendto(p.fd, m.Append(nil), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}

// Show implements console.Place.
func (p *place) Show(q *machine.Prompt) {
	p.send(askwire.Message{Kind: askwire.Ask, ID: q.ID, Text: q.Text, Echo: q.Echo, Silent: q.Silent})
}

// End implements console.Place.
func (p *place) End(id, by string) { p.send(askwire.Message{Kind: askwire.End, ID: id, By: by}) }

// Tell implements console.Place.
func (p *place) Tell(text string) { p.send(askwire.Message{Kind: askwire.Told, Text: text}) }

// GiveShell implements console.Place. Nothing is asked while it is open.
func (p *place) GiveShell(program string) error {
	return p.console.Hold(func() error {
		ended := make(chan string, 1)
		p.mu.Lock()
		p.ended = ended
		id := p.id
		p.mu.Unlock()
		p.send(askwire.Message{Kind: askwire.Shell, ID: id, Text: program})
		if why := <-ended; why != "" {
			return errors.New(why)
		}
		return nil
	})
}

// listen takes in answers until the program ends.
func (p *place) listen() {
	buf := make([]byte, askwire.MaxSize)
	for {
		n, err := unix.Read(p.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		m, err := askwire.Parse(buf[:n])
		switch {
		case err != nil:
		case m.Kind == askwire.Answer:
			p.mu.Lock()
			p.id = m.ID
			p.mu.Unlock()
			if !p.console.Answer(p, m.ID, m.By, m.Secret) {
				p.send(askwire.Message{Kind: askwire.End, ID: m.ID, By: "another place"})
			}
		case m.Kind == askwire.ShellEnded:
			p.shellEnded(m.Text)
		}
		clear(buf[:n])
	}
	p.console.DropPlace(p)
	p.shellEnded("")
	unix.Close(p.fd)
}

func (p *place) shellEnded(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		p.ended <- why
		p.ended = nil
	}
}
