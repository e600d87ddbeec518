// Package iscsiup decides how a disk of an iSCSI target becomes one of this
// machine. open-iscsi's iscsid logs in and keeps the session; this package has what
// it is told, and tries again what does not answer. It is the core of the helper
// program iscsi, and runs in the simulator too.
//
// It reads no clock and opens no file: what comes of a login comes in with its
// time, and what is to be done goes to an Edge. It never waits; Next is when it
// wants to be called again.
package iscsiup

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/ibft"
	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
)

// Files that are read, of the image and of the kernel.
const (
	FileInitiator = "/etc/iscsi/initiatorname.iscsi"
	FileInitramfs = "/etc/iscsi/iscsi.initramfs"
	FileProduct   = "/sys/class/dmi/id/product_uuid"
)

// Sources are what there is besides what the boot hands over.
type Sources struct {
	Files map[string]string // by the names above
	Table *ibft.Table       // the firmware's, nil if there is none
}

// Target is a logical unit that is wanted, and how to get to it.
type Target struct {
	netconf.ISCSITarget
	Server netip.Addr
	Group  uint16 // of portals, 0 for any
	// Transport is open-iscsi's, "" for TCP.
	Transport string
	Params    []string // settings of the record, NAME=VALUE, stronger than any other
	Tries     int      // of iscsid at each login
	// Any: no unit is named, whatever there is is wanted. It is the root only if it
	// is unit 0.
	Any bool
	// Ways are how many of the roots are to the same target.
	Ways int
}

// configOf is what the parameters, a file of the image and the firmware say.
func configOf(params string, s Sources) *netconf.Config {
	list := netconf.ISCSIFile(s.Files[FileInitramfs])
	for line := range strings.SplitSeq(params, "\n") {
		if line != "" {
			name, value, has := strings.Cut(line, "=")
			list = append(list, netconf.Param{Name: name, Value: value, HasValue: has})
		}
	}
	conf, _ := netconf.Parse(list) // the network's helper says what is wrong
	if s.Table != nil {
		conf.AddIBFT(s.Table)
	}
	return conf
}

// Parse finds what is wanted in what the boot hands to the helper: the kernel's
// parameters, one a line, an empty line, and the report of the root.
func Parse(text string, s Sources) (t Target, err error) {
	params, line, ok := strings.Cut(text, "\n\n")
	r, valid := netreport.ParseReport(strings.TrimSuffix(line, "\n"))
	if !ok || !valid || r.State != netreport.StateRoot {
		return t, errors.New("no report of a root was handed over")
	}
	conf := configOf(params, s)
	if r.Int("n") >= len(conf.Roots) {
		return t, errors.New("nothing names such a root")
	}
	root := conf.Roots[r.Int("n")]
	if source := r.Source(); source != "" {
		if root, err = root.ParseLease(source); err != nil {
			return t, err
		}
		conf.ISCSI.Complete(root.Target)
	}
	if root.Kind != netconf.RootISCSI {
		return t, fmt.Errorf("a root of the kind %s was handed over", root.Kind)
	}
	if root.Target == nil {
		return t, errors.New("neither the command line nor the firmware's table (iBFT) says which target it is")
	}
	t = Target{ISCSITarget: *root.Target, Group: conf.ISCSI.Group, Transport: conf.ISCSI.Transport, Params: conf.ISCSI.Params, Tries: max(conf.ISCSI.Tries, 1), Ways: 1}
	t.Any = strings.HasPrefix(root.By, "rd.") || strings.HasPrefix(root.By, "iscsi")
	for i := range conf.Roots {
		if o := &conf.Roots[i]; i != r.Int("n") && o.Target != nil && o.Target.Name == t.Name {
			t.Ways++
		}
	}
	t.Server, err = netip.ParseAddr(r.Get("server"))
	return t, err
}

// Initiator is the name of this machine: that of the command line, of the firmware
// where its table is used, of the image, or one that is made of the machine's UUID.
// made says that it is that one.
func Initiator(params string, s Sources) (name string, made bool, err error) {
	conf := configOf(params, s)
	if conf.ISCSI.Initiator != "" {
		return conf.ISCSI.Initiator, false, nil
	}
	if s.Table != nil && conf.IBFT && valid(s.Table.Initiator) {
		return s.Table.Initiator, false, nil
	}
	for line := range strings.Lines(s.Files[FileInitiator]) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "InitiatorName="); ok {
			if v = strings.TrimSpace(v); !valid(v) {
				return "", false, errors.New(FileInitiator + " of the image has no name that iSCSI allows")
			}
			return v, false, nil
		}
	}
	uuid := strings.ToLower(strings.TrimSpace(s.Files[FileProduct]))
	name = "iqn.2016-04.com.open-iscsi:" + uuid
	if len(uuid) != 36 || !valid(name) {
		return "", false, errors.New("nothing says what this machine's name is for iSCSI: write rd.iscsi.initiator=, or build the image on a machine with " + FileInitiator)
	}
	return name, true, nil
}

// valid says whether a name is one of iSCSI.
func valid(name string) bool {
	if len(name) > 223 || !strings.HasPrefix(name, "iqn.") && !strings.HasPrefix(name, "eui.") && !strings.HasPrefix(name, "naa.") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("/;'\"`$\\=", c) >= 0 {
			return false
		}
	}
	return true
}

// patience is how long requests wait for a target that went away where there is no
// other way to it, in seconds: a day. A root that returns errors instead is lost.
const patience = 24 * 60 * 60

// loginTime is how long an answer to a login may take, in seconds. Of a connection that
// breaks during the first login iscsid takes no notice until that is over. The files of
// the distributions have 15; the programs by themselves 30, which holds for whatever
// has a record, also where iscsid.conf says otherwise: that is for making records.
const loginTime = 15

// Portal is the address as open-iscsi's records and sysfs have it.
func (t Target) Portal() (addr, port string) {
	return t.Server.Unmap().String(), strconv.Itoa(int(t.Port))
}

// RecordPath is the place of the record below open-iscsi's directory of nodes: a
// file of the target's directory where no portal group is asked for, one of the
// portal's directory otherwise.
func (t Target) RecordPath() string {
	addr, port := t.Portal()
	name := t.ISCSITarget.Name + "/" + addr + "," + port
	if t.Group != 0 {
		name += "," + strconv.Itoa(int(t.Group)) + "/" + t.iface()
	}
	return name
}

// iface is the name of open-iscsi's interface.
func (t Target) iface() string {
	if t.Interface != "" {
		return strings.ReplaceAll(t.Interface, "/", "_")
	}
	return "default"
}

// Record is the record of open-iscsi (iscsiadm(8), node records) for the target,
// with its secrets: settings that are not in it are open-iscsi's own.
func (t Target) Record() []byte {
	addr, port := t.Portal()
	var b []byte
	set := func(name, value string) {
		if value != "" {
			b = append(b, name+" = "+value+"\n"...)
		}
	}
	number := func(name string, n int) { set(name, strconv.Itoa(n)) }
	set("node.name", t.ISCSITarget.Name)
	if t.Group == 0 {
		number("node.tpgt", -1)
	} else {
		number("node.tpgt", int(t.Group))
	}
	set("node.startup", "manual")
	set("iface.iscsi_ifacename", t.iface())
	set("iface.net_ifacename", t.NetDev)
	transport := "tcp"
	if t.Transport != "" {
		transport = t.Transport
	}
	set("iface.transport_name", transport)
	set("node.conn[0].address", addr)
	set("node.conn[0].port", port)
	set("node.conn[0].startup", "manual")
	number("node.session.initial_login_retry_max", t.Tries)
	number("node.conn[0].timeo.login_timeout", loginTime)
	if t.Ways < 2 {
		number("node.session.timeo.replacement_timeout", patience)
	}
	if t.User != "" {
		set("node.session.auth.authmethod", "CHAP")
		set("node.session.auth.username", t.User)
		set("node.session.auth.password", t.Password)
		set("node.session.auth.username_in", t.InUser)
		set("node.session.auth.password_in", t.InPassword)
	}
	for _, p := range t.Params {
		name, value, _ := strings.Cut(p, "=")
		set(name, value)
	}
	return b
}

// Unit is the kernel's number of the logical unit (scsilun_to_int): the first level
// in its lowest 16 bits.
func (t Target) Unit() uint64 {
	var n uint64
	for i := range 4 {
		n |= t.LUN >> (48 - 16*i) & 0xffff << (16 * i)
	}
	return n
}

// String is what a person calls it. It has no secrets.
func (t Target) String() string {
	return t.ISCSITarget.Name + " of " + netip.AddrPortFrom(t.Server.Unmap(), t.Port).String()
}
