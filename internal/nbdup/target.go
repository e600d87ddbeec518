// Package nbdup decides how an export of an NBD server becomes a device of this
// machine, and stays one when the server is restarted. It is the core of the
// helper program nbd, and runs in the simulator too.
//
// It reads no clock and opens no socket: what comes of a connection comes in with
// its time, and what is to be done goes to an Edge. It never waits; Next is when
// it wants to be called again.
package nbdup

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/nbd"
	"firstlight/internal/netreport"
)

// Target is the export that is wanted.
type Target struct {
	Server netip.Addr
	Name   string // of the server, "" where it was named by its address
	Port   uint16
	Export string
	FSType string // of what is in it, "" where nothing is said
	Mount  string // options of mounting it
	// Index is that of the device: the number of the root, unless another is named,
	// so that which of several is /dev/nbd0 depends on nothing else.
	Index int
	Options
}

// Options are those of nbd-client(8) that make a difference here.
type Options struct {
	Connections int    // with a server that lets several be used
	Timeout     uint64 // seconds until a request that is not answered breaks a connection, 0 for never
	DeadConn    uint64 // seconds that requests wait for another connection
	ReadOnly    bool
	// TLS encrypts. Host is the name that the server has to prove, "" for what it
	// was named by; Cert, Key and CA are files.
	TLS                 bool
	Host, Cert, Key, CA string
}

// Directory has the certificates of an image.
const Directory = "/etc/firstlight/nbd/"

// patience is how long requests wait for a server that went away, unless told
// otherwise: a day. A root that returns errors instead is lost.
const patience = 24 * 60 * 60

// maxConnections bounds the connections to one export.
const maxConnections = 16

// ParseOptions reads the options of nbd-client, separated by commas or blanks,
// with or without the hyphens before them. It returns those that it does not know.
func ParseOptions(text string) (o Options, unknown []string) {
	o = Options{Connections: 1, DeadConn: patience, CA: Directory + "ca.pem"}
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		name, value, has := strings.Cut(strings.TrimLeft(word, "-"), "=")
		str := func(dst *string) {
			if !has && len(words) > 0 {
				value, words = words[0], words[1:]
			}
			*dst = value
			if value == "" {
				unknown = append(unknown, word)
			}
		}
		number := func(dst *uint64, most uint64) {
			s := ""
			str(&s)
			if n, err := strconv.ParseUint(s, 10, 32); err == nil && n <= most {
				*dst = n
			} else if s != "" {
				unknown = append(unknown, word)
			}
		}
		switch name {
		case "connections", "C":
			n := uint64(1)
			number(&n, maxConnections)
			o.Connections = int(max(n, 1))
		case "timeout", "t":
			number(&o.Timeout, 1<<20)
		case "dead-timeout", "dead-conn-timeout":
			number(&o.DeadConn, 1<<30)
		case "readonly", "R":
			o.ReadOnly = true
		case "tls", "enable-tls", "x":
			o.TLS = true
		case "tlshostname", "H":
			o.TLS = true
			str(&o.Host)
		case "certfile", "F":
			o.TLS = true
			str(&o.Cert)
		case "keyfile", "K":
			o.TLS = true
			str(&o.Key)
		case "cacertfile", "A":
			o.TLS = true
			str(&o.CA)
		case "persist", "p", "swap", "s", "systemd-mark", "m", "nofork", "n", "no-optgo", "g", "preinit", "P": // it is so anyway, or makes no difference
		default:
			unknown = append(unknown, word)
		}
	}
	return o, unknown
}

// Parse finds what is wanted in what the boot hands to the helper, which is the
// network's report of the root. lacks are options that are not known.
func Parse(text string) (t Target, lacks []string, err error) {
	r, valid := netreport.ParseReport(strings.TrimSuffix(text, "\n"))
	if !valid || r.State != netreport.StateRoot {
		return t, nil, errors.New("no report of a root was handed over")
	}
	if kind := r.Get("kind"); kind != "nbd" {
		return t, nil, fmt.Errorf("a root of the kind %s was handed over", kind)
	}
	t = Target{Name: r.Get("name"), Port: nbd.Port, Export: r.Get("export"), FSType: r.Get("fstype"), Mount: r.Get("options"), Index: r.Int("n")}
	if port := r.Get("port"); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return t, nil, fmt.Errorf("%q is not a port", port)
		}
		t.Port = uint16(n)
	}
	if n, ok := strings.CutPrefix(r.Get("device"), "nbd"); ok {
		if t.Index, err = strconv.Atoi(n); err != nil {
			return t, nil, err
		}
	}
	t.Options, lacks = ParseOptions(r.Get("nbd"))
	t.Server, err = netip.ParseAddr(r.Get("server"))
	return t, lacks, err
}

// Address is that of the server.
func (t Target) Address() netip.AddrPort { return netip.AddrPortFrom(t.Server, t.Port) }

// Verify is the name that the server's certificate has to be for.
func (t Target) Verify() string {
	switch {
	case t.Host != "":
		return t.Host
	case t.Name != "":
		return t.Name
	}
	return t.Server.String()
}

// String is what the device is connected to: also the kernel's word for it.
func (t Target) String() string {
	name := t.Export
	if name == "" {
		name = "(default)"
	}
	return name + " of " + t.Address().String()
}
