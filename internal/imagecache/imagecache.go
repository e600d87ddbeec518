// Package imagecache decides how an image that a server has is kept on a disk from
// boot to boot: whether what is there is the right one, whether it is fetched, from
// where on, and what is done with what came. It has neither files nor a clock;
// package imagecachehelper is its edge.
//
// Nothing is used that was not verified in this boot, and no file is replaced that
// was not put there by it.
package imagecache

import (
	"errors"
	"path"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/netreport"
)

// The ends of the names of what lies beside an image: what has come of one that is
// being fetched, and what is known of either.
const (
	PartEnd   = ".part"
	RecordEnd = ".kept"
)

// Dir is where the filesystem is mounted that images are kept on.
const Dir = fetchplan.KeptDir

// Inside splits the path of a kept image into the directory and the name, relative
// to Dir.
func Inside(file string) (dir, name string, err error) {
	rest, ok := strings.CutPrefix(path.Clean(file), Dir+"/")
	if !ok || path.Clean(file) != file {
		return "", "", errors.New(file + " is not on the disk that images are kept on")
	}
	return path.Dir(rest), path.Base(rest), nil
}

// Record is what is known of a kept image, or of one that came in part.
type Record struct {
	// URL is where it came from, without user and password; Known is what the server
	// called it, as If-Range can have it, "" for nothing.
	URL, Known string
	// Sum is its SHA-256 in hexadecimal, "" of one that came in part.
	Sum string
	// Done is how much of it is known to be on the disk, in bytes.
	Done int64
}

// recordState is the first word of a record.
const recordState = "firstlight-kept"

// String is the record as one line.
func (r Record) String() string {
	return netreport.Report{State: recordState}.With("url", r.URL).With("known", r.Known).With("sum", r.Sum).With("done", strconv.FormatInt(r.Done, 10)).String() + "\n"
}

// ParseRecord reads what String wrote; ok is false where it is something else.
func ParseRecord(text string) (r Record, ok bool) {
	line, rest, _ := strings.Cut(text, "\n")
	p, ok := netreport.ParseReport(line)
	if !ok || rest != "" || p.State != recordState {
		return r, false
	}
	r = Record{URL: p.Get("url"), Known: p.Get("known"), Sum: p.Get("sum")}
	n, err := strconv.ParseUint(p.Get("done"), 10, 63)
	for _, c := range []byte(r.Known) { // it is sent to the server
		if c < ' ' || c >= 0x7f {
			return Record{}, false
		}
	}
	r.Done = int64(n)
	if err != nil || r.URL == "" || r.Sum != "" && !fetch.ValidSum(r.Sum) {
		return Record{}, false
	}
	return r, true
}

// Found is what the directory has.
type Found struct {
	// File: there is a file of that name. Ours: there is a record of it.
	File, Ours bool
	Record     Record
	// Right says that it is the right one, Why what is wrong with it.
	Right bool
	Why   string
	// Part is the record of what came in part, zero for none, and PartSize how long
	// that is, in bytes.
	Part     Record
	PartSize int64
}

// Step is what to do.
type Step uint8

// The steps.
const (
	// Use has the kept image used.
	Use Step = iota
	// Absent says that there is no right one, and no more.
	Absent
	// Ask asks the server for an image that is newer than the kept one.
	Ask
	// Get fetches it, since nothing that is kept can be used.
	Get
)

// Choice is a step: what is fetched from byte From on, and what the server called
// what is there already.
type Choice struct {
	Step  Step
	From  int64
	Known string
}

// Choose says what to do next; u is what the plan names. An error is a
// fetch.Refusal.
func Choose(p fetchplan.Plan, u fetchplan.URL, f Found) (c Choice, err error) {
	k := p.Keep
	if from := min(f.Part.Done, f.PartSize); f.Part.URL == u.String() && f.Part.Known != "" && from > 0 {
		c.From, c.Known = from, f.Part.Known
	}
	switch {
	case f.Right && (k.Newer == 0 || k.Offline):
		c.Step = Use
	case f.Right:
		c.Step = Ask
		if c.From > 0 {
			break
		}
		// Who has said nothing of what it is called cannot be asked.
		if f.Record.Known == "" || f.Record.URL != u.String() || u.Scheme == "tftp" {
			c.Step = Use
			break
		}
		c.Known = f.Record.Known
	case k.Offline:
		c.Step = Absent
	case f.File && !f.Ours:
		return c, &fetch.Refusal{Text: "the " + path.Base(p.Into) + " on " + k.Disk + " is not the image that is asked for, and not one that Firstlight has put there; it is not overwritten: " + f.Why,
			Try: "take it away, or name another directory with rd.firstlight.keep="}
	default:
		c.Step = Get
	}
	return c, nil
}

// Came is what is done with an image that came.
type Came uint8

// What is done.
const (
	// Install puts it in the place of what is kept.
	Install Came = iota
	// Again fetches it anew, once: some of it came in an earlier boot, which may have
	// ended before it was on the disk.
	Again
	// Old uses what is kept.
	Old
	// Nothing is there to be used.
	Nothing
)

// Judge says what is done with what came, all of it; from is the byte from which on
// it was fetched in this boot, and kept says that there is a right one besides.
func Judge(right bool, from int64, kept bool) Came {
	switch {
	case right:
		return Install
	case from > 0:
		return Again
	case kept:
		return Old
	}
	return Nothing
}

// Room is how large an image on a filesystem may be: a twentieth of it is left
// free. available and size are its, has is what an image in part has already; all in
// bytes.
func Room(available, size, has int64) int64 { return max(0, available-size/20+has) }

// Checkpoint says whether what came is to be written to the disk now, and noted: after
// so many bytes, or so long.
func Checkpoint(bytes int64, since time.Duration) bool {
	return bytes >= 16<<20 || bytes > 0 && since >= 5*time.Second
}

// Evidence is what an image is verified by.
type Evidence struct {
	Trust fetch.Trust
	// Signature is the text of the one beside it, "" for none.
	Signature string
	// Recorded is the sum that it had when it came; Fresh says that it has just come.
	Recorded string
	Fresh    bool
}

// Verdict says whether a file with these sums is the right one: by says what by, and
// why what is wrong. later says that gpgv has still to say it. blake is BLAKE2b of 64
// bytes, where there are keys.
func (e Evidence) Verdict(u fetchplan.URL, sum string, blake []byte) (by, why string, later bool) {
	t := e.Trust
	switch {
	case t.Sum != "":
		if err := t.Verified(u, sum); err != nil {
			return "", err.Error(), false
		}
		return t.By, "", false
	case len(t.Keys) > 0:
		s, err := fetch.ParseSignature(e.Signature)
		if err != nil {
			return "", "of its signature: " + err.Error(), false
		}
		key, err := s.Of(t.Keys)
		if err != nil {
			return "", "of its signature: " + err.Error(), false
		}
		if !s.Verify(key, blake) {
			return "", "it is not what its signature is of", false
		}
		by = "a signature of the key " + key.String()
		if s.Comment != "" {
			by += " (" + s.Comment + ")"
		}
		return by, "", false
	case t.GPG:
		if e.Signature == "" {
			return "", "it has no signature", false
		}
		return "", "", true
	case !e.Fresh && e.Recorded != sum:
		return "", "it is not what came from the server: its sum is " + sum, false
	}
	return "", "", false
}

// Signature is the end of the name of the signature that is fetched along, "" for
// none.
func Signature(t fetch.Trust) string {
	switch {
	case t.Sum != "":
	case len(t.Keys) > 0:
		return fetch.MinisignEnd
	case t.GPG:
		return fetch.GPGEnd
	}
	return ""
}
