package fetchhelper

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
)

// tlsConfig is whom to believe.
type tlsConfig struct {
	pool *x509.CertPool
	some bool // there are authorities
	any  bool // rd.noverifyssl
}

// bundles are where distributions have the authorities, and what an image was
// given besides.
var bundles = [...]string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

func (t *tlsConfig) load(root string) {
	t.pool = x509.NewCertPool()
	for _, n := range append(trustfiles.Files(root, ".crt"), bundles[:]...) {
		if b, err := os.ReadFile(root + n); err == nil {
			t.some = t.pool.AppendCertsFromPEM(b) || t.some
		}
	}
}

// secure speaks TLS over a connection.
func (t *tlsConfig) secure(c net.Conn, host string) (net.Conn, error) {
	s := tls.Client(c, &tls.Config{RootCAs: t.pool, ServerName: host, InsecureSkipVerify: t.any, MinVersion: tls.VersionTLS12})
	c.SetDeadline(time.Now().Add(stallPatience))
	err := s.Handshake()
	c.SetDeadline(time.Time{})
	if err == nil {
		return s, nil
	}
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown) && !t.some:
		return nil, &fetch.Refusal{Text: "this image has no certificates of authorities, by which to know " + host, Try: "rebuild the image with ca-certificates installed, or put the authority's certificate into it (" + fetch.Dir + "/NAME.crt)"}
	case errors.As(err, &unknown):
		return nil, &fetch.Refusal{Text: "the certificate of " + host + " is of an authority that this image does not know", Try: "put the authority's certificate into the image (" + fetch.Dir + "/NAME.crt)"}
	case errors.As(err, &name):
		return nil, &fetch.Refusal{Text: "the server that answers for " + host + " has a certificate of another name", Try: "name the server as its certificate does"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil, &fetch.Refusal{Text: "the certificate of " + host + " is not valid at the time of this machine's clock, " + time.Now().UTC().Format("2006-01-02 15:04"), Try: "set the clock, or renew the certificate"}
	case errors.As(err, &invalid):
		return nil, &fetch.Refusal{Text: "the certificate of " + host + " cannot be used: " + err.Error(), Try: "correct the certificate of the server"}
	}
	return nil, errors.New(host + " does not agree on TLS: " + err.Error())
}

// link is a connection to the server of a URL, or to a proxy before it.
type link struct {
	tcp    conn
	c      net.Conn // the same, or TLS over it
	secret string   // user and password of the proxy
	whole  bool     // the proxy wants whole URLs
}

// open connects to where a URL is asked for.
func (h *dialer) open(u fetchplan.URL) (l link, err error) {
	host, port := u.Host, u.Port
	if h.proxy != nil {
		host, port, l.whole = h.proxy.Host, h.proxy.Port, u.Scheme == "http"
		if h.proxy.User != "" {
			l.secret = h.proxy.User + ":" + h.proxy.Password
		}
	}
	if l.tcp, err = h.reach(host, port); err != nil {
		return l, err
	}
	l.c = l.tcp
	if u.Scheme == "https" {
		if h.proxy != nil {
			err = tunnel(l.tcp, u, l.secret)
			l.secret = ""
		}
		if err == nil {
			l.c, err = h.tls.secure(l.tcp, u.Host)
		}
	}
	if err != nil {
		l.tcp.Close()
	}
	return l, err
}

// http asks once by HTTP. done says that everything has come.
func (h *Helper) http(s *fetch.Session, to sink, progress bool) (done bool, err error) {
	u := s.URL
	l, err := h.open(u)
	if err != nil {
		return false, err
	}
	defer l.tcp.Close()
	c, tcp := l.c, l.tcp
	alive := func() { tcp.SetDeadline(time.Now().Add(stallPatience)) }
	alive()
	if _, err := io.WriteString(c, fetch.Ask(u, s.Offset, s.Validator, s.Known, l.whole, l.secret)); err != nil {
		return false, broken(s, err)
	}
	r := bufio.NewReaderSize(c, 64<<10)
	head, err := fetch.ReadHead(r)
	if err != nil {
		return false, broken(s, err)
	}
	step, err := s.Head(head)
	if err != nil {
		return false, err
	}
	switch step {
	case fetch.Complete:
		return true, nil
	case fetch.Follow:
		return false, nil
	case fetch.Restart:
		if err := to.reset(); err != nil {
			return false, err
		}
	}
	return true, h.take(s, fetch.Body(head, r), to, progress, alive)
}

// tunnel has a proxy connect to a server.
func tunnel(c conn, u fetchplan.URL, secret string) error {
	c.SetDeadline(time.Now().Add(stallPatience))
	host := u.Authority()
	if u.Port == 443 {
		host += ":443"
	}
	if _, err := io.WriteString(c, fetch.Tunnel(host, secret)); err != nil {
		return err
	}
	// Nothing of what follows may be read ahead: it is the server's.
	r := bufio.NewReaderSize(onebyte{c}, 16)
	head, err := fetch.ReadHead(r)
	if err != nil {
		return err
	}
	if head.Code != 200 {
		return errors.New("the proxy does not connect to " + host + ": it answers " + head.Reason)
	}
	return nil
}

// onebyte reads no further than it is asked for.
type onebyte struct{ io.Reader }

func (o onebyte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }
