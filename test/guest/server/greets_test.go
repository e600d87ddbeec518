package main

import (
	"net"
	"testing"
	"time"
)

// A server that was just started is waited for until it listens and speaks.
func TestAServerIsWaitedForUntilItGreets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	done := make(chan error, 1)
	go func() { done <- greets(address) }()
	time.Sleep(50 * time.Millisecond)
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("nobody has said anything, and it is content: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := c.Write([]byte("NBDMAGIC")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.Close()
}
