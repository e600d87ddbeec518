package netfile

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/timespan"
)

// NetDev is what a .netdev file says: a link to make.
type NetDev struct {
	File, Name, Kind string
	MTU              uint32 // bytes; 0: nothing is said
	Address          []byte // of the hardware; nil: nothing is said
	// Options are the keys of the section of its kind, in their order.
	Options []Option
	// WireGuard's key, or where it is, and its peers.
	Secret *Secret
	Peers  []Peer
}

// Option is a key of a file.
type Option struct{ Name, Value string }

// Secret is a key of 32 bytes, or the file that has it.
type Secret struct {
	Key  [32]byte
	File string
}

// Peer is the other end of a tunnel of WireGuard.
type Peer struct {
	PublicKey [32]byte
	Preshared *Secret
	Endpoint  netip.AddrPort
	Keepalive uint16 // seconds
	Allowed   []netip.Prefix
}

// sections are the names of the sections for the kinds that are made.
var sections = map[string]string{"vlan": "VLAN", "bond": "Bond", "bridge": "Bridge", "macvlan": "MACVLAN", "ipvlan": "IPVLAN",
	"ipoib": "IPoIB", "wireguard": "WireGuard", "dummy": "Dummy"}

// ParseNetDevs reads files, which Choose has put in order.
func ParseNetDevs(files []File) (list []NetDev, problems []string) {
	for _, f := range files {
		d, bad := parseNetDev(f)
		for _, text := range bad {
			problems = append(problems, f.Path+": "+text)
		}
		if d.Name != "" {
			list = append(list, d)
		}
	}
	return list, problems
}

func parseNetDev(f File) (d NetDev, bad []string) {
	all := parse(f.Text)
	if m := joined(all, "Match"); len(m.pairs) > 0 {
		return d, []string{"it is for some machines alone, which cannot be judged in an initramfs: it is not used"}
	}
	s := joined(all, "NetDev")
	d.File, d.Kind = f.Path, s.get("Kind")
	section, known := sections[d.Kind]
	if !known {
		return d, []string{"Kind=" + d.Kind + " is not made in an initramfs"}
	}
	if d.Name = s.get("Name"); d.Name == "" {
		return d, []string{"it has no Name="}
	}
	if v := s.get("MTUBytes"); v != "" {
		n, ok := size(v)
		if !ok {
			bad = append(bad, "MTUBytes: "+v+" is not a size of packets")
		}
		d.MTU = n
	}
	if v := s.get("MACAddress"); v != "" && v != "none" {
		if d.Address = hardware(v); d.Address == nil {
			bad = append(bad, "MACAddress: "+v+" is not a hardware address")
		}
	}
	for _, p := range joined(all, section).pairs {
		switch {
		case d.Kind == "wireguard" && (p.key == "PrivateKey" || p.key == "PrivateKeyFile"):
			secret, ok := readSecret(p, "PrivateKey")
			if !ok {
				bad = append(bad, p.key+": not a key of WireGuard") // which is never repeated
				continue
			}
			d.Secret = secret
		case p.value != "":
			d.Options = append(d.Options, Option{p.key, p.value})
		}
	}
	for i := range all {
		if all[i].name != "WireGuardPeer" {
			continue
		}
		p, err := parsePeer(&all[i])
		if err != "" {
			bad = append(bad, "[WireGuardPeer] "+err)
			continue
		}
		d.Peers = append(d.Peers, p)
	}
	if d.Kind == "wireguard" && d.Secret == nil {
		bad = append(bad, "it has no PrivateKeyFile=")
		d.Name = ""
	}
	return d, bad
}

// readSecret reads a key, or the name of a file with one, which ends in "File".
func readSecret(p pair, key string) (*Secret, bool) {
	if p.key != key {
		return &Secret{File: p.value}, strings.HasPrefix(p.value, "/")
	}
	k, ok := Key(p.value)
	return &Secret{Key: k}, ok
}

// Key reads a key of WireGuard as wg(8) writes it.
func Key(text string) (k [32]byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != len(k) {
		return k, false
	}
	return [32]byte(b), true
}

func parsePeer(s *section) (p Peer, err string) {
	has := false
	for _, o := range s.pairs {
		ok := true
		switch o.key {
		case "PublicKey":
			p.PublicKey, ok = Key(o.value)
			has = ok
		case "PresharedKey", "PresharedKeyFile":
			if p.Preshared, ok = readSecret(o, "PresharedKey"); !ok {
				return p, o.key + ": not a key of WireGuard"
			}
		case "Endpoint":
			a, bad := netip.ParseAddrPort(o.value)
			if bad != nil {
				return p, "Endpoint: " + o.value + " is not ADDRESS:PORT; a name cannot be looked up before there is a network"
			}
			p.Endpoint = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		case "PersistentKeepalive":
			n, bad := strconv.ParseUint(o.value, 10, 16)
			p.Keepalive, ok = uint16(n), bad == nil || o.value == "off"
		case "AllowedIPs":
			for w := range strings.FieldsFuncSeq(o.value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
				a, good := prefix(w)
				ok = ok && good
				p.Allowed = append(p.Allowed, a)
			}
		case "RouteTable", "RouteMetric":
			return p, o.key + "= is not known here: name the networks with rd.route=NETWORK::LINK"
		}
		if !ok {
			return p, o.key + ": " + o.value + " cannot be used"
		}
	}
	if !has {
		return p, "it has no PublicKey="
	}
	return p, ""
}

func prefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// Network is what a .network file says of links that are made of others.
type Network struct {
	// Names are the links that it is for.
	Names []string
	// Master is the bond or bridge that they are put into, "" for none; On are the
	// links that are made on them (VLAN=, MACVLAN=, IPVLAN=, IPoIB=).
	Master string
	On     []string
	// Primary: of a bond they are the link that is preferred.
	Primary bool
}

// ParseNetworks reads files, which Choose has put in order. What they say of
// addresses is said by ip= in an initramfs, and passed over.
func ParseNetworks(files []File) (list []Network, problems []string) {
	var seen []string
	for _, f := range files {
		all := parse(f.Text)
		m, n := joined(all, "Match"), joined(all, "Network")
		net := Network{Names: m.list("Name")}
		if net.Master = n.get("Bond"); net.Master == "" {
			net.Master = n.get("Bridge")
		}
		net.Primary, _ = yes(n.get("PrimarySlave"))
		for _, key := range []string{"VLAN", "MACVLAN", "IPVLAN", "IPoIB"} {
			net.On = append(net.On, n.list(key)...)
		}
		if net.Master == "" && net.On == nil {
			continue
		}
		if len(m.pairs) == 0 || len(net.Names) == 0 || slices.ContainsFunc(m.pairs, func(p pair) bool { return p.key != "Name" }) ||
			slices.ContainsFunc(net.Names, func(s string) bool { return strings.ContainsAny(s, "*?[!") }) {
			problems = append(problems, f.Path+": its links have to be named one by one, with Name= alone: it is not used")
			continue
		}
		net.Names = slices.DeleteFunc(net.Names, func(s string) bool { return slices.Contains(seen, s) }) // the first file for a link counts
		seen = append(seen, net.Names...)
		list = append(list, net)
	}
	return list, problems
}

// Milliseconds reads a time as networkd does, where a number alone is of seconds.
func Milliseconds(s string) (uint32, bool) {
	d, err := timespan.Parse(s)
	return uint32(d / time.Millisecond), err == nil && d >= 0 && d < time.Hour*24*30
}

// Yes reads a boolean.
func Yes(s string) (v, ok bool) { return yes(s) }
