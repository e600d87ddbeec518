package zfs

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
	"firstlight/internal/zfslabel"
)

// run runs one of ZFS's tools: command is its name and arguments without blanks in
// them, args are more, and input is what it is given on its standard input.
func (h *Handler) run(t *ueventd.Task, command string, input []byte, args ...string) (string, error) {
	words := append(strings.Fields(command), args...)
	name, args := words[0], words[1:]
	what := strings.Join(words, " ")
	own := slices.Clone(input) // the caller may wipe it while the tool runs
	exit, err := ueventd.Do(t, what, func(m machine.Machine) (machine.Exit, error) {
		defer clear(own)
		at := "/sbin/" + name
		if !m.HasProgram(at) {
			at = "/usr" + at
		}
		return m.Run(machine.Program{Path: at, Args: args, Input: own})
	})
	if err != nil {
		return "", refuse(name+" cannot be run: "+err.Error(), "rebuild the image with ZFS's tools: firstlight build --feature "+feature)
	}
	out := strings.TrimSpace(exit.Output)
	if exit.Code != 0 {
		if out == "" {
			out = "it ended with " + strconv.Itoa(exit.Code)
		}
		return "", &toolError{name + " " + args[0] + ": " + strings.Join(strings.Fields(out), " ")}
	}
	return out, nil
}

// toolError is what a tool said that did not do what it was asked.
type toolError struct{ text string }

func (e *toolError) Error() string { return e.text }

// importPool imports a pool from the devices that are known to be its own.
func (h *Handler) importPool(t *ueventd.Task, p *zfslabel.Pool) error {
	w := h.w
	r := h.rule(p)
	if o := &w.Config.Overlay; o.Cannot != "" {
		return refuse("the root is to be covered in a way that Firstlight has not: "+o.By+" asks for "+o.Cannot, "choose another kind of overlay, or boot without that parameter")
	}
	if err := w.LoadModules(t, "zfs"); err != nil {
		return refuse(err.Error(), "rebuild the image with the driver: firstlight build --feature "+feature+" (on Debian zfs-dkms builds it)")
	}
	if id := h.config.HostID; id != "" {
		if err := ueventd.Act(t, "tell ZFS that this machine is "+id, func(m machine.Machine) error {
			return m.WriteSysfs("/module/spl/parameters/spl_hostid", "0x"+id)
		}); err != nil {
			return err
		}
	}
	h.record(t, p)
	command := "zpool import -N"
	if h.config.Force {
		command += " -f"
		w.Say(handler.Loud, "Importing the pool "+label(p)+" whoever else may be using it, as zfs_force asks.")
	}
	if r.readOnly {
		command += " -o readonly=on"
	}
	var args []string
	for i := range p.Members {
		args = append(args, "-d", h.name(p, &p.Members[i]))
	}
	if r.why != "" {
		w.Say(handler.Loud, r.why)
	}
	h.fact(goal.Working, "the pool "+label(p)+" is being imported", "")
	_, err := h.run(t, command, nil, append(args, number(p))...)
	if tool, ok := err.(*toolError); ok {
		// Somebody may have imported it in the shell.
		if out, err := h.run(t, "zpool list -H -o guid,readonly", nil, p.Label.Pool); err == nil && strings.HasPrefix(out, number(p)+"\t") {
			h.imported, h.readOnly = p.Label.Pool, strings.HasSuffix(out, "\ton")
			return nil
		}
		return refuse("the pool "+label(p)+" cannot be imported: "+tool.text, "look at it in a rescue system: zpool import")
	}
	if err != nil {
		return err
	}
	h.imported, h.readOnly = p.Label.Pool, r.readOnly
	w.DropFact("zfs pool")
	w.Progress()
	return nil
}

// record writes what udevd would know of the pool's devices to where its clients
// look: the tool waits three seconds for each device that is not in there.
func (h *Handler) record(t *ueventd.Task, p *zfslabel.Pool) {
	for i := range p.Members {
		name, text, ok := h.devices[p.Members[i].Node].entry.Record()
		if !ok {
			continue
		}
		// Without it the import takes longer, and nothing else.
		ueventd.Act(t, "record "+p.Members[i].Node+" in udev's database", func(m machine.Machine) error { return m.WriteFile(name, []byte(text), 0o644) })
	}
}

// name is what the tool is told of a device, and remembers: where it was when the
// labels were written, if that is this device still, else a link that says which
// disk it is, else the node.
func (h *Handler) name(p *zfslabel.Pool, m *zfslabel.Member) string {
	links := h.devices[m.Node].entry.Links()
	path := p.Path(m.Label.GUID)
	if path == m.Node || slices.Contains(links, strings.TrimPrefix(path, "/dev/")) {
		return path
	}
	best := ""
	for _, l := range links {
		if strings.HasPrefix(l, "disk/by-id/") && (best == "" || l < best) {
			best = l
		}
	}
	if best != "" {
		return "/dev/" + best
	}
	return m.Node
}

// dataset is one that is to be mounted.
type dataset struct {
	name       string // with the pool
	mountpoint string // "/", "/usr", "legacy", "none", "-"
	util       bool   // the mountpoint is a property, which mount(8) minds
	canMount   string // "on", "noauto", "off"
	root       string // of its encryption, "-" for none
	locked     bool   // its key is not loaded
	location   string // of the key: "prompt", "file:///…"
	format     string // of the key: "passphrase", "hex", "raw"
}

// columns are what is asked of each dataset.
const columns = "name,mountpoint,canmount,encryptionroot,keystatus,keylocation,keyformat,org.zol:mountpoint,origin"

const listSnapshots = "zfs list -H -o name -t snapshot"

// list returns the filesystems at and below a dataset, parents first.
func (h *Handler) list(t *ueventd.Task, name string) ([]dataset, error) {
	out, err := h.run(t, "zfs list -H -p -t filesystem -r -o "+columns, nil, name)
	if err != nil {
		return nil, err
	}
	var list []dataset
	for _, line := range strings.Split(out, "\n") {
		f := strings.Split(line, "\t")
		if len(f) < strings.Count(columns, ",")+1 {
			return nil, refuse("zfs list says of "+name+" what is not understood: "+line, "")
		}
		d := dataset{name: f[0], mountpoint: f[1], util: strings.HasPrefix(f[1], "/"), canMount: f[2], root: f[3], locked: f[4] == "unavailable", location: f[5], format: f[6]}
		if own := f[7]; !d.util && strings.HasPrefix(own, "/") {
			// A clone that zfs-initramfs or this has made of a snapshot.
			d.mountpoint, d.util = own, true
		}
		list = append(list, d)
	}
	return list, nil
}

// prepare finds out which datasets the root is made of, and opens them.
func (h *Handler) prepare(t *ueventd.Task) error {
	name, err := h.rootDataset(t)
	if err != nil {
		return err
	}
	snapshot := ""
	if name, snapshot, err = h.snapshots(t, name); err != nil {
		return err
	}
	list, err := h.list(t, name)
	if err != nil {
		if tool, ok := err.(*toolError); ok {
			return refuse("the dataset "+name+" is not there: "+tool.text, "correct root=; zfs list in a rescue system shows what there is")
		}
		return err
	}
	if len(list) == 0 || list[0].name != name {
		return refuse("the dataset "+name+" is no filesystem", "correct root=")
	}
	h.datasets = nil
	for i, d := range list {
		if i > 0 && (snapshot != "" || d.canMount == "off" || !strings.HasPrefix(d.mountpoint, "/") || d.mountpoint == "/") {
			continue
		}
		if err := h.open(t, &list[i], list, i == 0); err == errLeft {
			w := h.w
			w.Say(handler.Normal, d.name+" is not mounted: its key is not in this image, and is left to the real system")
			continue
		} else if err != nil {
			return err
		}
		h.datasets = append(h.datasets, d)
	}
	if snapshot != "" { // which is mounted as it is
		h.datasets[0].name, h.datasets[0].util = name+snapshot, false
	}
	return nil
}

// rootDataset is the root's, by the command line or by what the pool says.
func (h *Handler) rootDataset(t *ueventd.Task) (string, error) {
	if h.dataset != "" && h.dataset[0] == '/' {
		return h.imported + h.dataset, nil
	}
	// Of a snapshot without a dataset ("pool@snap") it is that of the pool itself.
	if h.dataset != "" {
		return h.imported + h.dataset, nil
	}
	boot, err := h.run(t, "zpool list -H -o bootfs", nil, h.imported)
	if err != nil {
		return "", err
	}
	if boot != "" && boot != "-" {
		return boot, nil
	}
	list, err := h.list(t, h.imported)
	if err != nil {
		return "", err
	}
	var found []string
	for _, d := range list {
		if d.mountpoint == "/" && d.canMount != "off" {
			found = append(found, d.name)
		}
	}
	if len(found) == 1 {
		t.Record("decision", "the root is "+found[0]+", which alone has the mountpoint /: the pool has no property bootfs")
		return found[0], nil
	}
	text := "the pool " + h.imported + " has no property bootfs, and no dataset with the mountpoint /"
	if len(found) > 1 {
		text = "the pool " + h.imported + " has no property bootfs, and more than one dataset with the mountpoint /: " + strings.Join(found, ", ")
	}
	return "", refuse(text, "name the dataset: root=ZFS="+h.imported+"/NAME, or set it: zpool set bootfs="+h.imported+"/NAME "+h.imported)
}

// snapshots does what the command line says of snapshots, and returns the dataset
// that becomes the root; with a pool that cannot be written to the snapshot is
// what is mounted, and its name is returned besides.
func (h *Handler) snapshots(t *ueventd.Task, name string) (root, mounted string, err error) {
	w, c := h.w, &h.config
	root, snap, is := strings.Cut(name, "@")
	switch {
	case !is && c.Rollback && c.RollbackTo == "" && !slices.ContainsFunc(w.Config.Params, func(p bootcmd.Param) bool { return p.Name == "bootfs.rollback" }):
		// rollback= alone says how a snapshot is booted from, and there is none.
	case !is && c.Rollback:
		if snap = c.RollbackTo; snap == "" {
			snap = w.Image.Running
		}
		is = true
	}
	switch {
	case is && h.readOnly:
		if c.Rollback {
			return "", "", refuse("the pool is imported read-only, and cannot be returned to the snapshot "+root+"@"+snap, "boot once without what makes it read-only")
		}
		return root, "@" + snap, nil
	case is && c.Rollback:
		list, err := h.run(t, listSnapshots+" -r", nil, root)
		if err != nil {
			return "", "", err
		}
		done := false
		for _, s := range strings.Fields(list) {
			if strings.HasSuffix(s, "@"+snap) {
				w.Say(handler.Loud, "Returning to the snapshot "+s+", as the command line asks: what came after it is lost.")
				if _, err := h.run(t, "zfs rollback -Rf", nil, s); err != nil {
					return "", "", err
				}
				done = true
			}
		}
		if !done {
			return "", "", refuse("there is no snapshot "+root+"@"+snap, "correct its name; zfs list -t snapshot in a rescue system shows what there is")
		}
		return root, "", nil
	case is:
		root, err = h.clone(t, root, snap)
		return root, "", err
	case c.Snapshot && !h.readOnly:
		as := c.SnapshotAs
		if as == "" {
			as = w.Image.Running
		}
		if _, err := h.run(t, listSnapshots, nil, root+"@"+as); err == nil {
			w.Say(handler.Loud, "There is a snapshot "+root+"@"+as+" already; none is made.")
		} else if _, err := h.run(t, "zfs snapshot", nil, root+"@"+as); err != nil {
			return "", "", err
		}
	}
	return root, "", nil
}

// clone makes clones of a snapshot of a dataset and of those below it, and returns
// the root among them. Clones that are there are used as they are.
func (h *Handler) clone(t *ueventd.Task, name, snap string) (string, error) {
	to := name + "_" + snap
	if list, err := h.run(t, "zfs list -H -o name,origin -t filesystem", nil, to); err == nil {
		if _, origin, _ := strings.Cut(list, "\t"); origin != name+"@"+snap {
			return "", refuse(to+" is there already, and is no clone of "+name+"@"+snap, "rename it in a rescue system: zfs rename "+to+" NAME; or boot from it: root=ZFS="+to)
		}
		h.w.Say(handler.Normal, "Starting from the clone "+to+", which is there already: what was written to it is still in it.")
		return to, nil
	}
	list, err := h.run(t, listSnapshots+" -r", nil, name)
	if err != nil {
		return "", err
	}
	below, err := h.list(t, name)
	if err != nil {
		return "", err
	}
	made := false
	for _, s := range strings.Fields(list) {
		of, ok := strings.CutSuffix(s, "@"+snap)
		if !ok {
			continue
		}
		rest := strings.TrimPrefix(of, name)
		point := rest
		if i := slices.IndexFunc(below, func(d dataset) bool { return d.name == of }); i >= 0 && strings.HasPrefix(below[i].mountpoint, "/") {
			point = below[i].mountpoint
		}
		if point == "" {
			point = "/"
		}
		if i := slices.IndexFunc(below, func(d dataset) bool { return d.name == of }); i >= 0 {
			if err := h.open(t, &below[i], below, true); err != nil { // a clone has its key
				return "", err
			}
		}
		// It has no mountpoint, so that the real system does not mount it besides.
		if _, err := h.run(t, "zfs clone -o canmount=noauto -o mountpoint=none -o", nil, "org.zol:mountpoint="+point, s, to+rest); err != nil {
			return "", err
		}
		made = true
	}
	if !made {
		return "", refuse("there is no snapshot "+name+"@"+snap, "correct its name; zfs list -t snapshot in a rescue system shows what there is")
	}
	return to, nil
}
