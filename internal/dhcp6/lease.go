package dhcp6

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"firstlight/internal/dns"
	"firstlight/internal/duid"
	"firstlight/internal/fmt"
	"firstlight/internal/timespan"
)

// Limits of what is taken from one answer.
const (
	maxAddrs   = 8
	maxServers = 8
	maxDomains = 32
	maxParams  = 16
	maxNotes   = 16
	maxText    = 2048
	minLease   = 10 * time.Second
	minRenew   = 5 * time.Second
)

// Addr is one address of a lease. A network does not belong to it: what else is
// on the link is what routers say.
type Addr struct {
	Addr netip.Addr
	// Preferred and Valid count from when the answer came; timespan.Forever has
	// no end.
	Preferred, Valid time.Duration
}

// Lease is what a server has given, checked.
type Lease struct {
	Addrs      []Addr // none if only the rest was asked for
	Server     []byte // the server's DUID
	DNS, NTP   []netip.Addr
	Search     []string
	BootURL    string   // what to boot, RFC 5970
	BootParams []string // and with what
	// Renew (T1) and Rebind (T2) count from when the answer came, as do Valid
	// of the addresses. Without addresses Renew is when to ask again.
	Renew, Rebind time.Duration
	// Notes are what of the answer was not used.
	Notes []string

	preference byte
}

// Lifetime is the longest time for which an address is valid.
func (l *Lease) Lifetime() time.Duration {
	var d time.Duration
	for _, a := range l.Addrs {
		d = max(d, a.Valid)
	}
	return d
}

func (l *Lease) note(format string, args ...any) {
	if len(l.Notes) < maxNotes {
		l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
	}
}

var (
	errNoServer = errors.New("it does not say which server it is from")
	errNoIA     = errors.New("nothing in it is for our interface")
	errNoAddr   = errors.New("no address in it that can be used")
)

// StatusError is a server's refusal.
type StatusError struct {
	Status Status
	Text   string // the server's words, checked; "" if there are none
}

// Error says what the server said.
func (e *StatusError) Error() string {
	if e.Text == "" {
		return e.Status.String()
	}
	return fmt.Sprintf("%s (%q)", e.Status, e.Text)
}

// status is the refusal in the options, nil if there is none.
func status(o Options) error {
	code, words := o.Status()
	if code == Success {
		return nil
	}
	s, _ := text(words)
	return &StatusError{code, s}
}

// Lease is what an advertisement or a reply gives to the interface with the
// number, or what makes it useless. stateless wants no addresses.
func (m *Message) Lease(iaid uint32, stateless bool) (*Lease, error) {
	l := &Lease{Server: m.Options.Get(OptServerID)}
	if !duid.Valid(l.Server) {
		return nil, errNoServer
	}
	if err := status(m.Options); err != nil {
		return nil, err
	}
	if v := m.Options.Get(OptPreference); len(v) == 1 {
		l.preference = v[0]
	}
	l.extras(m.Options)
	if stateless {
		l.Renew, l.Rebind = refresh(m.Options), timespan.Forever
		return l, nil
	}
	for _, o := range m.Options {
		if o.Code != OptIANA || len(o.Data) < 12 || binary.BigEndian.Uint32(o.Data) != iaid {
			continue
		}
		if err := l.addresses(o.Data); err != nil {
			return nil, err
		}
		return l, nil
	}
	return nil, errNoIA
}

// addresses reads an IA_NA, section 21.4.
func (l *Lease) addresses(v []byte) error {
	inner, err := parseOptions(v[12:])
	if err != nil {
		return err
	}
	if err := status(inner); err != nil {
		return err
	}
	shortest := timespan.Forever
	for _, o := range inner {
		if o.Code != OptIAAddr || len(o.Data) < 24 {
			continue
		}
		a := Addr{netip.AddrFrom16([16]byte(o.Data[:16])), seconds(o.Data[16:]), seconds(o.Data[20:])}
		sub, err := parseOptions(o.Data[24:])
		if err != nil {
			return err
		}
		if err := status(sub); err != nil {
			l.note("%s: %v", a.Addr, err)
			continue
		}
		switch {
		case !isHost(a.Addr):
			l.note("%s is not an address for a host", a.Addr)
		case a.Valid < minLease:
			l.note("%s is valid for %d s, less than %d s", a.Addr, int64(a.Valid/time.Second), int64(minLease/time.Second))
		case a.Preferred > a.Valid:
			l.note("%s is preferred for longer than it is valid", a.Addr)
		case len(l.Addrs) == maxAddrs:
			l.note("more than %d addresses", maxAddrs)
		default:
			l.Addrs = append(l.Addrs, a)
			if a.Preferred > 0 {
				shortest = min(shortest, a.Preferred)
			} else {
				shortest = min(shortest, a.Valid)
			}
		}
	}
	if len(l.Addrs) == 0 {
		return errNoAddr
	}
	l.times(seconds(v[4:]), seconds(v[8:]), shortest)
	return nil
}

// times sets T1 and T2: the server's, if they make sense, else half and four
// fifths of the shortest time for which an address is preferred.
func (l *Lease) times(t1, t2, shortest time.Duration) {
	shortest = max(shortest, minLease)
	l.Renew, l.Rebind = part(shortest, 1, 2), part(shortest, 4, 5)
	switch life := l.Lifetime(); {
	case t1 == 0 && t2 == 0:
	case t1 >= minRenew && t1 <= t2 && (t2 < life || life == timespan.Forever):
		l.Renew, l.Rebind = t1, t2
	case t1 >= minRenew && t2 == 0 && t1 < life:
		l.Renew, l.Rebind = t1, max(t1, l.Rebind)
	default:
		l.note("times of renewal make no sense for addresses that are valid for %d s", int64(life/time.Second))
	}
}

// part is n mths of a time that may have no end.
func part(d time.Duration, n, m time.Duration) time.Duration {
	if d == timespan.Forever {
		return d
	}
	return d / m * n
}

// refresh is when to ask again for what goes with addresses, section 21.23.
func refresh(o Options) time.Duration {
	const usual, least = 24 * time.Hour, 600 * time.Second
	v := o.Get(OptRefresh)
	if len(v) != 4 {
		return usual
	}
	return max(seconds(v), least)
}

// extras reads what goes with addresses.
func (l *Lease) extras(o Options) {
	l.DNS = addrs(o.Get(OptDNS))
	l.NTP = addrs(o.Get(OptSNTP))
	for v := o.Get(OptNTP); len(v) >= 4; {
		code, n := binary.BigEndian.Uint16(v), int(binary.BigEndian.Uint16(v[2:]))
		if v = v[4:]; n > len(v) {
			break
		}
		if code == 1 && n == 16 { // a server's address
			l.NTP = append(l.NTP, addrs(v[:n])...)
		}
		v = v[n:]
		if len(l.NTP) >= maxServers {
			break
		}
	}
	for v := o.Get(OptDomains); len(v) > 0; {
		name, rest, ok := dns.Domain(v)
		if !ok {
			l.note("the domains to search cannot be read")
			l.Search = nil
			break
		}
		if v = rest; name != "" && len(l.Search) < maxDomains {
			l.Search = append(l.Search, name)
		}
	}
	if v := o.Get(OptBootURL); len(v) > 0 {
		s, ok := text(v)
		if !ok || strings.ContainsAny(s, " \u00a0") {
			l.note("the URL to boot has characters that no URL has")
		} else {
			l.BootURL = s
		}
	}
	for v := o.Get(OptBootParam); len(v) >= 2 && len(l.BootParams) < maxParams; {
		n := int(binary.BigEndian.Uint16(v))
		if v = v[2:]; n > len(v) {
			l.note("the parameters to boot with are cut")
			break
		}
		if s, ok := text(v[:n]); ok {
			l.BootParams = append(l.BootParams, s)
		}
		v = v[n:]
	}
}

// addrs reads a list of addresses and keeps those that a host can have.
func addrs(v []byte) []netip.Addr {
	var list []netip.Addr
next:
	for ; len(v) >= 16 && len(list) < maxServers; v = v[16:] {
		a := netip.AddrFrom16([16]byte(v[:16]))
		if !isHost(a) && !a.IsLinkLocalUnicast() {
			continue
		}
		for _, b := range list {
			if a == b {
				continue next
			}
		}
		list = append(list, a)
	}
	return list
}

// isHost says whether the address may be given to an interface.
func isHost(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

// text reads UTF-8 that can be seen, on one line.
func text(v []byte) (string, bool) {
	if len(v) == 0 || len(v) > maxText || !utf8.Valid(v) {
		return "", false
	}
	s := string(v)
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return "", false
		}
	}
	return s, true
}
