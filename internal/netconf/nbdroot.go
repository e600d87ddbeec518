package netconf

import (
	"errors"
	"strconv"
	"strings"
)

// nbdRoot reads nbdroot=, which Debian's nbd-client has in its own spellings:
//
//	SERVER,EXPORT,DEVICE
//	SERVER,PORT
//	[SERVER]:/EXPORT, or with [PORT]/EXPORT behind the colon
//
// An IPv6 address stands between brackets, except before a comma. Without a
// server it is the one of the lease; "dhcp", or nothing, has the root's path in
// the lease say it all. device is the name of the device, "nbd0".
func nbdRoot(s string) (r Root, device string, err error) {
	r.Kind = RootNBD
	if s == "" || s == "dhcp" {
		return Root{Kind: RootDHCP}, "", nil
	}
	if f := strings.Split(s, ","); len(f) > 1 {
		r.Server = strings.Trim(f[0], "[]")
		switch {
		case len(f) == 2:
			if r.Port, err = port(f[1]); err != nil {
				r.Export, err = f[1], nil
			}
		case len(f) == 3:
			r.Export, device = f[1], strings.TrimPrefix(f[2], "/dev/")
		default:
			return r, "", errors.New("not SERVER,EXPORT,DEVICE")
		}
	} else {
		rest := s
		if s[0] != '/' {
			if i := strings.IndexByte(s, '/'); i > 0 && !strings.Contains(s[:i], ":") {
				s = s[:i] + ":" + s[i:]
			}
			if r.Server, rest, err = server(s); err != nil {
				return r, "", err
			}
		}
		r.Export = rest
		if p, name, ok := strings.Cut(rest, "/"); p != "" {
			if n, err := port(p); err == nil {
				r.Port, r.Export = n, name
			} else if ok {
				return r, "", errors.New("not SERVER:PORT/EXPORT")
			}
		}
	}
	if r.Server == "dhcp" {
		r.Server = ""
	}
	if _, ok := address(r.Server); r.Server != "" && !ok && !validHost(r.Server) {
		return r, "", errors.New("no name or address of a server")
	}
	if !visible(r.Export) || len(r.Export) > 1024 {
		return r, "", errPath
	}
	return r, device, nil
}

// ParseLease reads the path of the root in a lease, for a root that the command
// line leaves to it. Where nbdroot= or sshfsroot= does, the path has that parameter's
// spellings too. What the command line says besides is kept.
func (r *Root) ParseLease(path string) (Root, error) {
	if r.Kind == RootSSHFS {
		return parseSSHFS(strings.TrimPrefix(path, "sshfs:"))
	}
	if r.By != "nbdroot" || strings.HasPrefix(path, "nbd:") {
		got, err := ParseRootPath(path)
		got.Device = r.Device
		return got, err
	}
	got, device, err := nbdRoot(path)
	if err == nil && got.Kind != RootNBD {
		err = errors.New("it says nothing of a server")
	}
	if got.Device = nbdDevice(device); r.Device != "" {
		got.Device = r.Device
	}
	if got.Port == 0 {
		got.Port = r.Port
	}
	return got, err
}

func port(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// nbdDevice is the name of the whole device in "/dev/nbd0p1", "" for what is
// none.
func nbdDevice(s string) string {
	s = strings.TrimPrefix(s, "/dev/")
	n, ok := strings.CutPrefix(s, "nbd")
	n, _, _ = strings.Cut(n, "p")
	if v, err := strconv.ParseUint(n, 10, 16); !ok || err != nil || strconv.FormatUint(v, 10) != n {
		return ""
	}
	return "nbd" + n
}

// nbd puts together nbdroot=, nbdport=, nbddev= and root=/dev/nbd0.
func (p *parser) nbd(add func(Param, Root)) {
	if p.nbdroot.Name == "" {
		return
	}
	p.arg = p.nbdroot
	r, device, err := nbdRoot(p.nbdroot.Value)
	if err != nil {
		p.bad(err.Error(), "nbdroot=SERVER,EXPORT,nbd0")
		return
	}
	if d := nbdDevice(p.root); d != "" {
		device = d
	} else if p.nbddev != "" {
		device = p.nbddev
	}
	if r.Device = nbdDevice(device); r.Device == "" && device != "" {
		p.bad(strconv.Quote(device)+" is no network block device", "nbdroot=SERVER,EXPORT,nbd0")
		return
	}
	if p.nbdport != "" && r.Port == 0 {
		if r.Port, err = port(p.nbdport); err != nil {
			p.arg = Param{Name: "nbdport", Value: p.nbdport, HasValue: true}
			p.bad("not a port", "nbdport=10809")
		}
	}
	add(p.nbdroot, r)
}
