package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
	"firstlight/internal/zfslabel"
)

// zfs models what ZFS's tools make of the pools. What they are made of is in the
// labels of their devices; what is in them is what the tools said when the
// snapshot was taken.
func (w *world) zfs(tool string, p machine.Program) machine.Exit {
	args := p.Args
	last := args[len(args)-1]
	if !w.modules.there("zfs") {
		return zfsFails("The ZFS modules are not loaded.")
	}
	switch {
	case tool == "mount.zfs":
		return w.mountDataset(args)
	case tool == "zpool" && args[0] == "import":
		return w.importPool(args)
	case tool == "zpool":
		return w.bootfs(last)
	case args[0] == "list":
		return w.datasets(last, args)
	case args[0] == "get":
		d := w.dataset(last)
		if d == nil {
			return zfsFails("cannot open '%s': dataset does not exist", last)
		}
		return machine.Exit{Output: d["keylocation"] + "\n" + d["keyformat"] + "\n"}
	case args[0] == "load-key":
		return w.loadKey(last, p)
	case args[0] == "clone":
		// It shows what the snapshot of it would, of which nothing is known.
		w.unknown = addOnce(w.unknown, "what is in "+args[len(args)-2]+" is not known: it was not mounted when the snapshot was taken")
	}
	return machine.Exit{}
}

func zfsFails(format string, a ...any) machine.Exit {
	return machine.Exit{Code: 1, Output: fmt.Sprintf(format, a...) + "\n"}
}

// importPool takes a pool whose devices are there.
func (w *world) importPool(args []string) machine.Exit {
	var members []zfslabel.Member
	for i, a := range args {
		if a != "-d" {
			continue
		}
		d := w.disk(args[i+1])
		if d == nil {
			return zfsFails("cannot import: no such pool available")
		}
		l, err := zfslabel.Read(d, uint64(d.size))
		if err != nil || strconv.FormatUint(l.PoolGUID, 10) != args[len(args)-1] {
			return zfsFails("cannot import: no such pool available")
		}
		members = append(members, zfslabel.Member{Node: d.name, Label: l})
	}
	if len(members) == 0 {
		return zfsFails("cannot import: no such pool available")
	}
	p := zfslabel.Assemble(members)
	if len(p.Lacking)+len(p.LacksLog) > 0 || len(p.Unknown) > 0 && !p.Label.Removed() {
		return zfsFails("cannot import: one or more devices is currently unavailable")
	}
	w.zpool, w.zopen = p.Label.Pool, map[string]bool{}
	return machine.Exit{}
}

// rows are what zfs list said, by the names of the columns; only of the pool that
// was imported.
func (w *world) rows() []map[string]string {
	var list []map[string]string
	columns := strings.Split(snapshot.ZFSColumns, ",")
	for line := range strings.Lines(w.snap.ZFS[snapshot.ZFSDatasets]) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != len(columns) || f[0] != w.zpool && !strings.HasPrefix(f[0], w.zpool+"/") && !strings.HasPrefix(f[0], w.zpool+"@") {
			continue
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c] = f[i]
		}
		if root := row["encryptionroot"]; root != "-" && root != "" { // at the start of a boot none is open
			row["keystatus"] = "unavailable"
			if w.zopen[root] {
				row["keystatus"] = "available"
			}
		}
		list = append(list, row)
	}
	if list == nil {
		w.unknown = addOnce(w.unknown, "what is in the pool "+w.zpool+" is known to ZFS alone, and it was not imported when the snapshot was taken")
	}
	return list
}

func (w *world) dataset(name string) map[string]string {
	for _, row := range w.rows() {
		if row["name"] == name {
			return row
		}
	}
	return nil
}

// bootfs is zpool list -H -o bootfs.
func (w *world) bootfs(pool string) machine.Exit {
	for line := range strings.Lines(w.snap.ZFS[snapshot.ZFSPools]) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t"); ok && name == pool {
			return machine.Exit{Output: value + "\n"}
		}
	}
	w.unknown = addOnce(w.unknown, "the property bootfs of the pool "+pool+" is not known: it was not imported when the snapshot was taken")
	return machine.Exit{Output: "-\n"}
}

// datasets is zfs list.
func (w *world) datasets(name string, args []string) machine.Exit {
	i := slices.Index(args, "-o")
	kind := slices.Index(args, "-t")
	if i < 0 || kind < 0 || w.dataset(name) == nil {
		return zfsFails("cannot open '%s': dataset does not exist", name)
	}
	out := ""
	for _, row := range w.rows() {
		below := strings.HasPrefix(row["name"], name+"/") || strings.HasPrefix(row["name"], name+"@")
		if row["name"] != name && !(below && slices.Contains(args, "-r")) || row["type"] != args[kind+1] {
			continue
		}
		var f []string
		for c := range strings.SplitSeq(args[i+1], ",") {
			f = append(f, row[c])
		}
		out += strings.Join(f, "\t") + "\n"
	}
	return machine.Exit{Output: out}
}

// loadKey takes a key: that which a person types, who is taken to know it, or one
// of a file, which cannot be tried.
func (w *world) loadKey(name string, p machine.Program) machine.Exit {
	d := w.dataset(name)
	if d == nil {
		return zfsFails("cannot open '%s': dataset does not exist", name)
	}
	if !slices.Contains(p.Args, "prompt") {
		file := strings.TrimPrefix(d["keylocation"], "file://")
		if _, err := w.ReadFile(file, 1<<20); err != nil {
			return machine.Exit{Code: 255, Output: "Key load error: Failed to open key material file: No such file or directory\n"}
		}
		w.conditions = addOnce(w.conditions, "the file "+file+" of the image opens "+name+", which only zfs can try")
	} else if w.cfg.Passphrases != nil && string(p.Input) != typedSecret+"\n" {
		w.unknown = addOnce(w.unknown, "whether what is typed opens "+name+" only zfs can try")
	}
	w.zopen[name] = true
	return machine.Exit{}
}

// mountDataset mounts a dataset: it shows what it showed when the snapshot was
// taken.
func (w *world) mountDataset(args []string) machine.Exit {
	name, target := args[len(args)-2], args[len(args)-1]
	x := &mounted{point: target, fstype: "zfs", why: "the dataset " + name + " was not mounted when the snapshot was taken", ro: args[0] == "-o" && hasOption(args[1], "ro")}
	for _, m := range w.snap.Mounts {
		if m.FSType == "zfs" && m.Source == name {
			x.from, x.why = m, ""
		}
	}
	if d := w.dataset(name); d != nil && d["keystatus"] == "unavailable" {
		return zfsFails("filesystem '%s' cannot be mounted: encryption key not loaded", name)
	}
	w.mounted = append(w.mounted, x)
	w.tellMounts()
	return machine.Exit{}
}
