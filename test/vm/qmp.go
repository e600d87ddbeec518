package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// QMP is a connection to QEMU's machine protocol. It is safe for concurrent
// use.
type QMP struct {
	conn net.Conn

	mu      sync.Mutex
	next    int
	pending map[int]chan qmpReply
	err     error // why the connection ended
	done    chan struct{}
}

// Event is something that QEMU reported by itself: SHUTDOWN, DEVICE_DELETED …
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class, Desc string
	} `json:"error"`
	ID    *int   `json:"id"`
	Event string `json:"event"`
}

// newQMP takes over a connection to QEMU, on which the greeting has not been
// read, and negotiates. Events go to onEvent, in order, from one goroutine.
func newQMP(conn net.Conn, onEvent func(Event)) (*QMP, error) {
	q := &QMP{conn: conn, pending: map[int]chan qmpReply{}, done: make(chan struct{})}
	r := bufio.NewReader(conn)
	if _, err := r.ReadBytes('\n'); err != nil { // the greeting
		return nil, fmt.Errorf("qmp: greeting: %w", err)
	}
	go q.read(r, onEvent)
	return q, q.Do(context.Background(), "qmp_capabilities", nil)
}

func (q *QMP) read(r *bufio.Reader, onEvent func(Event)) {
	defer close(q.done)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.err = fmt.Errorf("qmp: connection ended: %w", err)
			for _, c := range q.pending {
				close(c)
			}
			q.pending = nil
			return
		}
		var m qmpReply
		if err := json.Unmarshal(line, &m); err != nil {
			continue
		}
		if m.Event != "" {
			var e Event
			if json.Unmarshal(line, &e) == nil {
				onEvent(e)
			}
			continue
		}
		if m.ID == nil {
			continue
		}
		q.mu.Lock()
		if c := q.pending[*m.ID]; c != nil {
			delete(q.pending, *m.ID)
			c <- m
		}
		q.mu.Unlock()
	}
}

// Do executes a command and waits for its answer.
func (q *QMP) Do(ctx context.Context, command string, args any) error {
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return q.err
	}
	q.next++
	id := q.next
	c := make(chan qmpReply, 1)
	q.pending[id] = c
	msg := map[string]any{"execute": command, "id": id}
	if args != nil {
		msg["arguments"] = args
	}
	b, err := json.Marshal(msg)
	if err == nil {
		_, err = q.conn.Write(append(b, '\n'))
	}
	q.mu.Unlock()
	if err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("qmp %s: connection ended", command)
		case m.Error != nil:
			return fmt.Errorf("qmp %s: %s", command, m.Error.Desc)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("qmp %s: %w", command, ctx.Err())
	}
}
