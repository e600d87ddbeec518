package clevis

import "time"

// Client decides which servers are asked when. It has no clock and no connection:
// what comes of asking is told to it.
type Client struct {
	pin    *Pin
	asking map[*Pin]*leaf
	order  []*Pin
}

// leaf is how it stands with one server.
type leaf struct {
	busy   bool
	done   bool
	failed int
	next   time.Duration // when it is asked again
}

// maxPause bounds the time after which a server is asked again that did not answer:
// no event tells that it does now.
const maxPause = 10 * time.Second

// NewClient is for one binding.
func NewClient(p *Pin) *Client {
	c := &Client{pin: p, asking: map[*Pin]*leaf{}}
	for _, l := range p.Leaves() {
		c.asking[l] = &leaf{}
		c.order = append(c.order, l)
	}
	return c
}

// Ask returns the servers that are to be asked now, and when to call it again;
// below 0 is not before a server has answered. All are asked at the same time.
func (c *Client) Ask(now time.Duration) (ask []*Pin, next time.Duration) {
	next = -1
	for _, p := range c.order {
		l := c.asking[p]
		switch {
		case l.busy || l.done:
		case l.next <= now:
			l.busy = true
			ask = append(ask, p)
		case next < 0 || l.next < next:
			next = l.next
		}
	}
	return ask, next
}

// Failed says that a server gave nothing of use.
func (c *Client) Failed(p *Pin, now time.Duration) {
	l := c.asking[p]
	l.busy = false
	l.next = now + min(time.Second<<min(l.failed, 8), maxPause)
	l.failed++
}

// Answered says that a server's answer was taken (Pin.Finish), and returns what
// opens the volume, nil so long as more is needed.
func (c *Client) Answered(p *Pin) ([]byte, error) {
	l := c.asking[p]
	l.busy, l.done = false, true
	return c.pin.Open()
}

// Tries is how often a server was asked in vain.
func (c *Client) Tries(p *Pin) int { return c.asking[p].failed }
