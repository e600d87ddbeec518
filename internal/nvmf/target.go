// Package nvmf is NVMe over fabrics as the kernel takes it: what to connect to, from
// the command line, the files of nvme-cli and the firmware's table; the option
// strings of /dev/nvme-fabrics; and the pages in which discovery controllers list
// their subsystems (NVM Express over Fabrics 1.1a). It is pure.
package nvmf

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// DiscoveryNQN is the name that every discovery controller answers to.
const DiscoveryNQN = "nqn.2014-08.org.nvmexpress.discovery"

// Ports of NVMe over TCP and RDMA, and of discovery over TCP.
const (
	servicePort   = "4420"
	discoveryPort = "8009"
)

// Host is how this machine names itself.
type Host struct {
	NQN, ID string
	// Secret is the key by which it proves that it is the one ("DHHC-1:…"), "" for
	// none.
	Secret string
}

// Target is a controller to connect to.
type Target struct {
	Transport string // "tcp", "rdma", "fc"
	Address   string // of the controller: IP, or "nn-0x…:pn-0x…"
	Service   string // port, "" with Fibre Channel
	HostAddr  string // of this machine, "" for any
	HostIface string // name of the interface, "" for any
	NQN       string // of the subsystem
	// Discovery: it lists subsystems, which are to be connected to.
	Discovery bool
	Host      Host
	// CtrlSecret is what the controller has to prove, "" for nothing.
	CtrlSecret               string
	HeaderDigest, DataDigest bool
	From                     string // what says so, for a person
}

// Errors of targets.
var (
	errTransport = errors.New("not a transport: tcp, rdma or fc")
	errName      = errors.New("the name of the subsystem is none: nqn.YEAR-MONTH.DOMAIN:NAME")
)

// check completes a target and says what is wrong with it.
func (t *Target) check() error {
	switch t.Transport {
	case "tcp", "rdma":
		a := strings.Trim(t.Address, "[]")
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("%q is not an IP address, and names of servers are not looked up", t.Address)
		}
		t.Address = a
		if t.HostAddr != "" {
			if _, err := netip.ParseAddr(strings.Trim(t.HostAddr, "[]")); err != nil {
				return fmt.Errorf("%q is not an IP address of this machine", t.HostAddr)
			}
			t.HostAddr = strings.Trim(t.HostAddr, "[]")
		}
		if t.Service == "" {
			t.Service = servicePort
			if t.Discovery && t.Transport == "tcp" {
				t.Service = discoveryPort
			}
		}
		if n, err := strconv.ParseUint(t.Service, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%q is not a port", t.Service)
		}
	case "fc":
		if !worldWide(t.Address) || t.HostAddr == "" || !worldWide(t.HostAddr) {
			return errors.New("not the addresses nn-0x…:pn-0x… of the target and of this machine's port")
		}
		t.Service = ""
	default:
		return errTransport
	}
	if t.NQN == "" && t.Discovery {
		t.NQN = DiscoveryNQN
	}
	if !validNQN(t.NQN) {
		return errName
	}
	return nil
}

// worldWide is an address of Fibre Channel: nn-0x<16 digits>:pn-0x<16 digits>.
func worldWide(s string) bool {
	nn, pn, ok := strings.Cut(s, ":")
	for prefix, v := range map[string]string{"nn-0x": nn, "pn-0x": pn} {
		v, has := strings.CutPrefix(v, prefix)
		if _, err := strconv.ParseUint(v, 16, 64); !has || err != nil || len(v) != 16 {
			return false
		}
	}
	return ok
}

// validNQN is a name of at most 223 bytes with nothing in it that would end it in
// an option string.
func validNQN(s string) bool {
	return strings.HasPrefix(s, "nqn.") && plain(s) && len(s) <= 223
}

// plain has no blanks, commas and bytes that cannot be seen.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '"' {
			return false
		}
	}
	return true
}

// Options is what is written to /dev/nvme-fabrics (drivers/nvme/host/fabrics.c). It
// has the secrets. Once connected it never gives up: a root must not become one
// that only returns errors.
func (t Target) Options() string {
	var b strings.Builder
	b.WriteString("nqn=" + t.NQN + ",transport=" + t.Transport)
	for _, o := range [...]struct{ name, value string }{
		{"traddr", t.Address}, {"trsvcid", t.Service}, {"host_traddr", t.HostAddr}, {"host_iface", t.HostIface},
		{"hostnqn", t.Host.NQN}, {"hostid", t.Host.ID}, {"dhchap_secret", t.Host.Secret}, {"dhchap_ctrl_secret", t.CtrlSecret},
	} {
		if o.value != "" && plain(o.value) {
			b.WriteString("," + o.name + "=" + o.value)
		}
	}
	if !t.Discovery {
		b.WriteString(",ctrl_loss_tmo=-1,reconnect_delay=2")
	}
	if t.HeaderDigest {
		b.WriteString(",hdr_digest")
	}
	if t.DataDigest {
		b.WriteString(",data_digest")
	}
	return b.String()
}

// Where is the address of the controller, for a person.
func (t Target) Where() string {
	s := t.Address
	if t.Service != "" {
		if strings.Contains(s, ":") {
			s = "[" + s + "]"
		}
		s += ":" + t.Service
	}
	return s
}

// String names it for a person.
func (t Target) String() string {
	if t.Discovery {
		return "the NVMe discovery controller at " + t.Where()
	}
	return "the NVMe subsystem " + t.NQN + " at " + t.Where()
}

// same says whether both lead to one controller in one way.
func (t Target) same(o Target) bool {
	return t.Transport == o.Transport && t.Address == o.Address && t.Service == o.Service && t.NQN == o.NQN && t.HostAddr == o.HostAddr && t.HostIface == o.HostIface
}

// Add adds a target to a list, unless it is there.
func Add(list []Target, t Target) []Target {
	for _, o := range list {
		if o.same(t) {
			return list
		}
	}
	return append(list, t)
}

// MaxTargets bounds what is connected to.
const MaxTargets = 64
