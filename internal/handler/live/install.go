package live

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// install puts what is kept into the covered root. Each line is done once.
func (h *Handler) install(t *ueventd.Task) (ueventd.Outcome, bool) {
	for i := range h.list {
		k := &h.list[i]
		key := "keep " + k.dir
		if k.dir == "/" {
			h.done[key] = true
		}
		if h.done[key] {
			continue
		}
		if err := h.put(t, k, strconv.Itoa(i)); err != nil {
			return h.refuse("what is kept of "+k.dir+" on "+k.store.node+" cannot be used: "+err.Error(), "boot with nopersistence, and look at it")
		}
		h.done[key] = true
	}
	if len(h.list) > 0 {
		var dirs []string
		for _, k := range h.list {
			dirs = append(dirs, k.dir)
		}
		where := ", and changes to it go to memory"
		if !h.o.persist.readOnly {
			where = ""
		}
		h.w.Say(handler.Normal, "what is kept of "+strings.Join(dirs, ", ")+" is there"+where)
	}
	return ueventd.Outcome{}, true
}

// put puts one directory into its place; name is of its own.
func (h *Handler) put(t *ueventd.Task, k *kept, name string) error {
	target, fresh, err := h.target(t, k.dir)
	if err != nil {
		return err
	}
	source := path.Join(k.store.dir, k.source)
	has, err := h.isDir(t, k.store.dir, "/"+k.source)
	if err != nil {
		return err
	}
	readOnly := h.o.persist.readOnly
	if !has && readOnly {
		return nil // nothing was kept yet
	}
	if err := h.mkdir(t, target); err != nil {
		return err
	}
	if fresh && path.Dir(k.dir) == "/home" {
		// The first person of a live system, as its live-config has it.
		if err := h.run(t, "chown", "1000:1000", target); err != nil {
			t.Record("decision", k.dir+" stays root's: "+err.Error())
		}
	}
	if !has && k.how == bind {
		// Otherwise the root's own files would be hidden by nothing.
		if err := h.mkdir(t, path.Dir(source)); err != nil {
			return err
		}
		if err := h.run(t, "cp", "-a", "-T", "--", target, source); err != nil {
			return fmt.Errorf("the first copy of it: %w", err)
		}
	} else if !has {
		if err := h.mkdir(t, source); err != nil {
			return err
		}
	}
	switch {
	case k.how == link:
		return h.run(t, "cp", "-r", "-s", "-P", "--remove-destination", "-T", "--", source, target)
	case k.how == bind && !readOnly:
		return h.step(t, machine.Mount{Source: source, Target: target, Flags: fstab.Bind})
	}
	upper, lower := path.Join(source, k.rw), ""
	if readOnly {
		upper = overlayDir + "/persistence/" + name + "/rw"
		if lower = source; k.how == union {
			lower = path.Join(source, k.rw)
			if has, err = h.isDir(t, k.store.dir, path.Join("/", k.source, k.rw)); err != nil || !has {
				return err
			}
		}
	}
	if k.how == union {
		below := 0
		for _, root := range append(slices.Clone(h.w.Layers), rootDir) {
			if has, err := h.isDir(t, root, k.dir); err != nil {
				return err
			} else if has {
				lower, below = joined(lower, path.Join(root, k.dir)), below+1
			}
		}
		if below == 0 {
			lower = joined(lower, target)
		}
	}
	work := path.Join(path.Dir(upper), "work")
	made := readOnly
	if !readOnly {
		has, err := h.isDir(t, k.store.dir, path.Join("/", k.source, k.rw))
		if err != nil {
			return err
		}
		h.done["made "+upper] = h.done["made "+upper] || !has
		made = h.done["made "+upper]
	}
	for _, dir := range [...]string{upper, work} {
		if err := h.mkdir(t, dir); err != nil {
			return err
		}
	}
	if made { // the owner and the mode of a union are those of its upper layer
		like := target
		if k.how == bind {
			like = source
		}
		for _, program := range [...]string{"chown", "chmod"} {
			if err := h.run(t, program, "--reference="+like, "--", upper); err != nil {
				return err
			}
		}
	}
	return h.step(t, machine.Mount{Source: "overlay", Target: target, FSType: "overlay", Data: "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work})
}

// overlayDir and rootDir are where an overlay of live-boot is laid: what is
// written to memory, and the image below.
const (
	overlayDir = "/run/live/overlay"
	rootDir    = "/run/live/rootfs/filesystem.squashfs"
)

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + ":" + b
}

// target is where a directory of the real system is, and whether it is not there
// yet. No link on the way leads out of the root.
func (h *Handler) target(t *ueventd.Task, dir string) (place string, fresh bool, err error) {
	rest := ""
	for at := dir; ; at = path.Dir(at) {
		info, err := ueventd.Do(t, "look for "+at+" in the root", func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(handler.SysRoot, at) })
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != "/":
			rest = path.Join(path.Base(at), rest)
			continue
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(handler.SysRoot, rest), rest != "", nil
		case err != nil:
			return "", false, err
		case !info.Mode.IsDir():
			return "", false, fmt.Errorf("%s is no directory in the root", at)
		}
		return path.Join(handler.SysRoot, info.Path, rest), rest != "", nil
	}
}

// isDir says whether root has a directory.
func (h *Handler) isDir(t *ueventd.Task, root, dir string) (bool, error) {
	if dir == "/" {
		return true, nil
	}
	info, err := ueventd.Do(t, "look for "+dir+" in "+root, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(root, dir) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && !info.Mode.IsDir():
		return false, fmt.Errorf("%s in %s is no directory", dir, root)
	}
	return err == nil, err
}

func (h *Handler) mkdir(t *ueventd.Task, dir string) error {
	return ueventd.Act(t, "make the directory "+dir, func(m machine.Machine) error { return m.Mkdir(dir, 0o755) })
}

// run runs a program of the image.
func (h *Handler) run(t *ueventd.Task, name string, args ...string) error {
	for _, dir := range [...]string{"/usr/bin/", "/bin/"} {
		program := dir + name
		has, err := ueventd.Do(t, "look for "+program, func(m machine.Machine) (bool, error) { return m.HasProgram(program), nil })
		if err != nil || !has {
			continue
		}
		exit, err := ueventd.Do(t, program+" "+strings.Join(args, " "), func(m machine.Machine) (machine.Exit, error) {
			return m.Run(machine.Program{Path: program, Args: args})
		})
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("%s ended with %d: %s", name, exit.Code, firstLine(exit.Output))
		}
		return err
	}
	return errors.New(name + " is not in this image: rebuild it with --feature live-persistence")
}
