package netup

import (
	"net/netip"
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
)

// root reports where the roots on servers are, as far as the command line and
// the leases say it.
func (c *Core) root() {
	conf := c.plan.Config
	if conf == nil || len(conf.Roots) == 0 {
		return
	}
	l := c.bootLink()
	if l == nil {
		return
	}
	for i := range conf.Roots {
		r := c.rootOver(&conf.Roots[i], l)
		if i > 0 {
			r = r.With("n", strconv.Itoa(i))
		}
		if i == len(c.saidRoots) {
			c.saidRoots = append(c.saidRoots, "")
		}
		if line := r.String(); line != c.saidRoots[i] {
			c.saidRoots[i] = line
			c.k.Say(r)
		}
	}
	// The boot goes on meanwhile.
	for _, l := range c.order {
		if l.carries {
			l.hand()
		}
	}
}

// bootLink is the link whose lease says where the root is: the one that the
// command line names, else the first that was ready and says it, else the first.
func (c *Core) bootLink() *link {
	var first *link
	boot := c.plan.Config.Boot
	for _, l := range c.usable {
		if !boot.IsAny() {
			if c.isBoot(l) {
				return l
			}
			continue
		}
		if path, _ := l.rootPath(); path != "" {
			return l
		}
		if first == nil {
			first = l
		}
	}
	return first
}

// rootOver completes a root by what a link's lease says.
func (c *Core) rootOver(root *netconf.Root, l *link) netreport.Report {
	bad := func(text, try string) netreport.Report {
		return netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("text", text).With("try", try)
	}
	r, source := *root, ""
	if r.Kind == netconf.RootDHCP || r.FromDHCP {
		by := "root=nfs:SERVER:/DIRECTORY"
		if r.Kind == netconf.RootSSHFS {
			by = "root=sshfs:USER@SERVER:/DIRECTORY"
		}
		path, from := l.rootPath()
		switch {
		case path != "":
		case l.lease == nil && (l.six == nil || l.six.lease == nil):
			return bad("its place is to come from a DHCP server, and "+l.Name+" has no lease", "name the server and the directory with "+by)
		default:
			return bad(from+" gave no path of a root", "let it give one (option 17; with IPv6 a URL, option 59), or name the root with "+by)
		}
		got, err := root.ParseLease(path)
		if err != nil {
			return bad("the path of the root that "+from+" gave cannot be used: "+err.Error(), "correct option 17 (with IPv6 option 59) of the DHCP server")
		}
		source = path
		if r.Options != "" && got.Options != "" {
			got.Options += ","
		}
		got.Options += r.Options
		if r.Version != 0 {
			got.Version = r.Version
		}
		r = got
	}
	if r.Kind != netconf.RootNFS {
		out := c.elsewhere(&r, l, source)
		if r.Kind == netconf.RootURL && source == "" {
			out = out.With("url", c.urlNumber(root))
		}
		return out
	}
	server, why := c.serverOf(&r, l)
	if !server.IsValid() {
		if r.Server != "" {
			return bad(why, "write the address of "+r.Server+" in its place, or name a server that knows it with nameserver=")
		}
		return bad("nothing says which server has "+r.Path, "name it: root=nfs:SERVER:"+r.Path)
	}
	if server = c.zoned(server, l); !c.reaches(server) {
		return c.waiting(l, server)
	}
	var client netip.Addr
	for _, u := range append([]*link{l}, c.usable...) {
		for _, a := range u.taken {
			if !client.IsValid() && a.Addr().Is4() == server.Is4() && a.Addr().IsLinkLocalUnicast() == server.IsLinkLocalUnicast() {
				client = a.Addr()
			}
		}
	}
	c.carry(server)
	out := netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("kind", r.Kind.String()).With("server", server.String()).
		With("name", nameOf(r.Server)).With("path", r.PathFor(client.String())).With("options", r.Options)
	if client.IsValid() {
		out = out.With("client", client.String())
	}
	if r.Version == 4 {
		out = out.With("version", "4")
	}
	return out
}

// urlNumber says which of the URLs of the command line a root is, "" for the first:
// the URL itself may have a password in it.
func (c *Core) urlNumber(root *netconf.Root) string {
	n := 0
	for i := range c.plan.Config.Roots {
		switch r := &c.plan.Config.Roots[i]; {
		case r == root && n > 0:
			return strconv.Itoa(n)
		case r == root:
			return ""
		case r.Kind == netconf.RootURL:
			n++
		}
	}
	return ""
}

// elsewhere is the report of a root that is none of NFS: its server by address,
// and what the lease says of it, source. An NBD export and a directory by SSH, of which
// nothing is secret, are there as a whole; what the command line says of others, with its secrets, their
// handlers read there.
func (c *Core) elsewhere(r *netconf.Root, l *link, source string) netreport.Report {
	out := netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("kind", r.Kind.String()).WithSource(source, devspec.Redact(source))
	c.several = true
	if r.Kind == netconf.RootAoE {
		return out.With("device", r.Device)
	}
	if r.Server == "" && r.Kind != netconf.RootNBD {
		return out
	}
	server, why := c.serverOf(r, l)
	if !server.IsValid() {
		if r.Server == "" {
			return out.With("text", "nothing says which server has it").With("try", "name the server on the kernel command line")
		}
		return out.With("text", why).With("try", "write the address of "+r.Server+" in its place, or name a server that knows it with nameserver=")
	}
	if server = c.zoned(server, l); !c.reaches(server) {
		return c.waiting(l, server).With("kind", r.Kind.String()).WithSource(source, devspec.Redact(source))
	}
	c.carry(server)
	out = out.With("server", server.String()).With("name", nameOf(r.Server))
	if r.Kind == netconf.RootSSHFS {
		out = out.With("user", r.User).With("path", r.Path)
		if r.Port != 0 {
			out = out.With("port", strconv.Itoa(int(r.Port)))
		}
	}
	if r.Kind == netconf.RootNBD {
		if r.Port != 0 {
			out = out.With("port", strconv.Itoa(int(r.Port)))
		}
		out = out.With("export", r.Export).With("fstype", r.FSType).With("options", r.Options).With("nbd", r.NBD).With("device", r.Device)
	}
	return out
}

// waiting says that no address of the server's family is there yet.
func (c *Core) waiting(l *link, server netip.Addr) netreport.Report {
	family := "IPv6"
	if server.Is4() {
		family = "IPv4"
	}
	for _, u := range c.usable {
		for _, a := range u.taken {
			if server.Is6() && a.Addr().Is6() && !a.Addr().IsLinkLocalUnicast() {
				return netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("text", "no router is known by which "+server.String()+" could be reached").
					With("try", "let a router advertise itself, or name it: ip=[ADDRESS]::[GATEWAY]:64::"+u.Name+":none")
			}
		}
	}
	return netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("text", "no link has an "+family+" address yet, from which "+server.String()+" could be reached")
}

// reaches says whether a link has an address of the server's family.
func (c *Core) reaches(server netip.Addr) bool {
	for _, l := range c.usable {
		switch {
		case server.Is4():
			for _, a := range l.taken {
				if a.Addr().Is4() {
					return true
				}
			}
		case server.IsLinkLocalUnicast():
			if l.Name == server.Zone() && l.six != nil && l.six.local.IsValid() {
				return true
			}
		case l.leads6(server):
			return true
		}
	}
	return false
}

// leads6 says whether the link has an address and a way to a server of IPv6:
// DHCPv6 gives the one, and a router later the other.
func (l *link) leads6(server netip.Addr) bool {
	if l.six == nil || l.setup.Peer == server {
		return l.setup.Peer == server
	}
	way, some := false, false
	for _, a := range l.taken {
		if a.Addr().Is6() && !a.Addr().IsLinkLocalUnicast() {
			some = true
			way = way || a.Masked().Contains(server)
		}
	}
	for _, list := range [...][]rtnl.Route{l.set, l.six.routes} {
		for _, r := range list {
			way = way || r.To.Contains(server)
		}
	}
	return some && way
}

// zoned says on which link a link-local address is: the one that is booted from.
func (c *Core) zoned(server netip.Addr, l *link) netip.Addr {
	if server.Is6() && server.IsLinkLocalUnicast() && server.Zone() == "" {
		return server.WithZone(l.Name)
	}
	return server
}

// rootPath is where a DHCP server says that the root is, "" if none does, and
// which server that is. DHCPv6 has a URL for it (RFC 5970).
func (l *link) rootPath() (path, from string) {
	if l.lease != nil {
		from = "the DHCP server " + l.lease.Server.String()
		path = l.lease.RootPath
	}
	if path != "" || l.six == nil || l.six.lease == nil {
		return path, from
	}
	path = l.six.lease.BootURL
	if path != "" || from == "" {
		from = "the DHCPv6 server"
	}
	if rest, ok := strings.CutPrefix(path, "nfs://"); ok {
		if host, dir, ok := strings.Cut(rest, "/"); ok {
			path = "nfs:" + strings.TrimSuffix(host, ":") + ":/" + dir
		}
	}
	return path, from
}

// serverOf is the server of an NFS root: the one that is named, else that of the
// kernel's ip=, else what the lease says.
func (c *Core) serverOf(r *netconf.Root, l *link) (a netip.Addr, why string) {
	switch {
	case r.Server != "":
		return c.address(r.Server)
	case l.setup.Server.IsValid():
		return l.setup.Server, ""
	case l.lease != nil && l.lease.NextServer.IsValid():
		return l.lease.NextServer, ""
	case l.lease != nil:
		return l.lease.Server, ""
	}
	return netip.Addr{}, ""
}

// nameOf is the name of a server, "" where it is an address.
func nameOf(server string) string {
	if _, err := netip.ParseAddr(server); err == nil {
		return ""
	}
	return server
}
