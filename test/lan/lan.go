// Package lan is a private network for machines in QEMU: a second machine with
// Debian's servers, and a wire between its cards and those of the machine that
// boots, which the harness holds.
package lan

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// Net is a private network: a second machine with servers, the cards of the
// machine that boots, and a wire between them that the harness holds.
type Net struct {
	Server Server
	NICs   []vm.NIC // sockets are filled in
	// Apart are cards whose wire leads to nobody.
	Apart []int
	// Table is an ACPI table that the machine's firmware has; nil is none.
	Table []byte
	// Cables are the server's cards, from 0, that the cards of the machine lead
	// to; the server has as many. nil: all are on one wire, with its only one.
	Cables []int
	// Lose says which frames of the machine that boots are lost: n counts
	// those that went before. nil loses none.
	Lose func(n int, frame []byte) bool
	// Netboot: the firmware fetches the kernel, the initramfs and the command line
	// too, from NetbootDir of the server, as its boot.ipxe says, or all in one, as
	// boot.efi.
	Netboot bool
}

// NetbootDir is the directory of the server with what a firmware fetches.
const NetbootDir = "/www"

// Network is a running one.
type Network struct {
	server *vm.VM
	ports  []*net.UnixConn
	peers  []string // QEMU's sockets, in the order of ports
	lose   func(int, []byte) bool
	apart  map[int]bool
	wire   []int // of each port: the wire that it is on
	cards  int   // ports of the server; those that follow are the machine's
	sent   int
	mu     sync.Mutex
	// queues hold the frames for each port: a card that takes nothing must not
	// hold up the others.
	queues        []chan []byte
	senders, done sync.WaitGroup
}

// Start starts the server and returns when it is ready. nics are those of the
// machine that boots.
func (n *Net) Start(ctx context.Context, made map[string]disks.Made, dir string, sums map[string]string) (w *Network, nics []vm.NIC, err error) {
	sockets, err := os.MkdirTemp("", "flnet") // the paths of sockets are short
	if err != nil {
		return nil, nil, err
	}
	w = &Network{lose: n.Lose, apart: map[int]bool{}, cards: 1}
	var all []vm.NIC
	if len(n.Cables) > 0 {
		w.cards = slices.Max(n.Cables) + 1
	}
	for i := range w.cards {
		all, w.wire = append(all, vm.NIC{Model: n.Server.Model, MAC: fmt.Sprintf("52:54:00:07:00:%02x", i+1)}), append(w.wire, i)
	}
	for _, i := range n.Apart {
		w.apart[w.cards+i] = true
	}
	for i := range n.NICs {
		wire := 0
		if n.Cables != nil {
			wire = n.Cables[i]
		}
		all, w.wire = append(all, n.NICs[i]), append(w.wire, wire)
	}
	for i := range all {
		all[i].Local, all[i].Remote = filepath.Join(sockets, fmt.Sprintf("q%d", i)), filepath.Join(sockets, fmt.Sprintf("h%d", i))
		if all[i].MAC == "" {
			all[i].MAC = fmt.Sprintf("52:54:00:07:01:%02x", i-w.cards+1)
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: all[i].Remote, Net: "unixgram"})
		if err != nil {
			w.Close()
			return nil, nil, err
		}
		w.ports, w.peers = append(w.ports, c), append(w.peers, all[i].Local)
	}
	for range w.ports {
		w.queues = append(w.queues, make(chan []byte, 1024))
	}
	for i := range w.ports {
		w.senders.Add(1)
		go w.forward(i)
		w.done.Add(1)
		go w.deliver(i)
	}
	if err := w.startServer(ctx, n.Server, all[:w.cards], made, dir, sums); err != nil {
		w.Close()
		return nil, nil, fmt.Errorf("the server: %w", err)
	}
	return w, all[w.cards:], nil
}

// forward carries what a card sends to all others.
func (w *Network) forward(from int) {
	defer w.senders.Done()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := w.ports[from].ReadFromUnix(buf)
		if err != nil {
			return // closed
		}
		if w.apart[from] || from >= w.cards && w.lost(buf[:n]) {
			continue
		}
		for i := range w.ports {
			if i != from && !w.apart[i] && w.wire[i] == w.wire[from] {
				select {
				case w.queues[i] <- slices.Clone(buf[:n]):
				default: // a card that is not set up takes nothing out
				}
			}
		}
	}
}

// deliver hands the frames for a card to QEMU.
func (w *Network) deliver(to int) {
	defer w.done.Done()
	for frame := range w.queues[to] {
		w.ports[to].WriteToUnix(frame, &net.UnixAddr{Name: w.peers[to], Net: "unixgram"}) // who is not there hears nothing
	}
}

func (w *Network) lost(frame []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	return w.lose != nil && w.lose(w.sent-1, frame)
}

// sayPatience is how long the server may take for the last of what it is to say.
const sayPatience = time.Minute

// Said looks for texts on the server's console.
func (w *Network) Said(ctx context.Context, texts []string) (problems []string) {
	ctx, cancel := context.WithTimeout(ctx, sayPatience)
	defer cancel()
	for _, text := range texts {
		if _, err := w.server.Console.Expect(ctx, 0, text); err != nil {
			problems = append(problems, fmt.Sprintf("the server did not say %q: %v", text, err))
		}
	}
	return problems
}

func (w *Network) Close() {
	if w.server != nil {
		w.server.Close()
	}
	for _, c := range w.ports {
		c.Close()
	}
	w.senders.Wait()
	for _, q := range w.queues {
		close(q)
	}
	w.done.Wait()
	if len(w.peers) > 0 {
		os.RemoveAll(filepath.Dir(w.peers[0]))
	}
}
