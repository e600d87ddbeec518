package sshfshelper

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"firstlight/internal/sshfs"
)

// What the program that waits for the server says is understood by what hears it.
func TestWhyAServerIsNotReachedIsUnderstood(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if err := try(at.Addr(), at.Port()); err != nil {
		t.Errorf("who listens is not reached: %v", err)
	}
	l.Close()
	err = try(at.Addr(), at.Port())
	if err == nil {
		t.Fatal("who is gone is reached")
	}
	e := sshfs.Ear{Target: sshfs.Target{User: "root", Server: "127.0.0.1", Path: "/"}}
	if r, _ := e.Hear("connect to host 127.0.0.1 port 22: " + why(err)); !strings.Contains(r.Get("text"), "no SSH server answers at port 22") {
		t.Error(r)
	}
	if err := try(netip.MustParseAddr("fe80::1%nothing"), 22); err == nil || !strings.Contains(err.Error(), "the link nothing") {
		t.Errorf("a link that is not there: %v", err)
	}
	if err := try(netip.MustParseAddr("::1%lo"), 22); err != nil && strings.Contains(err.Error(), "the link") {
		t.Errorf("a link that is there: %v", err)
	}
	for _, args := range [][]string{nil, {"10.0.0.1", "22"}, {"nas", "22", "x"}, {"10.0.0.1", "ssh", "x"}} {
		if Connect(args) == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
