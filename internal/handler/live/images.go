package live

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// A root may be made of several images, each of which adds to those below it.

// images is where they are mounted, but for the lowest, which is the root.
const images = "/run/live/rootfs"

// maxList bounds the file that lists images, in bytes, and maxImages their
// number; the kernel stacks no more than 500 layers in an overlay.
const (
	maxList   = 64 << 10
	maxImages = 64
)

// listed returns the images of which the root is made, the lowest first, as the
// medium or the command line says; none is that it is one image. why says what
// is wrong with the list.
func (h *Handler) listed(t *ueventd.Task) (names []string, why string) {
	o := &h.o
	switch {
	case o.layered != "":
		return layersOf(o.layered)
	case o.modules == "":
		return nil, ""
	}
	p := path.Join(o.dir, o.modules)
	text, err := ueventd.Do(t, "read "+p, func(m machine.Machine) ([]byte, error) { return m.ReadInRoot(handler.SysRoot, p, maxList) })
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.modules == "filesystem.module":
		return nil, "" // nobody asked for it by name
	case err != nil:
		return nil, err.Error()
	}
	return parseList(p, string(text))
}

// parseList reads the names of images, separated by blanks and line ends.
func parseList(file, text string) (names []string, why string) {
	seen := map[string]bool{}
	for _, name := range strings.Fields(text) {
		switch {
		case name != path.Base(name) || name == "." || name == "..":
			return nil, fmt.Sprintf("%s lists %q, which is no name of a file beside it", file, name)
		case seen[name]:
			return nil, fmt.Sprintf("%s lists %s twice", file, name)
		case strings.ContainsAny(name, `,:\"`):
			return nil, fmt.Sprintf("%s lists %q, which no overlay can have for a layer", file, name)
		case len(names) == maxImages:
			return nil, fmt.Sprintf("%s lists more than %d images", file, maxImages)
		}
		seen[name] = true
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, file + " lists no image"
	}
	return names, ""
}

// layersOf returns the images below one of casper's, which are named in its
// name: a.b.c.squashfs lies over a.b.squashfs, and that over a.squashfs.
func layersOf(name string) (names []string, why string) {
	ext := path.Ext(name)
	parts := strings.Split(strings.TrimSuffix(name, ext), ".")
	if ext == "" || len(parts) > maxImages || strings.ContainsAny(name, `/,:\"`) {
		return nil, "layerfs-path=" + name + " is no name of an image"
	}
	for i := range parts {
		if parts[i] == "" {
			return nil, "layerfs-path=" + name + " is no name of an image"
		}
		names = append(names, strings.Join(parts[:i+1], ".")+ext)
	}
	return names, ""
}

// upper mounts the images over the lowest one, and has the overlay lie over all
// of them. It is called again until each is there.
func (h *Handler) upper(t *ueventd.Task) (ueventd.Outcome, bool) {
	w := h.w
	for i := len(w.Layers); i < len(h.more); i++ {
		name := path.Base(h.more[i].file)
		place := images + "/" + name
		node := h.nodes[name]
		if node == "" {
			file, err := h.copied(t, h.more[i], h.sizes[name])
			if err == nil {
				node, err = ueventd.Do(t, "make "+file.String()+" a block device", func(m machine.Machine) (string, error) {
					return m.Loop(file.root, file.file, 0, true)
				})
			}
			if err != nil {
				_, out, ok := h.fail(err.Error(), h.advice())
				return out, ok
			}
			h.nodes[name] = node
		}
		e, out := h.identified(t, node)
		if e == nil {
			return out, false
		}
		if err := h.mountAt(t, e, place, fstab.ReadOnly, ""); err != nil {
			_, out, ok := h.fail(h.more[i].String()+": "+err.Error(), "look at the kernel's messages (dmesg)")
			return out, ok
		}
		w.Layers = append([]string{place}, w.Layers...)
	}
	if len(h.more) > 0 && h.medium != "" && h.o.ram {
		h.leave(t)
	}
	return ueventd.Outcome{}, true
}

// gather notes the images besides the first that the root is made of, where they
// are in root, and says which of them is not there.
func (h *Handler) gather(t *ueventd.Task, root string, names []string) (why string) {
	h.more, h.nodes, h.sizes = nil, map[string]string{}, map[string]int64{}
	for _, name := range names {
		p := path.Join(h.o.dir, name)
		info, err := ueventd.Do(t, "look for "+p, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(handler.SysRoot, p) })
		switch {
		case err != nil:
			return "the root is made of several images, and one is missing: " + err.Error()
		case !info.Mode.IsRegular():
			return p + " is no image"
		}
		h.more = append(h.more, image{root, p})
		h.sizes[name] = info.Size
	}
	return ""
}

// identified returns a device once it is there and known.
func (h *Handler) identified(t *ueventd.Task, node string) (*udevd.Entry, ueventd.Outcome) {
	spec := devspec.Spec{Kind: devspec.Path, Value: node}
	if len(h.w.Find(spec)) > 0 {
		h.w.Identified(t)
	}
	if devs := h.w.Find(spec); len(devs) == 1 && devs[0].Property("ID_FS_TYPE") != "" {
		return devs[0], ueventd.Outcome{}
	}
	return nil, ueventd.WaitFor("what is on "+node, udevd.TopicDevice, handler.TopicRetry)
}

// mountAt mounts what a device holds, once.
func (h *Handler) mountAt(t *ueventd.Task, e *udevd.Entry, place string, flags uintptr, options string) error {
	typ := mount.KernelType(e.Property("ID_FS_TYPE"))
	if err := h.w.LoadModules(t, "fs-"+typ); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return err
	}
	return h.step(t, machine.Mount{Source: e.Devname(), Target: place, FSType: typ, Flags: flags, Data: options})
}
