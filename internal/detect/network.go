package detect

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/nfs"
)

// remote takes what a block device needs that a server gives: of NBD, of AoE, of
// iSCSI, or of NVMe over fabrics. Of a subsystem of NVMe it takes the ways to it.
func (d *detector) remote(dev, name, what string) error {
	sys := d.s.Sys
	if strings.HasPrefix(name, "nbd") && sys.Exists(dev+"/pid") {
		// The helper httpdisk names its URL there (Linux 5.14 and later).
		if of, _ := sys.Read(dev + "/backend"); strings.HasPrefix(of, "http://") || strings.HasPrefix(of, "https://") {
			d.fact("need:http-disk", fmt.Sprintf("%s for %s is a file of a web server", name, what))
			return d.cards(what, name)
		}
		d.fact("need:nbd", fmt.Sprintf("%s for %s is on an NBD server", name, what))
		return d.cards(what, name)
	}
	if strings.HasPrefix(name, "etherd!") {
		d.fact("need:aoe", fmt.Sprintf("%s for %s is on a server of ATA over Ethernet", strings.TrimPrefix(name, "etherd!"), what))
		return d.cards(what, name)
	}
	// The adapter is a part of the link: …/net/eth0/ctlr_0/host2/rport-2:0-1/….
	if _, rest, ok := strings.Cut(dev, "/net/"); ok && strings.Contains(rest, "/ctlr_") {
		link, _, _ := strings.Cut(rest, "/")
		d.fact("need:fcoe", fmt.Sprintf("%s for %s is reached by Fibre Channel over %s", name, what, link))
		return d.cards(what, name)
	}
	if session, ok := iscsiSession(dev); ok {
		target, _ := sys.Read("/class/iscsi_session/" + session + "/targetname")
		if target == "" {
			target = "an iSCSI target"
		}
		d.fact("need:iscsi", fmt.Sprintf("%s for %s is a unit of %s", name, what, target))
		return d.cards(what, name)
	}
	if !strings.HasPrefix(name, "nvme") {
		return nil
	}
	above := path.Dir(dev)
	controllers := []string{above}
	if strings.Contains(above, "/nvme-subsystem/") {
		controllers = nil
		list, _ := sys.List(above)
		for _, n := range list {
			number, ok := strings.CutPrefix(n, "nvme")
			if _, err := strconv.ParseUint(number, 10, 32); !ok || err != nil {
				continue
			}
			if p, err := sys.Resolve(above + "/" + n); err == nil {
				controllers = append(controllers, p)
			}
		}
	}
	over := false
	for _, c := range controllers {
		switch transport, _ := sys.Read(c + "/transport"); transport {
		case "tcp", "rdma":
			d.fact("need:nvmf", fmt.Sprintf("%s for %s is reached by NVMe over %s", name, what, transport))
			d.module("nvme-"+transport, "the transport of "+path.Base(c))
			if transport == "rdma" {
				d.rdma(what)
			}
			over = true
		case "fc":
			d.fact("need:nvmf", fmt.Sprintf("%s for %s is reached by NVMe over Fibre Channel", name, what))
			d.module("nvme-fc", "the transport of "+path.Base(c))
			d.note("the host adapter of %s cannot be told: name its module in the configuration", path.Base(c))
		default:
			if c != above {
				d.hardware(c, name+" for "+what)
			}
		}
	}
	if over {
		return d.cards(what, name)
	}
	return nil
}

// rdma takes the drivers of the adapters for RDMA, by which point is reached: those of
// the devices themselves, and those of the parts of a network card that are for it.
func (d *detector) rdma(point string) {
	sys := d.s.Sys
	adapters, _ := sys.List("/class/infiniband")
	for _, name := range adapters {
		if dev, err := sys.Resolve("/class/infiniband/" + name + "/device"); err == nil {
			d.hardware(dev, point+" over "+name)
		}
	}
	parts, _ := sys.List("/bus/auxiliary/devices")
	for _, name := range parts {
		if !strings.Contains(name, "rdma") && !strings.Contains(name, "roce") && !strings.Contains(name, "iwarp") {
			continue
		}
		if dev, err := sys.Resolve("/bus/auxiliary/devices/" + name); err == nil {
			d.hardware(dev, point+" over "+name)
		}
	}
}

// iscsiSession is the session of iSCSI by which a disk is reached,
// /devices/platform/host2/session1/target2:0:0/….
func iscsiSession(dev string) (name string, ok bool) {
	for part := range strings.SplitSeq(dev, "/") {
		number, is := strings.CutPrefix(part, "session")
		if _, err := strconv.ParseUint(number, 10, 32); is && err == nil {
			return part, true
		}
	}
	return "", false
}

// network takes what a root on a server needs: the features for its type, and
// the drivers of the network cards that are in use. Which of them leads to the
// server is not looked for: with another cabling it may be another one.
func (d *detector) network(m mount, point string) error {
	d.fact("fstype:"+m.fstype, fmt.Sprintf("%s is %s on %s", point, m.fstype, m.source))
	if security := nfs.Kerberos(m.super); security != "" {
		d.fact("need:nfs-krb5", fmt.Sprintf("%s on %s has sec=%s", point, m.source, security))
	}
	if nfs.RDMA(m.super) {
		d.fact("need:nfs-rdma", fmt.Sprintf("%s on %s is reached by RDMA", point, m.source))
		d.rdma(point)
	}
	return d.cards(point, m.source)
}

// sshfs takes what a root by SSH needs. The keys are not looked for: those of a person
// are nothing for an image.
func (d *detector) sshfs(m mount, point string) error {
	d.fact("fstype:sshfs", fmt.Sprintf("%s is had by SSH from %s", point, m.source))
	d.note("%s is had by SSH: the key that lets the machine in, and the host key of its server, are those of [sshfs] in the configuration, or in /etc/firstlight/sshfs", point)
	return d.cards(point, m.source)
}

// cards takes the network cards that are in use, by which point is reached on a
// server.
func (d *detector) cards(point, source string) error {
	d.fact("need:network", fmt.Sprintf("%s is on %s", point, source))
	list, err := d.s.Sys.List("/class/net")
	if err != nil {
		return fmt.Errorf("detect: the network cards that %s on %s is reached by: %w: %w", point, source, err, ErrUndecided)
	}
	found := false
	for _, name := range list {
		at := "/class/net/" + name
		dev, err := d.s.Sys.Resolve(at + "/device")
		if err != nil {
			d.madeLink(name, at)
			continue // the loopback, and links that are made of others
		}
		if state, _ := d.s.Sys.Read(at + "/operstate"); state == "down" {
			continue
		}
		found = true
		if d.s.Sys.Exists(at + "/phy80211") {
			d.fact("need:wifi", name+" is a radio, and in use")
		}
		d.hardware(dev, point+" over "+name)
	}
	if !found {
		return fmt.Errorf("detect: %s is on %s, and no network card is in use: %w", point, source, ErrUndecided)
	}
	return nil
}

// madeLink takes what a link that software has made needs, if it is in use.
func (d *detector) madeLink(name, at string) {
	if state, _ := d.s.Sys.Read(at + "/operstate"); state == "down" {
		return
	}
	event, _ := d.s.Sys.Read(at + "/uevent")
	for line := range strings.Lines(event) {
		kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE=")
		if ok && slices.Contains([]string{"vlan", "bond", "bridge", "wireguard", "macvlan", "ipvlan", "dummy"}, kind) {
			d.fact("need:"+kind, name+" is one, and in use")
		}
	}
}
