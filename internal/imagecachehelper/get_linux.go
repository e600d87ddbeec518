package imagecachehelper

import (
	"errors"
	"os"
	"path"
	"syscall"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetchrun"
	"firstlight/internal/imagecache"
	"firstlight/internal/netreport"
)

// get fetches the image, or asks for a newer one, and puts what came into its place.
// old is the report of what is kept.
func (h *Helper) get(c imagecache.Choice, f imagecache.Found, old netreport.Report) error {
	part := h.name + imagecache.PartEnd
	use := func(why string) error {
		h.say(fetchplan.StateNote, "text", "the kept image is used: "+why)
		h.Say(old.With("kept", "yes"))
		return nil
	}
	for {
		signature, err := h.signature(f.Right)
		var last netreport.Report
		if err == nil {
			last, err = h.part(part, c, f.Right)
		}
		switch r := fetch.Final(err); {
		case err == fetchrun.ErrLate, f.Right && r != nil:
			return use(err.Error())
		case r != nil && r.Try == "" && f.File && f.Ours && !f.Right: // no room: the one that is of no use is in the way
			if err := h.drop(h.name, h.name+imagecache.RecordEnd); err != nil {
				return err
			}
			f.File = false
			continue
		case r != nil:
			if r.Try == "" {
				r.Try = "free some room on " + h.plan.Keep.Disk + ", a twentieth of which is left in any case, or name another disk with rd.firstlight.keep="
			}
			return r
		case err != nil:
			return err
		case last.Get("same") != "":
			return use("it is what the server has")
		}
		size, err := h.has(part)
		if err != nil {
			return err
		}
		record := imagecache.Record{URL: h.url.String(), Known: last.Get("known"), Done: size}
		done, why, err := h.verify(part, size, imagecache.Evidence{Trust: h.trust, Signature: signature, Fresh: true})
		if err != nil {
			return err
		}
		switch imagecache.Judge(why == "", c.From, f.Right) {
		case imagecache.Install:
			record.Sum = done.Get("sum")
			if err := h.install(part, record, signature); err != nil {
				return err
			}
			h.Say(done)
			return nil
		case imagecache.Again:
			h.say(fetchplan.StateNote, "text", "what had come before is damaged, and it is fetched anew")
			c.From, c.Known = 0, ""
			if f.Right {
				c.Known = f.Record.Known
			}
			if err := h.drop(part, part+imagecache.RecordEnd); err != nil {
				return err
			}
			continue
		case imagecache.Old:
			if err := h.drop(part, part+imagecache.RecordEnd); err != nil {
				return err
			}
			return use("the server's is not the right one: " + why)
		}
		if err := h.drop(part, part+imagecache.RecordEnd); err != nil {
			return err
		}
		return &fetch.Refusal{Text: "what " + h.url.Authority() + " has is not the right image: " + why, Try: "put the right image there, or correct its sum or signature"}
	}
}

// install puts what came in the place of what is kept. The power may go at any time:
// there is a whole image then, which its signature may not be of, and no half one.
func (h *Helper) install(part string, record imagecache.Record, signature string) error {
	if err := h.drop(h.name + imagecache.RecordEnd); err != nil {
		return err
	}
	if err := h.put(h.name+imagecache.RecordEnd, record.String()); err != nil {
		return err
	}
	if end := imagecache.Signature(h.trust); end != "" {
		if err := h.put(h.name+end, signature); err != nil {
			return err
		}
	}
	if _, err := h.has(h.name); err != nil {
		return err
	}
	if err := h.dir.Rename(part, h.name); err != nil {
		return err
	}
	return errors.Join(h.drop(part+imagecache.RecordEnd), h.sync())
}

// signature fetches the signature of the image, "" for none that is needed.
func (h *Helper) signature(kept bool) (string, error) {
	end := imagecache.Signature(h.trust)
	if end == "" {
		return "", nil
	}
	to := h.Root + path.Join(fetchplan.Dir, h.name+end)
	file, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	p := h.plan
	p.URL, p.Limit = fetchplan.Behind(h.plan.URL, end), fetch.MaxSignature
	if _, err := fetchrun.Fetch(h.Fetch, p, file, h.patience(kept), func(r *netreport.Report) error {
		if r.State == fetchplan.StateTrouble {
			h.Say(*r)
		}
		return nil
	}); err != nil {
		if r := fetch.Final(err); r != nil && r.Try == "" {
			r.Try = "put a signature there that is one"
		}
		return "", err
	}
	b, err := os.ReadFile(to)
	return string(b), err
}

// part fetches the image into a file of the directory.
func (h *Helper) part(name string, c imagecache.Choice, kept bool) (end netreport.Report, err error) {
	size, err := h.has(name)
	if err != nil {
		return end, err
	}
	file, err := h.dir.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return end, err
	}
	defer file.Close()
	var st syscall.Stat_t
	if err := errors.Join(file.Truncate(c.From), syscall.Fstat(int(file.Fd()), &st)); err != nil {
		return end, err
	}
	free, all, err := h.room(file)
	if err != nil {
		return end, err
	}
	if size > c.From { // what was behind it is not known to be right
		if err := file.Sync(); err != nil {
			return end, err
		}
	}
	p := h.plan
	p.From, p.Known = c.From, c.Known
	p.Limit = imagecache.Room(free, all, st.Blocks*512)
	h.noted = c.From
	last := time.Now()
	note := func(r *netreport.Report) error {
		h.Say(*r)
		if r.State != fetchplan.StateProgress && r.State != fetchplan.StateTrouble {
			return nil
		}
		done, known := int64(r.Int("done")), r.Get("known")
		if done < h.noted { // it began anew
			h.noted = 0
		}
		// While the server is waited for there is time.
		due := imagecache.Checkpoint(done-h.noted, time.Since(last)) || r.State == fetchplan.StateTrouble || done == int64(r.Int("total"))
		if known == "" || done == h.noted || !due {
			return nil
		}
		if err := file.Sync(); err != nil {
			return err
		}
		h.noted, last = done, time.Now()
		return h.put(name+imagecache.RecordEnd, imagecache.Record{URL: h.url.String(), Known: known, Done: done}.String())
	}
	if end, err = fetchrun.Fetch(h.Fetch, p, file, h.patience(kept), note); err == nil {
		err = file.Sync()
	}
	return end, err
}

// room is how much of the filesystem of a file is free, and how large it is, in bytes.
func (h *Helper) room(file *os.File) (free, all int64, err error) {
	if h.disk != nil {
		return h.disk()
	}
	var at syscall.Statfs_t
	err = syscall.Fstatfs(int(file.Fd()), &at)
	return int64(at.Bavail) * at.Bsize, int64(at.Blocks) * at.Bsize, err
}

// patience is how long nothing may come where there is a right image already; 0 is
// for ever.
func (h *Helper) patience(kept bool) time.Duration {
	if !kept {
		return 0
	}
	return time.Duration(max(h.plan.Keep.Newer, 1)) * time.Second
}
