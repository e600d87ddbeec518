package sshfshelper

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/plainnet"
	"firstlight/internal/sshfs"
)

// dialPatience is how long a server is given to take a connection.
const dialPatience = 20 * time.Second

// Connect becomes ssh once the server takes connections; args are its address, its
// port, and then ssh's arguments. sshfs waits meanwhile, and whoever wants something of
// the filesystem too: without that a server that is started again would be an error of
// every file. It returns an error alone.
func Connect(args []string) error {
	if len(args) < 3 {
		return errors.New("not ADDRESS PORT ARGUMENTS")
	}
	a, err := netip.ParseAddr(args[0])
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		err := try(a, uint16(port))
		if err == nil {
			break
		}
		os.Stderr.WriteString("connect to host " + args[0] + " port " + args[1] + ": " + why(err) + "\n")
		<-time.After(pause(n))
	}
	return unix.Exec(programs+"/ssh", append([]string{sshfs.Client}, args[2:]...), os.Environ())
}

// try says whether somebody takes a connection.
func try(a netip.Addr, port uint16) error {
	if name := a.Zone(); name != "" {
		index, err := linkIndex(name)
		if err != nil {
			return fmt.Errorf("the link %s: %w", name, err)
		}
		a = a.WithZone(strconv.Itoa(index))
	}
	c, err := plainnet.Dial(netip.AddrPortFrom(a, port), time.Now().Add(dialPatience))
	if err == nil {
		err = c.Close()
	}
	return err
}

// why is what keeps a connection from being made, as ssh says it.
func why(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return "Connection timed out"
	case errors.Is(err, unix.ECONNREFUSED):
		return "Connection refused"
	case errors.Is(err, unix.EHOSTUNREACH):
		return "No route to host"
	case errors.Is(err, unix.ENETUNREACH):
		return "Network is unreachable"
	}
	return err.Error()
}

// linkIndex is the kernel's number of a link.
func linkIndex(name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, err
	}
	return int(r.Uint32()), nil
}
