package nbdhelper

import (
	"firstlight/internal/nbd"
	"firstlight/internal/nbdup"
)

// Connect is connect, for tests from outside.
func Connect(t nbdup.Target, secure Secure) (fd int, info nbd.Info, err error) {
	c, info, err := connect(t, secure)
	if err != nil {
		return -1, info, err
	}
	return c.fd, info, nil
}
