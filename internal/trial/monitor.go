package trial

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// monitor listens to QEMU's machine protocol, which says why a machine ended
// (docs/interop/qmp-spec.rst of QEMU).
type monitor struct {
	conn net.Conn
	done chan struct{}

	mu  sync.Mutex
	why string
}

func newMonitor(c net.Conn) *monitor {
	m := &monitor{conn: c, done: make(chan struct{})}
	go m.listen()
	return m
}

func (m *monitor) listen() {
	defer close(m.done)
	// Events come after the greeting was answered.
	if _, err := fmt.Fprintln(m.conn, `{"execute":"qmp_capabilities"}`); err != nil {
		return
	}
	lines := bufio.NewScanner(m.conn)
	for lines.Scan() {
		var e struct {
			Event string `json:"event"`
			Data  struct {
				Reason string `json:"reason"`
			} `json:"data"`
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event == "SHUTDOWN" {
			m.mu.Lock()
			m.why = e.Data.Reason
			m.mu.Unlock()
		}
	}
}

// reason is why the machine ended, in QEMU's words ("guest-shutdown",
// "guest-reset", "guest-panic" …), "" if it has not, or was ended from outside.
func (m *monitor) reason() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

// close ends it, once everything that came was read.
func (m *monitor) close() {
	<-m.done
	m.conn.Close()
}
