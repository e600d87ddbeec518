package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/imagecache"
	"firstlight/internal/machine"
)

// cacheProgram is the helper that keeps images on a disk, in an image.
const cacheProgram = "/usr/lib/firstlight/imagecache"

// keeping is a running helper that keeps an image. What it decides the real one's
// core does.
type keeping struct {
	d      *download
	files  map[string]string // of the disk, by path
	file   string            // the image's path among them
	url    fetchplan.URL
	found  imagecache.Found
	choice imagecache.Choice
	heard  int // counts what the server said, for who waits for that
}

// startCache starts the helper.
func (m *Machine) startCache(p machine.Program) error {
	s := m.Web
	s.run++
	s.lines, s.ended = nil, m.fault(HelperCrashes, p.Path) != nil
	if s.ended {
		return nil
	}
	plan, err := fetchplan.ParseKept(string(p.Input))
	if err != nil {
		return err
	}
	d := &download{m: m, s: s, run: s.run, plan: plan}
	x, inside, ok := m.below(plan.Into)
	switch {
	case !ok || x.device == nil:
		d.refuse(errors.New(plan.Into + " is on no disk"))
		return nil
	case x.content.Files == nil:
		x.content.Files = map[string]string{}
	}
	k := &keeping{d: d, files: x.content.Files, file: inside}
	k.url, err = fetchplan.ParseURL(plan.URL)
	if err == nil {
		d.trust, err = fetch.Choose(plan, k.url, m.Files[fetch.SumsFile], nil, false)
	}
	if err != nil {
		d.refuse(err)
		return nil
	}
	k.look()
	wait := time.Duration(0)
	if k.found.File {
		wait = time.Duration(s.Size) * time.Second / (400 << 20)
	}
	d.later(wait, k.choose)
	return nil
}

// verdict says what is wrong with a file.
func (k *keeping) verdict(content, recorded string, fresh bool) (by, sum, why string) {
	s := sha256.Sum256([]byte(content))
	sum = hex.EncodeToString(s[:])
	by, why, _ = imagecache.Evidence{Trust: k.d.trust, Recorded: recorded, Fresh: fresh}.Verdict(k.url, sum, nil)
	return by, sum, why
}

func (k *keeping) part() string { return k.file + imagecache.PartEnd }

// look looks at the disk.
func (k *keeping) look() {
	f := &k.found
	f.PartSize = -1
	if _, ok := k.files[k.part()]; ok {
		f.Part, _ = imagecache.ParseRecord(k.files[k.part()+imagecache.RecordEnd])
		f.PartSize = f.Part.Done
	}
	f.Record, f.Ours = imagecache.ParseRecord(k.files[k.file+imagecache.RecordEnd])
	content, has := k.files[k.file]
	if f.File, f.Why = has, "it is not there yet"; has {
		_, _, f.Why = k.verdict(content, f.Record.Sum, false)
		f.Right = f.Why == ""
	}
}

// choose does what the core says of that.
func (k *keeping) choose() {
	c, err := imagecache.Choose(k.d.plan, k.url, k.found)
	if err != nil {
		k.d.refuse(err)
		return
	}
	k.choice = c
	switch c.Step {
	case imagecache.Use:
		k.use()
	case imagecache.Absent:
		k.d.say(fetchplan.StateAbsent, "text", k.found.Why)
		k.d.s.ended = true
	default:
		k.get()
	}
}

// use has the kept image used.
func (k *keeping) use() {
	by, sum, _ := k.verdict(k.files[k.file], k.found.Record.Sum, false)
	k.d.s.run++ // nothing of what is fetched counts any more
	k.d.say(fetchplan.StateFetched, "size", strconv.FormatInt(k.d.s.Size, 10), "sum", sum, "by", by, "kept", "yes")
	k.d.s.ended = true
}

// get fetches it.
func (k *keeping) get() {
	d := k.d
	d.ses, d.keeping, d.parts = fetch.NewSession(k.url, 1<<40), k, nil
	if d.ses.Known = k.choice.Known; k.choice.From > 0 {
		d.ses.Offset, d.ses.Validator, d.ses.Known = k.choice.From, k.choice.Known, ""
		d.parts = strings.Split(k.files[k.part()], "+")
	}
	k.hear()
	d.ask()
}

// hear notes that the server has said something. Where there is a right image
// already, it is used when there is nothing more for so long.
func (k *keeping) hear() {
	k.heard++
	n := k.heard
	if !k.found.Right {
		return
	}
	k.d.later(time.Duration(max(k.d.plan.Keep.Newer, 1))*time.Second, func() {
		if n == k.heard && !k.d.s.ended {
			k.use()
		}
	})
}

// note has what came written to the disk.
func (k *keeping) note() {
	d := k.d
	if d.ses.Validator == "" || len(d.parts) == 0 {
		return
	}
	k.files[k.part()] = strings.Join(d.parts, "+")
	k.files[k.part()+imagecache.RecordEnd] = imagecache.Record{URL: k.url.String(), Known: d.ses.Validator, Done: d.ses.Offset}.String()
}

// drop takes what came in part away.
func (k *keeping) drop() {
	delete(k.files, k.part())
	delete(k.files, k.part()+imagecache.RecordEnd)
}

// came decides about all that has come.
func (k *keeping) came() {
	d := k.d
	content := strings.Join(d.parts, "+")
	by, sum, why := k.verdict(content, "", true)
	switch imagecache.Judge(why == "", k.choice.From, k.found.Right) {
	case imagecache.Install:
		k.files[k.file+imagecache.RecordEnd] = imagecache.Record{URL: k.url.String(), Known: d.ses.Validator, Sum: sum, Done: d.s.Size}.String()
		k.files[k.file] = content
		k.drop()
		d.say(fetchplan.StateFetched, "size", strconv.FormatInt(d.ses.Offset, 10), "sum", sum, "by", by)
		d.s.ended = true
	case imagecache.Again:
		k.drop()
		k.choice.From, k.choice.Known = 0, ""
		k.get()
	case imagecache.Old:
		k.drop()
		k.use()
	default:
		k.drop()
		d.refuse(&fetch.Refusal{Text: "what the server has is not the right image: " + why})
	}
}
