package live

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// copied returns the file that is used for an image of size bytes: itself, or
// a copy in memory if that is asked for. The image's sum is verified on the
// way.
func (h *Handler) copied(t *ueventd.Task, from image, size int64) (image, error) {
	first := h.levels == 0 || slices.Contains(h.more, from)
	into := image{copies, "/" + path.Base(from.file)}
	wanted := h.o.ram && first || h.o.writable && !packedName(from.file)
	if from.root == "/" && h.o.plan.Keep == nil {
		wanted = false // it is in memory
	}
	sum := h.o.sha256
	if h.levels > 0 {
		sum = ""
	}
	switch {
	case !wanted && sum == "":
		return from, nil
	case !wanted:
		return from, h.transfer(t, from, "", size, sum)
	}
	if h.done["copy "+from.String()] {
		return into, nil
	}
	if err := h.room(t, size); err != nil {
		return from, fmt.Errorf("%s is to be in memory: %w", from, err)
	}
	// What lies in it needs some pages of its own.
	limit := uint64(size)/pageSize*pageSize + 16*pageSize
	into.root += strconv.Itoa(h.levels + len(h.nodes))
	if err := h.step(t, machine.Mount{Source: "live", Target: into.root, FSType: "tmpfs", Data: "mode=0700,size=" + strconv.FormatUint(limit, 10)}); err != nil {
		return from, err
	}
	if err := h.transfer(t, from, into.String(), size, sum); err != nil {
		return from, err
	}
	h.done["copy "+from.String()] = true
	if from.root == h.medium && len(h.more) == 0 { // it may be taken out now
		h.leave(t)
	}
	return into, nil
}

// pageSize is what the memory of a tmpfs is counted in, in bytes.
const pageSize = 4096

// packedName says whether an image has a filesystem that nothing can be
// written to, by its name; there may be one in it that can.
func packedName(file string) bool { return strings.Contains(path.Base(file), "squashfs") }

// transfer copies a file, or only reads it, and compares its sum.
func (h *Handler) transfer(t *ueventd.Task, from image, target string, size int64, sum string) error {
	what, how := "read "+from.String(), 0
	if target != "" {
		what = "copy " + from.String() + " to " + target
		h.w.Say(handler.Normal, "copying "+from.String()+" into memory ("+mebibytes(uint64(size))+")")
	}
	if sum != "" {
		how = machine.CopySum
	}
	got := ""
	var err error
	h.untimed(func() {
		got, err = ueventd.Do(t, what, func(m machine.Machine) (string, error) { return m.CopyFile(from.root, from.file, target, how) })
	})
	switch {
	case err != nil:
		return err
	case sum != "" && got != sum:
		return fmt.Errorf("%s is not the image that rd.firstlight.sha256= asks for: its sum is %s", from, got)
	}
	return nil
}

// room says why size bytes do not fit into memory.
func (h *Handler) room(t *ueventd.Task, size int64) error {
	free, err := h.memory(t)
	if err != nil {
		return err
	}
	if need := uint64(size); need > free {
		return fmt.Errorf("it takes %s, and %s can be had if %s are left for the system", mebibytes(need), mebibytes(free), mebibytes(h.o.reserve))
	}
	return nil
}

// memory is how much can be used for the root, in bytes.
func (h *Handler) memory(t *ueventd.Task) (uint64, error) {
	have, err := ueventd.Do(t, "ask how much memory is available", func(m machine.Machine) (uint64, error) {
		defer m.FreeMemory()
		return m.Memory()
	})
	if err != nil {
		return 0, err
	}
	return have - min(have, h.o.reserve), nil
}

// advice is what to do where an image does not fit.
func (h *Handler) advice() string {
	if h.o.dialect == dracut {
		return "give the machine more memory, use a smaller image, leave less with rd.minmem=, or boot without rd.live.ram and rd.writable.fsimg"
	}
	return "give the machine more memory, use a smaller image, leave less with rd.minmem=, or boot without toram"
}

func mebibytes(n uint64) string { return strconv.FormatUint((n+1<<20-1)>>20, 10) + " MiB" }

// leave lets the medium go.
func (h *Handler) leave(t *ueventd.Task) {
	place := h.medium
	err := ueventd.Act(t, "unmount "+place, func(m machine.Machine) error { return m.Unmount(place, false) })
	if err != nil { // it only stays in use
		t.Record("decision", "the medium stays mounted: "+err.Error())
		return
	}
	h.medium = ""
}

// unpacked is where an archive is unpacked before that is the root.
const unpacked = "/run/initramfs/unpacked"

// tars are where the image may have tar.
var tars = [...]string{"/usr/bin/tar", "/bin/tar"}

// unpack makes an archive the root, in a tmpfs that is as large as memory
// allows.
func (h *Handler) unpack(t *ueventd.Task, from image) (devspec.Spec, ueventd.Outcome, bool) {
	program := ""
	for _, p := range tars {
		has, _ := ueventd.Do(t, "look for "+p, func(m machine.Machine) (bool, error) { return m.HasProgram(p), nil })
		if has {
			program = p
			break
		}
	}
	if program == "" {
		return h.fail(from.file+" is an archive, and tar is not in this image", "rebuild the image with --feature live-archive")
	}
	if h.o.sha256 != "" && !h.done["sum"] {
		if err := h.transfer(t, from, "", 0, h.o.sha256); err != nil {
			return h.fail(err.Error(), "use the image that the sum is of")
		}
		h.done["sum"] = true
	}
	free, err := h.memory(t)
	if err != nil {
		return h.fail(err.Error(), h.advice())
	}
	nowhere := fmt.Sprintf("what is in %s does not fit into memory: %s can be had if %s are left for the system", from.file, mebibytes(free), mebibytes(h.o.reserve))
	if free < pageSize { // a tmpfs with a size of 0 has no bound
		return h.fail(nowhere, h.advice())
	}
	options := "mode=0755,size=" + strconv.FormatUint(free/pageSize*pageSize, 10)
	if err := h.step(t, machine.Mount{Source: "live", Target: unpacked, FSType: "tmpfs", Data: options}); err != nil {
		return h.fail(err.Error(), h.advice())
	}
	h.w.Say(handler.Normal, "unpacking "+from.String()+" into memory (at most "+mebibytes(free)+")")
	args := []string{"-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", unpacked, "-f", from.String()}
	var exit machine.Exit
	h.untimed(func() {
		exit, err = ueventd.Do(t, program+" "+strings.Join(args, " "), func(m machine.Machine) (machine.Exit, error) {
			return m.Run(machine.Program{Path: program, Args: args, Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}})
		})
	})
	switch {
	case err != nil:
		return h.fail(program+" could not be run: "+err.Error(), "rebuild the image with --feature live-archive")
	case exit.Code != 0:
		text := fmt.Sprintf("%s could not be unpacked (tar ended with %d): %s", from.file, exit.Code, firstLine(exit.Output))
		if strings.Contains(exit.Output, "No space left") {
			text = nowhere
		}
		return h.fail(text, h.advice())
	}
	if h.medium != "" {
		h.leave(t)
	}
	if err := h.step(t, machine.Mount{Source: unpacked, Target: handler.SysRoot, Flags: move}); err != nil {
		return h.fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	h.image = nil
	return devspec.Spec{}, ueventd.Outcome{}, true
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
