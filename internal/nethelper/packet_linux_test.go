package nethelper

import (
	"net"
	"testing"

	"firstlight/internal/netup"
)

// A hardware address of InfiniBand's length is handed to the kernel whole. The
// loopback takes any.
func TestLongHardwareAddress(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	p, err := openPackets(lo.Index, netup.IPv4)
	if err != nil {
		t.Skip(err) // not root
	}
	if err := p.send(netup.Frame{Kind: netup.IPv4, Peer: make([]byte, 20), Data: []byte{0x45}}); err != nil {
		t.Error(err)
	}
	if err := p.send(netup.Frame{Kind: netup.IPv4, Peer: make([]byte, 64), Data: []byte{0x45}}); err == nil {
		t.Error("an address of 64 bytes is taken")
	}
}
