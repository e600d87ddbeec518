package netconf

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// RootKind is the sort of a root on the network.
type RootKind uint8

// The kinds.
const (
	// RootDHCP is what the path of the root says that comes with a lease:
	// root=dhcp, netroot=dhcp.
	RootDHCP RootKind = iota
	RootNFS
	RootISCSI
	RootNBD
	RootCIFS
	// RootURL is an image to be fetched, or read piece by piece.
	RootURL
	// RootAoE is a disk of ATA over Ethernet: Device is its name.
	RootAoE
	// RootSSHFS is a directory that is had by SSH.
	RootSSHFS
)

// String is the word of root=.
func (k RootKind) String() string {
	return [...]string{"dhcp", "nfs", "iscsi", "nbd", "cifs", "url", "aoe", "sshfs"}[k]
}

// Root is a root, or a disk of it, that is on the network.
type Root struct {
	Kind RootKind
	By   string // the parameter that says so: "root", "netroot", "nfsroot"; "" for a lease
	// IPv6 is root=dhcp6: the lease that counts is DHCPv6's.
	IPv6 bool
	// FromDHCP says that the lease gives the server and the path of a root by NFS or SSH.
	FromDHCP bool
	// Server is a name or an address without brackets, of all kinds but URLs.
	// "" is, for NFS, that of the kernel's ip= or of the lease (its next
	// server, else the DHCP server itself).
	Server string
	// Path is what is exported, absolute. A %s in it stands for the machine's
	// name or address; see PathFor. That of SSH may begin at the user's home.
	Path    string
	Options string // mount options, separated by commas
	// Version is 4 for nfs4, 0 if nothing was said.
	Version uint8

	// User and Password are those of CIFS, User that of SSH, Target an iSCSI target. A
	// RootISCSI without a target is the firmware's or rd.iscsi.*'s.
	User, Password string
	Target         *ISCSITarget

	Port   uint16 // of NBD and SSH, 0 for the usual one
	Export string // of NBD, "" for the default one
	FSType string // of what NBD exports, "" if nothing was said
	NBD    string // options of nbd-client
	// Device is the name of the device that NBD is to have, "nbd0", "" for any; that of
	// a disk of AoE, "e0.0".
	Device string

	URL string
}

// ISCSITarget is what RFC 4173 and dracut write after "iscsi:".
type ISCSITarget struct {
	User, Password     string // CHAP
	InUser, InPassword string // and the other way
	Protocol           uint8  // 6, TCP
	Port               uint16 // 3260 if nothing was said
	// Interface and NetDev are dracut's: of open-iscsi, and of the machine.
	Interface, NetDev string
	// LUN is the logical unit's number as SCSI has it (SAM): the first of four
	// levels in the highest 16 bits.
	LUN  uint64
	Name string // "iqn.2009-06.org.example:disk"
}

// PathFor is the path with the name or address of the machine in the place of
// the kernel's %s.
func (r *Root) PathFor(client string) string { return strings.ReplaceAll(r.Path, "%s", client) }

// otherSchemes are words before a colon that are no server's name: roots that
// are not on the network, or not by this package.
const otherSchemes = " live block zfs 9p virtiofs ubi ubi0 mtd bind overlay fcoe casync torrent nvmf "

// tftpboot is where the kernel looks for a root that has a name alone.
const tftpboot = "/tftpboot/"

var (
	errNoPath = errors.New("the path does not begin with '/'")
	errPath   = errors.New("the path has a blank or a character that cannot be seen, or is longer than 1024 bytes")
)

// ParseRoot reads a root on the network as it stands in root=, netroot= and in
// the path of the root of a lease. ok is false for what is none; then nothing
// is wrong with it either.
func ParseRoot(text string) (r Root, ok bool, err error) {
	scheme, rest, has := strings.Cut(text, ":")
	switch {
	case text == "dhcp", text == "dhcp6", text == "dhcp4":
		return Root{Kind: RootDHCP, IPv6: text == "dhcp6"}, true, nil
	case text == "/dev/nfs", text == "nfs", text == "/dev/nfs4", text == "nfs4":
		return nfsVersion(Root{Kind: RootNFS, FromDHCP: true}, text), true, nil
	case text == "/dev/sshfs", text == "sshfs":
		return Root{Kind: RootSSHFS, FromDHCP: true}, true, nil
	case text == "iscsi":
		return Root{Kind: RootISCSI}, true, nil
	case !has:
		return Root{}, false, nil
	}
	switch scheme {
	case "nfs", "nfs4":
		r, err = parseNFS(rest)
		r = nfsVersion(r, scheme)
	case "iscsi":
		r, err = parseISCSI(rest)
	case "nbd":
		r, err = parseNBD(rest)
	case "cifs":
		r, err = parseCIFS(rest)
	case "aoe":
		r, err = parseAoE(rest)
	case "sshfs":
		r, err = parseSSHFS(rest)
	case "http", "https", "ftp", "tftp":
		r, err = parseURL(text)
	case "live":
		inner, _, _ := strings.Cut(rest, "://")
		switch inner {
		case "http", "https", "ftp", "tftp":
			r, err = parseURL(rest)
		default:
			return Root{}, false, nil
		}
	default:
		// "server:/dir" is NFS to dracut and the kernel.
		if !strings.HasPrefix(rest, "/") && text[0] != '[' || strings.ContainsAny(scheme, "/= ") ||
			strings.Contains(otherSchemes, " "+scheme+" ") {
			return Root{}, false, nil
		}
		r, err = parseNFS(text)
	}
	return r, true, err
}

func nfsVersion(r Root, scheme string) Root {
	if strings.HasSuffix(scheme, "nfs4") {
		r.Version = 4
	}
	return r
}

// ParseRootPath reads the path of the root of a lease: what ParseRoot reads,
// and the path of an NFS root alone, "/srv/root,vers=3".
func ParseRootPath(text string) (Root, error) {
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "/dev/nfs") {
		return parseNFS(text)
	}
	r, ok, err := ParseRoot(text)
	if err != nil {
		return Root{}, err
	}
	if !ok || r.Kind == RootDHCP || r.FromDHCP {
		return Root{}, fmt.Errorf("%q is not a root on the network", text)
	}
	return r, nil
}

// server takes a name or an address, and the colon behind it, off the text.
func server(s string) (name, rest string, err error) {
	if t, ok := strings.CutPrefix(s, "["); ok {
		name, rest, ok = strings.Cut(t, "]")
		host, zone, zoned := strings.Cut(name, "%") // fe80::1%eth0
		if a, valid := address(host); !ok || !valid || !a.Is6() || zoned && (!a.IsLinkLocalUnicast() || !validInterface(zone)) {
			return "", "", fmt.Errorf("%q is not an IPv6 address between brackets", s)
		}
		if rest, ok = strings.CutPrefix(rest, ":"); !ok && rest != "" {
			return "", "", fmt.Errorf("%q stands behind the address of the server", rest)
		}
		return name, rest, nil
	}
	name, rest, _ = strings.Cut(s, ":")
	if name != "" && !validHost(name) {
		return "", "", fmt.Errorf("%q is not the name or the address of a server", name)
	}
	return name, rest, nil
}

// parseNFS reads [SERVER:]PATH[,OPTIONS] and dracut's [SERVER:]PATH[:OPTIONS].
func parseNFS(s string) (r Root, err error) {
	r.Kind = RootNFS
	if s != "" && s[0] != '/' {
		if r.Server, s, err = server(s); err != nil {
			return r, err
		}
	}
	if i := strings.IndexAny(s, ",:"); i >= 0 {
		s, r.Options = s[:i], strings.Trim(s[i+1:], ",:")
	}
	if !strings.HasPrefix(s, "/") {
		return r, errNoPath
	}
	if !visible(s) || !visible(r.Options) || len(s) > 1024 || len(r.Options) > 1024 {
		return r, errPath
	}
	r.Path = s
	return r, nil
}

// parseISCSI reads [USER:PASSWORD[:USER:PASSWORD]@][SERVER]:[PROTOCOL]:[PORT]
// [:[INTERFACE]:[NETDEV]]:[LUN]:TARGET, without the "iscsi:" before it. No error
// names what stands before the '@'.
func parseISCSI(s string) (Root, error) {
	t := &ISCSITarget{Protocol: 6, Port: 3260}
	r := Root{Kind: RootISCSI, Target: t}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		secrets := strings.Split(s[:at], ":")
		if n := len(secrets); n != 2 && n != 4 {
			return r, errors.New("not USER:PASSWORD or USER:PASSWORD:USER:PASSWORD before the '@'")
		}
		t.User, t.Password = secrets[0], secrets[1]
		if len(secrets) == 4 {
			t.InUser, t.InPassword = secrets[2], secrets[3]
		}
		s = s[at+1:]
	}
	var err error
	if r.Server, s, err = server(s); err != nil {
		return r, err
	}
	f := strings.Split(s, ":")
	at := 3 // of the target's name
	if len(f) > 3 && !isTarget(f[3]) {
		at = 5
	}
	if len(f) <= at || !isTarget(f[at]) {
		return r, errors.New("not SERVER:PROTOCOL:PORT:LUN:TARGET with a target that is an iqn., eui. or naa. name")
	}
	if f[0] != "" && f[0] != "6" {
		return r, fmt.Errorf("protocol %q is not 6 (TCP)", f[0])
	}
	if f[1] != "" {
		port, err := strconv.ParseUint(f[1], 10, 16)
		if err != nil || port == 0 {
			return r, fmt.Errorf("%q is not a port", f[1])
		}
		t.Port = uint16(port)
	}
	if at == 5 {
		t.Interface, t.NetDev = f[2], f[3]
		if t.Interface != "" && !visible(t.Interface) || t.NetDev != "" && !validInterface(t.NetDev) {
			return r, errors.New("no name of an interface before the LUN")
		}
	}
	if t.LUN, err = parseLUN(f[at-1]); err != nil {
		return r, err
	}
	t.Name = strings.Join(f[at:], ":")
	if len(t.Name) > 223 || !visible(t.Name) || strings.ContainsAny(t.Name, "/;'\"`$\\") {
		return r, errors.New("the target has a character that no name has, or more than 223 bytes")
	}
	return r, nil
}

func isTarget(s string) bool {
	return strings.HasPrefix(s, "iqn.") || strings.HasPrefix(s, "eui.") || strings.HasPrefix(s, "naa.")
}

// parseLUN reads up to four groups of up to four hexadecimal digits.
func parseLUN(s string) (lun uint64, err error) {
	if s == "" {
		return 0, nil
	}
	groups := strings.Split(s, "-")
	for i, g := range groups {
		v, err := strconv.ParseUint(g, 16, 16)
		if err != nil || len(groups) > 4 {
			return 0, fmt.Errorf("%q is not a LUN", s)
		}
		lun |= v << (48 - 16*i)
	}
	return lun, nil
}

// Number is the number of a LUN that has one level, as most have.
func (t *ISCSITarget) Number() (n uint16, ok bool) {
	return uint16(t.LUN >> 48), t.LUN&(1<<48-1) == 0
}

// parseNBD reads SERVER:PORT-OR-EXPORT[:FSTYPE[:MOUNTOPTIONS[:NBDOPTIONS]]].
func parseNBD(s string) (r Root, err error) {
	r.Kind = RootNBD
	if r.Server, s, err = server(s); err != nil {
		return r, err
	}
	if r.Server == "" {
		return r, errors.New("no server")
	}
	f := strings.SplitN(s, ":", 4)
	for _, w := range f {
		if !visible(w) {
			return r, errPath
		}
	}
	f = append(f, "", "", "")
	if port, err := strconv.ParseUint(f[0], 10, 16); err == nil && port > 0 {
		r.Port = uint16(port)
	} else {
		r.Export = f[0]
	}
	r.FSType, r.Options, r.NBD = f[1], f[2], f[3]
	return r, nil
}

// parseCIFS reads //[USER[:PASSWORD]@]SERVER:/SHARE or //…SERVER/SHARE.
func parseCIFS(s string) (r Root, err error) {
	r.Kind = RootCIFS
	s, ok := strings.CutPrefix(s, "//")
	if !ok {
		return r, errors.New("not cifs://SERVER:/SHARE")
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		r.User, r.Password, _ = strings.Cut(s[:at], ":")
		s = s[at+1:]
	}
	// The colon before the path may be missing.
	if i := strings.IndexByte(s, '/'); i > 0 && s[i-1] != ':' {
		s = s[:i] + ":" + s[i:]
	}
	if r.Server, r.Path, err = server(s); err != nil {
		return r, err
	}
	if r.Path = "/" + strings.TrimPrefix(r.Path, "/"); !visible(r.Path) || len(r.Path) == 1 || r.Server == "" {
		return r, errors.New("not cifs://SERVER:/SHARE")
	}
	return r, nil
}

// parseAoE reads "/dev/etherd/e0.0", where "/dev/etherd/" may be missing.
func parseAoE(s string) (Root, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(s, "/dev/"), "etherd/")
	if len(name) < 4 || len(name) > 16 || name[0] != 'e' || strings.Trim(name[1:], "0123456789.p") != "" || !strings.Contains(name, ".") {
		return Root{Kind: RootAoE}, errors.New("not a disk such as aoe:/dev/etherd/e0.0")
	}
	return Root{Kind: RootAoE, Device: name}, nil
}

// parseSSHFS reads [USER@]SERVER:[PORT:]DIRECTORY. A directory that does not begin
// with '/' is one of the user's home, as it is to ssh's own programs.
func parseSSHFS(s string) (r Root, err error) {
	r.Kind, r.User = RootSSHFS, "root"
	if user, rest, ok := strings.Cut(s, "@"); ok && !strings.ContainsAny(user, ":/[") {
		if !validUser(user) {
			return r, fmt.Errorf("%q is not the name of a user", user)
		}
		r.User, s = user, rest
	}
	if r.Server, s, err = server(s); err != nil {
		return r, err
	}
	if p, dir, ok := strings.Cut(s, ":"); ok {
		if n, err := port(p); err == nil {
			r.Port, s = n, dir
		}
	}
	switch {
	case r.Server == "" || s == "":
		return r, errors.New("not USER@SERVER:/DIRECTORY")
	case !visible(s) || len(s) > 1024:
		return r, errPath
	}
	r.Path = s
	return r, nil
}

// validUser says whether the text may be the name of a user of a server: one that
// begins with '-' would be an option to ssh.
func validUser(s string) bool {
	if s == "" || s[0] == '-' || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func parseURL(s string) (Root, error) {
	_, rest, ok := strings.Cut(s, "://")
	if host, _, _ := strings.Cut(rest, "/"); !ok || host == "" || !visible(s) || len(s) > 2048 {
		return Root{Kind: RootURL}, errors.New("not a URL such as https://server/root.squashfs")
	}
	return Root{Kind: RootURL, URL: s}, nil
}

// roots puts together what root=, netroot=, nfsroot= and boot=nfs say.
func (p *parser) roots() {
	add := func(arg Param, r Root) {
		r.By = arg.Name
		p.c.Roots = append(p.c.Roots, r)
	}
	parse := func(arg Param) (isRoot bool) {
		r, ok, err := ParseRoot(arg.Value)
		p.arg = arg
		switch {
		case err != nil:
			p.bad(err.Error(), "")
			return true
		case ok && r.Kind == RootNFS && r.FromDHCP:
			p.nfs(add, r, arg)
			p.nfsroot.Name = ""
		case ok && r.FromDHCP:
			p.sshfs(add, r, arg)
			p.sshfsroot.Name = ""
		case ok:
			add(arg, r)
		}
		return ok
	}
	if p.rootArg.Name != "" {
		parse(p.rootArg)
	}
	for _, arg := range p.netroot {
		if arg.Value == "dhcp" && len(p.c.Roots) > 0 {
			continue // root=dhcp says the same
		}
		if !parse(arg) && arg.Value != "" {
			p.bad("not a root on the network", "netroot=dhcp, netroot=nfs:SERVER:/PATH or netroot=iscsi:…")
		}
	}
	p.nbd(add)
	p.iscsi(add)
	if p.sshfsroot.Name != "" && len(p.c.Roots) == 0 && p.root == "" {
		p.sshfs(add, Root{Kind: RootSSHFS, FromDHCP: true}, p.sshfsroot)
	} else if p.sshfsroot.Name != "" {
		p.arg = p.sshfsroot
		p.bad("it has no effect beside another root", "root=/dev/sshfs with it")
	}
	if len(p.c.Roots) > 0 {
		return
	}
	switch {
	case p.bootNFS, p.nfsroot.Name != "" && p.root == "":
		arg := Param{Name: "boot", Value: "nfs", HasValue: true}
		p.nfs(add, Root{Kind: RootNFS, FromDHCP: true}, arg)
	case p.nfsroot.Name != "":
		p.arg = p.nfsroot
		p.bad("it has no effect beside another root", "root=/dev/nfs with it")
	}
}

// sshfs completes a root by SSH that is only said to be one: sshfsroot= has it, or
// the lease.
func (p *parser) sshfs(add func(Param, Root), r Root, arg Param) {
	if p.sshfsroot.Name != "" {
		arg = p.sshfsroot
	}
	if v := p.sshfsroot.Value; v != "" && v != "auto" {
		got, err := parseSSHFS(strings.TrimPrefix(v, "sshfs:"))
		if err != nil {
			p.arg = arg
			p.bad(err.Error(), "sshfsroot=USER@SERVER:/DIRECTORY")
			return
		}
		r = got
	}
	add(arg, r)
}

// nfs completes an NFS root that is only said to be one: nfsroot= has it, or
// the lease.
func (p *parser) nfs(add func(Param, Root), r Root, arg Param) {
	v := p.nfsroot.Value
	if p.nfsroot.Name != "" {
		arg = p.nfsroot
	}
	switch {
	case v == "", v == "auto":
	case v[0] == ',':
		r.Options = strings.Trim(v, ",")
	default:
		if !strings.ContainsAny(v, "/:") {
			v = tftpboot + v // the kernel's
		}
		got, err := parseNFS(v)
		if err != nil {
			p.arg = arg
			p.bad(err.Error(), "nfsroot=SERVER:/PATH,OPTIONS")
			return
		}
		got.Version = r.Version
		r = got
	}
	if p.nfsOpts != "" {
		if r.Options != "" {
			r.Options += ","
		}
		r.Options += p.nfsOpts
	}
	add(arg, r)
}
