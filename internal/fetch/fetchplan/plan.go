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
	return netreport.Report{State: planState}.With("url", p.URL).With("into", p.Into).With("sum", p.Sum).With("unverified", yes(p.Unverified)).
		With("notls", yes(p.NoVerifyTLS)).With("proxy", p.Proxy).With("limit", strconv.FormatInt(p.Limit, 10)).String()
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
	return p, nil
}

// The states that the helper reports. Each report takes the place of the one
// before.
const (
	// StateAsking: text is what it does.
	StateAsking = "asking"
	// StateProgress: done and total bytes (no total where it is not known), and
	// rate, bytes in a second.
	StateProgress = "progress"
	// StateTrouble: text is what went wrong, and it is tried again by itself.
	StateTrouble = "trouble"
	// StateRefused: text is why there will be no image, try what to do.
	StateRefused = "refused"
	// StateFetched: the image is there and was verified; by says what by, size
	// is its size in bytes, sum its SHA-256.
	StateFetched = "fetched"
)
