package netup

import (
	"net/netip"
	"strconv"

	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
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
		if l.lease != nil && l.lease.RootPath != "" {
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
	if r.Kind == netconf.RootDHCP || r.Kind == netconf.RootNFS && r.FromDHCP {
		if l.lease == nil {
			return bad("its place is to come from a DHCP server, and "+l.Name+" has no lease", "name the server and the directory with root=nfs:SERVER:/DIRECTORY")
		}
		if l.lease.RootPath == "" {
			return bad("the DHCP server "+l.lease.Server.String()+" gave no path of a root", "let it give one (option 17), or name the root with root=nfs:SERVER:/DIRECTORY")
		}
		got, err := netconf.ParseRootPath(l.lease.RootPath)
		if err != nil {
			return bad("the path of the root that the DHCP server "+l.lease.Server.String()+" gave cannot be used: "+err.Error(), "correct option 17 of the DHCP server")
		}
		source = l.lease.RootPath
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
		return c.elsewhere(&r, l, source)
	}
	server, why := c.serverOf(&r, l)
	if !server.IsValid() {
		if r.Server != "" {
			return bad(why, "write the address of "+r.Server+" in its place, or name a server that knows it with nameserver=")
		}
		return bad("nothing says which server has "+r.Path, "name it: root=nfs:SERVER:"+r.Path)
	}
	var client netip.Addr
	for _, a := range l.taken {
		if a.Addr().Is4() == server.Is4() {
			client = a.Addr()
		}
	}
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

// elsewhere is the report of a root that is none of NFS: its server by address,
// and what the lease says of it, source. What the command line says of it, with
// its secrets, its handler reads there.
func (c *Core) elsewhere(r *netconf.Root, l *link, source string) netreport.Report {
	out := netreport.Report{State: netreport.StateRoot, Link: l.Name}.With("kind", r.Kind.String()).With("source", source)
	if r.Server == "" {
		return out
	}
	server, why := c.address(r.Server)
	if !server.IsValid() {
		return out.With("text", why).With("try", "write the address of "+r.Server+" in its place, or name a server that knows it with nameserver=")
	}
	return out.With("server", server.String()).With("name", nameOf(r.Server))
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
