package httpdisk

import (
	"errors"
	"strings"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/netreport"
)

// Target is the file that is wanted.
type Target struct {
	URL fetchplan.URL
	// Index is that of the device: the number of the root, so that which of several
	// is /dev/nbd0 depends on nothing else.
	Index int
	// Verified: what is read is verified by the kernel (dm-verity).
	Verified bool
	// NoVerifyTLS takes any certificate; Proxy is an HTTP proxy, nil for none.
	NoVerifyTLS bool
	Proxy       *fetchplan.URL
}

// Names of the fields of what the boot hands over, which is one report of the state
// netreport.StateRoot: the URL, with its secrets, the number of the root, and what the
// boot allows.
const (
	FieldURL      = "url"
	FieldNumber   = "n"
	FieldVerified = "verified"
	FieldAnyTLS   = "notls"
	FieldProxy    = "proxy"
)

// Parse finds what is wanted in what the boot hands to the helper. Errors do not
// repeat a URL.
func Parse(text string) (t Target, err error) {
	r, valid := netreport.ParseReport(strings.TrimSuffix(text, "\n"))
	if !valid || r.State != netreport.StateRoot {
		return t, errors.New("no disk was handed over")
	}
	t = Target{Index: r.Int(FieldNumber), Verified: r.Get(FieldVerified) != "", NoVerifyTLS: r.Get(FieldAnyTLS) != ""}
	if t.URL, err = fetchplan.ParseURL(r.Get(FieldURL)); err != nil {
		return t, &fetch.Refusal{Text: "it cannot be read: " + err.Error(), Try: "correct the URL"}
	}
	if s := t.URL.Scheme; s != "http" && s != "https" {
		return t, &fetch.Refusal{Text: "a file cannot be read piece by piece by " + s, Try: "let the server have it by http or https, or leave rd.firstlight.ondemand out"}
	}
	if p := r.Get(FieldProxy); p != "" {
		u, err := fetchplan.ParseURL(p)
		if err != nil || u.Scheme != "http" {
			return t, &fetch.Refusal{Text: "proxy= is not the URL of an HTTP proxy", Try: "write proxy=http://SERVER:PORT"}
		}
		t.Proxy = &u
	}
	return t, nil
}
