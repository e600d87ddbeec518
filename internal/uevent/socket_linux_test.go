package uevent

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/testtool"
)

// aDevice is on every machine, and nobody minds its events.
const aDevice = "/devices/virtual/mem/null"

// listener opens the socket and empties it.
func listener(t *testing.T) *Socket {
	t.Helper()
	testtool.Root(t)
	testtool.Writable(t, "/sys"+aDevice+"/uevent")
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// change makes the kernel send a change event of the device.
func change(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/sys"+aDevice+"/uevent", []byte("change"), 0); err != nil {
		t.Fatal(err)
	}
}

// await receives until what is looked for comes, for ten seconds at most.
func await(t *testing.T, s *Socket, found func(*Message, error) bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		m, err := s.Receive()
		if found(m, err) {
			return
		}
		if errors.Is(err, ErrEmpty) {
			unix.Poll([]unix.PollFd{{Fd: int32(s.FD()), Events: unix.POLLIN}}, 100)
		}
	}
	t.Fatal("it has not come in ten seconds")
}

func isChange(m *Message, err error) bool {
	return err == nil && m.Action == "change" && m.Devpath == aDevice
}

func TestKernelIsHeardAndTheBufferIsLarge(t *testing.T) {
	s := listener(t)
	if n, err := unix.GetsockoptInt(s.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || n < receiveBuffer {
		t.Errorf("the receive buffer has %d bytes, %v", n, err)
	}
	change(t)
	await(t, s, func(m *Message, err error) bool { return isChange(m, err) && m.Seqnum > 0 })
}

// Whoever is not the kernel is not believed, not even the superuser, whether it
// speaks to us alone or to everybody in the kernel's group.
func TestMessagesOfOthersAreDroppedAndCounted(t *testing.T) {
	s := listener(t)
	name, err := unix.Getsockname(s.FD())
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	forged := message("add@/devices/forged", "ACTION=add", "DEVPATH=/devices/forged", "SUBSYSTEM=block", "DEVNAME=sda", "SEQNUM=7")
	sent := 0
	for _, to := range []*unix.SockaddrNetlink{
		{Family: unix.AF_NETLINK, Pid: name.(*unix.SockaddrNetlink).Pid},
		{Family: unix.AF_NETLINK, Groups: kernelGroup},
	} {
		if err := unix.Sendto(fd, forged, 0, to); err == nil {
			sent++
		}
	}
	if sent == 0 {
		t.Fatal("nothing could be forged, so that nothing is tested")
	}
	change(t) // comes after what was forged
	await(t, s, func(m *Message, err error) bool {
		if err == nil && m.Devpath == "/devices/forged" {
			t.Errorf("a forged message was taken: %+v", m)
		}
		return isChange(m, err)
	})
	if s.Dropped() < sent {
		t.Errorf("%d of %d forged messages were counted", s.Dropped(), sent)
	}
}

// A burst that does not fit is told, once, and later messages still come.
func TestLostMessagesAreTold(t *testing.T) {
	s := listener(t)
	if err := unix.SetsockoptInt(s.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		change(t)
	}
	received := 0
	await(t, s, func(m *Message, err error) bool {
		if isChange(m, err) {
			received++
		}
		return errors.Is(err, ErrOverflow)
	})
	await(t, s, func(m *Message, err error) bool {
		if isChange(m, err) {
			received++
		}
		return errors.Is(err, ErrEmpty)
	})
	if received >= 200 {
		t.Errorf("all %d messages were received, so that none was lost", received)
	}
	change(t)
	await(t, s, isChange)
}
