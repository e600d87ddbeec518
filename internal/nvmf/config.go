package nvmf

import (
	"encoding/json"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/nbft"
)

// Files of nvme-cli in the image.
const (
	FileHostNQN   = "/etc/nvme/hostnqn"
	FileHostID    = "/etc/nvme/hostid"
	FileDiscovery = "/etc/nvme/discovery.conf"
	FileConfig    = "/etc/nvme/config.json"
	FileProduct   = "/sys/class/dmi/id/product_uuid"
)

// Sources is where it stands what to connect to.
type Sources struct {
	Params []string          // of the command line, NAME or NAME=VALUE
	Files  map[string]string // text of the files above, those that there are
	Tables []*nbft.Table     // of the firmware
}

// Config is what it comes to.
type Config struct {
	Off      bool // rd.nonvmf
	Targets  []Target
	Problems []string // for a person
}

// Parse puts the sources together: the command line, then the firmware's table,
// then the files, unless the command line says that they do not count.
func Parse(s Sources) Config {
	var c Config
	var host Host
	noTables, noFiles := false, false
	type wish struct{ name, value string }
	var wishes []wish
	for _, p := range s.Params {
		name, value, has := strings.Cut(p, "=")
		name = strings.ReplaceAll(name, "-", "_")
		on := !has || value == "1" || value == "yes" || value == "true" || value == "on"
		if name == "rd.nonvmf" {
			c.Off = c.Off || on
			continue
		}
		var ok bool
		if name, ok = strings.CutPrefix(strings.TrimPrefix(name, "rd."), "nvmf"); !ok || len(name) < 2 || name[0] != '.' && name[0] != '_' {
			continue
		}
		switch name[1:] {
		case "nonvmf":
			c.Off = c.Off || on
		case "nonbft":
			noTables = on
		case "nostatic":
			noFiles = on
		case "hostnqn":
			if validNQN(value) {
				host.NQN = value
			} else {
				c.problem(p, errName)
			}
		case "hostid":
			host.ID = value
		case "connect", "discover":
			wishes = append(wishes, wish{name[1:], value})
		}
	}
	if c.Off {
		return c
	}
	c.host(&host, s, noTables)
	files := parseJSON(s.Files[FileConfig], &c)
	if host.Secret == "" {
		for _, f := range files {
			if f.NQN == "" || f.NQN == host.NQN {
				host.Secret = f.Key
				break
			}
		}
	}
	for _, w := range wishes {
		c.add("rd.nvmf."+w.name+"="+w.value, parseWish(w.name, w.value), host, files)
	}
	if !noTables {
		for _, t := range s.Tables {
			c.table(t, host, files)
		}
	}
	if !noFiles {
		c.files(s, host, files)
	}
	return c
}

func (c *Config) problem(what string, err error) {
	c.Problems = append(c.Problems, what+": "+err.Error())
}

// host completes how the machine is called: by the command line, the firmware, the
// files, the machine's own UUID.
func (c *Config) host(h *Host, s Sources, noTables bool) {
	for _, t := range s.Tables {
		if noTables {
			break
		}
		if h.NQN == "" && validNQN(t.Host.NQN) {
			h.NQN = t.Host.NQN
		}
		if h.ID == "" && t.Host.ID != [16]byte{} {
			h.ID = uuid(t.Host.ID)
		}
	}
	first := func(name string) string {
		line, _, _ := strings.Cut(strings.TrimSpace(s.Files[name]), "\n")
		return strings.TrimSpace(line)
	}
	const byUUID = "nqn.2014-08.org.nvmexpress:uuid:"
	if h.NQN == "" {
		if h.NQN = first(FileHostNQN); h.NQN != "" && !validNQN(h.NQN) {
			c.problem(FileHostNQN, errName)
			h.NQN = ""
		}
	}
	if h.ID == "" {
		h.ID = first(FileHostID)
	}
	if id := strings.ToLower(first(FileProduct)); h.NQN == "" && validUUID(id) {
		h.NQN = byUUID + id
	}
	if id, ok := strings.CutPrefix(h.NQN, byUUID); h.ID == "" && ok && validUUID(id) {
		h.ID = id
	}
	if h.ID != "" && !validUUID(h.ID) {
		c.problem("the host's id "+strconv.Quote(h.ID), fmt.Errorf("it is no UUID"))
		h.ID = ""
	}
}

// add adds a target, with the secrets that are known for it.
func (c *Config) add(what string, t Target, host Host, files []jsonHost) {
	if t.Host.NQN == "" {
		t.Host.NQN = host.NQN
	}
	if t.Host.ID == "" {
		t.Host.ID = host.ID
	}
	t.From = what
	if t.Transport == "fc" && t.Address == "auto" {
		c.problem(what, fmt.Errorf("controllers of Fibre Channel are not found by themselves: name them, rd.nvmf.discover=fc,nn-0x…:pn-0x…,nn-0x…:pn-0x…"))
		return
	}
	if err := t.check(); err != nil {
		c.problem(what, err)
		return
	}
	if t.Host.Secret == "" {
		t.Host.Secret = host.Secret
	}
	for _, h := range files {
		for _, s := range h.Subsystems {
			for _, p := range s.Ports {
				if s.NQN != t.NQN || p.Address != t.Address {
					continue
				}
				if p.Key != "" {
					t.Host.Secret = p.Key
				}
				if p.CtrlKey != "" {
					t.CtrlSecret = p.CtrlKey
				}
			}
		}
	}
	if len(c.Targets) < MaxTargets {
		c.Targets = Add(c.Targets, t)
	}
}

// parseWish reads TRANSPORT,ADDRESS,NQN[,PORT[,HOST-ADDRESS]] of connect, and
// TRANSPORT,ADDRESS[,HOST-ADDRESS[,PORT]] of discover.
func parseWish(name, value string) Target {
	f := append(strings.Split(value, ","), "", "", "", "", "")
	if name == "connect" {
		return Target{Transport: f[0], Address: f[1], NQN: f[2], Service: f[3], HostAddr: f[4]}
	}
	return Target{Transport: f[0], Address: f[1], HostAddr: f[2], Service: f[3], Discovery: true}
}

// table takes in the firmware's: the namespaces that can be booted from, then the
// discovery controllers that were used.
func (c *Config) table(t *nbft.Table, host Host, files []jsonHost) {
	for _, n := range t.Namespaces {
		if !n.Addr.IsValid() || n.NQN == "" {
			continue
		}
		if n.Secure {
			c.problem("the firmware's NVMe table", fmt.Errorf("it wants %s to be connected with TLS, which it does not describe", n.NQN))
			continue
		}
		c.add("the firmware's NVMe table", Target{Transport: "tcp", Address: n.Addr.Addr().Unmap().String(), Service: strconv.Itoa(int(n.Addr.Port())), NQN: n.NQN,
			HeaderDigest: n.HeaderDigest, DataDigest: n.DataDigest}, host, files)
	}
	for _, d := range t.Discoveries {
		rest, ok := strings.CutPrefix(d.URI, "nvme+tcp://")
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(rest, "/")
		address, port := rest, ""
		if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
			address, port = rest[:i], rest[i+1:]
		}
		c.add("the firmware's NVMe table", Target{Transport: "tcp", Address: address, Service: port, NQN: d.NQN, Discovery: true}, host, files)
	}
}

// files takes in those of nvme-cli.
func (c *Config) files(s Sources, host Host, files []jsonHost) {
	for line := range strings.SplitSeq(s.Files[FileDiscovery], "\n") {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			c.add(FileDiscovery, parseLine(words), host, files)
		}
	}
	for _, h := range files {
		for _, sub := range h.Subsystems {
			for _, p := range sub.Ports {
				t := Target{Transport: p.Transport, Address: p.Address, Service: p.Service, HostAddr: p.HostAddr, HostIface: p.HostIface, NQN: sub.NQN,
					Discovery: p.Discovery || sub.NQN == DiscoveryNQN, Host: Host{NQN: h.NQN, ID: h.ID, Secret: h.Key}}
				c.add(FileConfig, t, host, files)
			}
		}
	}
}

// parseLine reads a line of discovery.conf: options of nvme discover.
func parseLine(words []string) Target {
	t := Target{Discovery: true}
	for i := 0; i < len(words); i++ {
		name, value, has := strings.Cut(words[i], "=")
		if !has && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			i++
			value = words[i]
		}
		switch name {
		case "-t", "--transport":
			t.Transport = value
		case "-a", "--traddr":
			t.Address = value
		case "-s", "--trsvcid":
			t.Service = value
		case "-w", "--host-traddr":
			t.HostAddr = value
		case "-f", "--host-iface":
			t.HostIface = value
		case "-q", "--hostnqn":
			t.Host.NQN = value
		case "-I", "--hostid":
			t.Host.ID = value
		case "-n", "--nqn":
			t.NQN = value
		}
	}
	return t
}

// jsonHost is an entry of config.json.
type jsonHost struct {
	NQN        string `json:"hostnqn"`
	ID         string `json:"hostid"`
	Key        string `json:"dhchap_key"`
	Subsystems []struct {
		NQN   string `json:"nqn"`
		Ports []struct {
			Transport string `json:"transport"`
			Address   string `json:"traddr"`
			Service   string `json:"trsvcid"`
			HostAddr  string `json:"host_traddr"`
			HostIface string `json:"host_iface"`
			Key       string `json:"dhchap_key"`
			CtrlKey   string `json:"dhchap_ctrl_key"`
			Discovery bool   `json:"discovery"`
		} `json:"ports"`
	} `json:"subsystems"`
}

// parseJSON reads config.json: a list of hosts, or, as nvme-cli writes it since
// 2.0 as well, an object with one.
func parseJSON(text string, c *Config) []jsonHost {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var list []jsonHost
	err := json.Unmarshal([]byte(text), &list)
	if err != nil {
		var one struct {
			Hosts []jsonHost `json:"hosts"`
		}
		if json.Unmarshal([]byte(text), &one) != nil {
			c.problem(FileConfig, fmt.Errorf("it cannot be read: it is no JSON of nvme-cli's"))
			return nil
		}
		list = one.Hosts
	}
	return list
}

func uuid(id [16]byte) string {
	const digits = "0123456789abcdef"
	var b []byte
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

func validUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f'):
			return false
		}
	}
	return true
}
