// Package tangtls is TLS for Tang servers: who they are is proved to this machine by
// the authorities of its image.
package tangtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"firstlight/internal/tanghelper"
)

// Dir is the directory with certificates of authorities, one NAME.crt each, beside
// those of the host (bundles).
const Dir = "/etc/firstlight/clevis"

// bundles are where distributions have the authorities.
var bundles = [...]string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// handshake is how long it may take.
const handshake = 10 * time.Second

// Client is TLS with the authorities below a directory, "" in an image. Without any
// it connects to nobody.
func Client(root string) tanghelper.Secure {
	pool, some := x509.NewCertPool(), false
	names := bundles[:]
	list, _ := os.ReadDir(root + Dir)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".crt") {
			names = append(names, Dir+"/"+e.Name())
		}
	}
	for _, name := range names {
		if pem, err := os.ReadFile(root + name); err == nil && pool.AppendCertsFromPEM(pem) {
			some = true
		}
	}
	return func(c net.Conn, host string) (net.Conn, error) {
		if !some {
			return nil, errors.New("this image has no certificates of authorities, by which to know it: put the authority's certificate into " + Dir + "/NAME.crt of the host, and rebuild the image")
		}
		s := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12})
		c.SetDeadline(time.Now().Add(handshake))
		if err := s.Handshake(); err != nil {
			return nil, fmt.Errorf("no secure connection to it can be made: %w", err)
		}
		return s, nil
	}
}
