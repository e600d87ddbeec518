// Package nbdtls encrypts connections to NBD servers: the kernel's driver cannot,
// so that it gets one end of a pair of sockets, and this process carries what is
// said between the other one and the server. It is for the helper program nbd-tls.
package nbdtls

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/nbdhelper"
	"firstlight/internal/nbdup"
	"firstlight/internal/plainnet"
)

// handshake is how long it may take.
const handshake = 10 * time.Second

// TLS implements nbdhelper.Secure.
type TLS struct{}

// Client implements nbdhelper.Secure.
func (TLS) Client(t nbdup.Target, fd int) (nbdhelper.Relay, error) {
	config, err := configOf(t)
	if err != nil {
		return nil, err
	}
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file, err := polled(copied, "server")
	if err != nil {
		return nil, err
	}
	plain := plainnet.Conn{File: file, Peer: t.Address()}
	plain.SetDeadline(time.Now().Add(handshake))
	secure := tls.Client(plain, config)
	if err := secure.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	return &relay{Conn: secure}, nil
}

// configOf is what a server has to prove, and by what this machine does.
func configOf(t nbdup.Target) (*tls.Config, error) {
	config := &tls.Config{ServerName: t.Verify(), RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the server's authority: %w", err)
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", t.CA)
	}
	cert, key := t.Cert, t.Key
	if cert == "" {
		cert = nbdup.Directory + "cert.pem"
		if _, err := os.Stat(cert); err != nil {
			return config, nil
		}
	}
	if key == "" {
		key = nbdup.Directory + "key.pem"
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of this machine: %w", err)
	}
	config.Certificates = []tls.Certificate{own}
	return config, nil
}

// polled is a file that is waited for with the others of this process. It is closed
// if that cannot be.
func polled(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// relay is a connection with its encryption in this process.
type relay struct{ *tls.Conn }

// Start implements nbdhelper.Relay. When either side ends, so does the other, and
// the kernel tells that the connection broke.
func (r *relay) Start() (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ours, err := polled(pair[1], "kernel")
	if err != nil {
		unix.Close(pair[0])
		return -1, err
	}
	r.SetDeadline(time.Time{})
	for _, d := range [...]struct {
		to   io.Writer
		from io.Reader
	}{{r.Conn, ours}, {ours, r.Conn}} {
		go func() {
			carry(d.to, d.from)
			ours.Close()
			r.NetConn().Close() // no farewell, which might wait
		}()
	}
	return pair[0], nil
}

// carry copies until one side ends. Its memory is taken once, as none may be had
// while the kernel waits for this disk.
func carry(to io.Writer, from io.Reader) {
	buf := make([]byte, 128<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
