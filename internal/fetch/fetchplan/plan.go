// Package fetchplan is what the boot and the helper program that fetches images
// say to each other: what is to be fetched, and how that goes. It is pure and
// small, as both ends have it.
package fetchplan

import (
	"errors"
	"strconv"

	"firstlight/internal/netreport"
)

// Plan is what is to be fetched.
type Plan struct {
	URL  string // with user and password
	Into string // the file that it is to become
	// Sum is the SHA-256 that it must have, in hexadecimal; "" is none.
	Sum string
	// Unverified allows an image of which nothing says that it is the right one.
	Unverified bool
	// NoVerifyTLS is dracut's rd.noverifyssl: any certificate will do.
	NoVerifyTLS bool
	// Proxy is the URL of an HTTP proxy, "" for none.
	Proxy string
	// Limit is how large it may be, in bytes.
	Limit int64

	// Raw: whoever asks verifies it, and keeps what has come of it where the rest
	// does not. Into has From bytes of it already, and Known is the server's name
	// for those (what If-Range can have); without any, it is the name of what is
	// there besides, and nothing comes if the server still has that.
	Raw   bool
	From  int64
	Known string

	// Tree: Into is a directory that an image of the Open Container Initiative is
	// unpacked into.
	Tree bool

	// Keep is what package imagecache is told besides, nil in the plan of a fetch.
	Keep *Keep
}

// Dir is where images are that came from a server, in memory, and KeptDir where the
// filesystem is mounted that they are kept on.
const (
	Dir     = "/run/initramfs/fetched"
	KeptDir = "/run/initramfs/kept"
)

// Keep is where an image is kept from boot to boot: Into is the file.
type Keep struct {
	// Disk is the device, as the command line names it, and for the helper by its
	// node.
	Disk string
	// Offline: only what is there already is looked at.
	Offline bool
	// Newer is how many seconds a server may take to say whether it has a newer one,
	// 0 where it is not asked.
	Newer int
}

// planState is the first word of a plan.
const planState = "fetch"

// String is the plan as one line. It holds secrets.
func (p Plan) String() string {
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return ""
	}
	r := netreport.Report{State: planState}.With("url", p.URL).With("into", p.Into).With("sum", p.Sum).With("unverified", yes(p.Unverified)).
		With("notls", yes(p.NoVerifyTLS)).With("proxy", p.Proxy).With("limit", strconv.FormatInt(p.Limit, 10)).
		With("raw", yes(p.Raw)).With("from", strconv.FormatInt(p.From, 10)).With("known", p.Known).With("tree", yes(p.Tree))
	if k := p.Keep; k != nil {
		r = r.With("keep", "yes").With("disk", k.Disk).With("offline", yes(k.Offline)).With("newer", strconv.Itoa(k.Newer))
	}
	return r.String()
}

// ParsePlan reads what String wrote.
func ParsePlan(line string) (p Plan, err error) {
	r, ok := netreport.ParseReport(line)
	if !ok || r.State != planState {
		return p, errors.New("it is not said what is to be fetched")
	}
	p = Plan{URL: r.Get("url"), Into: r.Get("into"), Sum: r.Get("sum"), Unverified: r.Get("unverified") != "", NoVerifyTLS: r.Get("notls") != "", Proxy: r.Get("proxy")}
	p.Limit, err = strconv.ParseInt(r.Get("limit"), 10, 64)
	if err != nil || p.Limit < 0 || p.Into == "" || p.URL == "" {
		return p, errors.New("what is to be fetched is not said completely")
	}
	p.Raw, p.Known = r.Get("raw") != "", r.Get("known")
	p.From, _ = strconv.ParseInt(r.Get("from"), 10, 64)
	return p, nil
}

// ParseKept reads a plan with what it says of where the image is kept.
func ParseKept(line string) (p Plan, err error) {
	if p, err = ParsePlan(line); err != nil {
		return p, err
	}
	r, _ := netreport.ParseReport(line)
	if p.Tree = r.Get("tree") != ""; r.Get("keep") == "" {
		return p, nil
	}
	p.Keep = &Keep{Disk: r.Get("disk"), Offline: r.Get("offline") != "", Newer: r.Int("newer")}
	return p, nil
}

// The states that the helper reports. Each report takes the place of the one
// before.
const (
	// StateAsking: text is what it does.
	StateAsking = "asking"
	// StateProgress: done and total bytes (no total where it is not known),
	// rate, bytes in a second, and known, the server's name for what it sends.
	StateProgress = "progress"
	// StateTrouble: text is what went wrong, and it is tried again by itself.
	StateTrouble = "trouble"
	// StateRefused: text is why there will be no image, try what to do.
	StateRefused = "refused"
	// StateFetched: the image is there and was verified; by says what by, size
	// is its size in bytes, sum its SHA-256. signature and keyrings are files with
	// which gpgv has still to verify it. same: what was there besides is still what
	// the server has, and nothing came. kept: nothing came.
	StateFetched = "fetched"
	// StateAbsent: nothing right is kept; text is why.
	StateAbsent = "absent"
	// StateVerifying: done and total bytes of what is kept. StateNote: text is what
	// was decided.
	StateVerifying = "verifying"
	StateNote      = "note"
)
