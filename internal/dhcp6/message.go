// Package dhcp6 speaks DHCP for IPv6 (RFC 8415): messages, and the client's
// side of the conversation, for addresses or only for what goes with them.
//
// It is pure, as package dhcp4 is: packets, the state of the link and the time
// come in; packets, the next deadline and what became of the lease go out.
package dhcp6

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"firstlight/internal/timespan"
)

// Type is the type of a message.
type Type byte

// The types that a client sends or takes.
const (
	Solicit            Type = 1
	Advertise          Type = 2
	Request            Type = 3
	Confirm            Type = 4
	Renew              Type = 5
	Rebind             Type = 6
	Reply              Type = 7
	Release            Type = 8
	Decline            Type = 9
	InformationRequest Type = 11
)

// The ports of both sides. Clients send to AllServers.
const (
	ServerPort = 547
	ClientPort = 546
)

// AllServers is the group of the servers and relays of a link, ff02::1:2.
func AllServers() netip.Addr {
	return netip.AddrFrom16([16]byte{0xff, 2, 13: 1, 15: 2})
}

// Code is the number of an option.
type Code uint16

// The options that are read or written here.
const (
	OptClientID    Code = 1
	OptServerID    Code = 2
	OptIANA        Code = 3
	OptIAAddr      Code = 5
	OptRequest     Code = 6
	OptPreference  Code = 7
	OptElapsed     Code = 8
	OptStatus      Code = 13
	OptRapidCommit Code = 14
	OptUserClass   Code = 15
	OptVendorClass Code = 16
	OptDNS         Code = 23 // RFC 3646
	OptDomains     Code = 24
	OptSNTP        Code = 31 // RFC 4075
	OptRefresh     Code = 32
	OptFQDN        Code = 39 // RFC 4704
	OptNTP         Code = 56 // RFC 5908
	OptBootURL     Code = 59 // RFC 5970
	OptBootParam   Code = 60
)

// Status is a status code, section 21.13.
type Status uint16

// The status codes that a client acts on.
const (
	Success      Status = 0
	NoAddrsAvail Status = 2
	NoBinding    Status = 3
	NotOnLink    Status = 4
)

// String is the RFC's name.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown status"
}

var statusNames = [...]string{"Success", "UnspecFail", "NoAddrsAvail", "NoBinding", "NotOnLink", "UseMulticast", "NoPrefixAvail"}

// Option is one option.
type Option struct {
	Code Code
	Data []byte
}

// Options are those of a message or of another option, in order. An option may
// be there several times.
type Options []Option

// maxOptions bounds the options of one message. None needs as many.
const maxOptions = 128

// Message is one message of a client or a server.
type Message struct {
	Type    Type
	XID     uint32 // 24 bits
	Options Options
}

var (
	errShort = errors.New("DHCPv6 message is too short")
	errRelay = errors.New("a message for relays")
	errMany  = errors.New("DHCPv6 message has too many options")
	errCut   = errors.New("DHCPv6 option goes beyond the message")
)

// Parse reads a message, the payload of a UDP packet. It copies nothing: the
// message refers to b.
func Parse(b []byte) (*Message, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	if b[0] == 12 || b[0] == 13 {
		return nil, errRelay
	}
	m := &Message{Type: Type(b[0]), XID: binary.BigEndian.Uint32(b) & 0xffffff}
	var err error
	m.Options, err = parseOptions(b[4:])
	if err != nil {
		return nil, err
	}
	return m, nil
}

func parseOptions(b []byte) (Options, error) {
	var list Options
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errCut
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return nil, errCut
		}
		if len(list) == maxOptions {
			return nil, errMany
		}
		list = append(list, Option{Code(binary.BigEndian.Uint16(b)), b[4:n:n]})
		b = b[n:]
	}
	return list, nil
}

// Append adds the message in its form on the wire to b.
func (m *Message) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(m.Type)<<24|m.XID&0xffffff)
	return m.Options.append(b)
}

func (o Options) append(b []byte) []byte {
	for _, opt := range o {
		b = binary.BigEndian.AppendUint16(b, uint16(opt.Code))
		b = binary.BigEndian.AppendUint16(b, uint16(len(opt.Data)))
		b = append(b, opt.Data...)
	}
	return b
}

// Get is the data of the first option with the code, nil if there is none; an
// option without data has an empty slice that is not nil.
func (o Options) Get(c Code) []byte {
	for i := range o {
		if o[i].Code == c {
			return o[i].Data
		}
	}
	return nil
}

// Has says whether the option is there.
func (o Options) Has(c Code) bool { return o.Get(c) != nil }

// Status is the status code, Success if there is none, and the server's words.
func (o Options) Status() (Status, []byte) {
	v := o.Get(OptStatus)
	if len(v) < 2 {
		return Success, nil
	}
	return Status(binary.BigEndian.Uint16(v)), v[2:]
}

// seconds reads a time, of which all ones is forever.
func seconds(b []byte) time.Duration {
	n := binary.BigEndian.Uint32(b)
	if n == 1<<32-1 {
		return timespan.Forever
	}
	return time.Duration(n) * time.Second
}
