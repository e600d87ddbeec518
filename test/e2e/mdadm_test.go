package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// besideRoot are the arrays that are attached beside the root's.
var besideRoot = []disks.Layout{disks.RAID5, disks.RAID10, disks.RAIDMeta090, disks.RAIDMeta10, disks.RAIDBitmap, disks.RAIDStale, disks.RAIDSpare, disks.RAIDJournal, disks.RAIDPPL}

// What mdadm and the kernel say of every array in a real Debian is the same
// after a boot by Firstlight as after one by initramfs-tools.
func testMdadm(t *testing.T, r *Runner) {
	t.Parallel()
	start := time.Now()
	t.Cleanup(func() {
		results.Lock()
		defer results.Unlock()
		res := Result{Scenario: "mdadm", Suite: "bookworm", OK: !t.Failed(), Seconds: time.Since(start).Seconds()}
		if !res.OK {
			res.Problems = []string{"arrays are not as after initramfs-tools, as the test says"}
		}
		results.all = append(results.all, res)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	k, err := debian.FindKernel("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	root := disks.DebianRAID("bookworm")
	made, err := disks.Make(ctx, append([]disks.Layout{root}, besideRoot...)...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ours, err := r.build(ctx, Scenario{For: small("ext4", "md-raid1", "md-raid10", "md-raid5"), Include: []Include{{"/etc/mdadm/mdadm.conf", root.MdadmConf()}}}, k, dir)
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "initramfs-tools")
	if err := initramfsTools(ctx, k, root, theirs); err != nil {
		t.Fatal(err)
	}
	boot := func(name, image string) map[string]string {
		var attached []vm.Disk
		for _, l := range append([]disks.Layout{root}, besideRoot...) {
			for _, d := range l.Disks {
				file := filepath.Join(dir, name+l.Name+d.Name)
				if err := vm.Overlay(ctx, made[l.Name].Files[d.Name], file); err != nil {
					t.Fatal(err)
				}
				attached = append(attached, vm.Disk{File: file, Serial: l.Name + "-" + d.Name})
			}
		}
		m := bootForLinks(ctx, t, vm.Machine{Kernel: k.Image(), Initrd: image, Memory: 1024, Disks: attached,
			Append: commonArgs + " ro root=UUID=" + root.FSUUID("array")}, nil)
		if m.Debian == nil {
			t.Fatalf("%s: Debian did not report", name)
		}
		return arraysIn(m.Debian.Log, root.MDUUID("array"))
	}
	want, got := boot("theirs", theirs), boot("ours", ours)
	if len(want) < len(besideRoot)+1 {
		t.Errorf("mdadm knows of %d arrays only after initramfs-tools: %q", len(want), want)
	}
	for id, w := range want {
		if got[id] != w {
			t.Errorf("array %s after initramfs-tools:\n%s\nafter Firstlight:\n%s", id, w, got[id])
		}
	}
	for id := range got {
		if want[id] == "" {
			t.Errorf("array %s is there after Firstlight only:\n%s", id, got[id])
		}
	}
	if name := regexp.MustCompile(`(?m)^MD_DEVNAME=system$`); !name.MatchString(got[root.MDUUID("array")]) {
		t.Errorf("the root's array is not called as mdadm.conf has it:\n%s", got[root.MDUUID("array")])
	}
}

// said is a line of the unit that asks for the arrays, as journalctl has it.
var said = regexp.MustCompile(`(?m)^\[ *[0-9.]+\] \S+ asked\[\d+\]: (.*)$`)

// arraysIn reads what mdadm and the kernel say of each array, by its UUID. What
// depends on the order in which disks are found (the numbers of arrays, the names
// of those that no mdadm.conf names, the order of members) is left out.
func arraysIn(log, root string) map[string]string {
	details, node := map[string][]string{}, ""
	status, last := map[string][]string{}, ""
	for _, m := range said.FindAllStringSubmatch(log, -1) {
		line := strings.TrimSpace(m[1])
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "array":
			node = strings.TrimPrefix(f[1], "/dev/")
		case strings.HasPrefix(line, "MD_"):
			details[node] = append(details[node], line)
		case len(f) > 2 && strings.HasPrefix(f[0], "md") && f[1] == ":":
			last = f[0]
			slices.Sort(f[2:])
			status[last] = append(status[last], strings.Join(f[2:], " "))
		case line == "" || strings.HasPrefix(line, "unused") || strings.HasPrefix(line, "map ") || strings.HasPrefix(line, "Personalities"):
		case last != "":
			status[last] = append(status[last], line)
		}
	}
	found := map[string]string{}
	for node, lines := range details {
		id := ""
		for _, l := range lines {
			if u, ok := strings.CutPrefix(l, "MD_UUID="); ok {
				id = u
			}
		}
		if id == "" || strings.Contains(node, "p") {
			continue
		}
		if id != root {
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "MD_DEVNAME=") })
		}
		slices.Sort(lines)
		found[id] = strings.Join(append(lines, status[node]...), "\n")
	}
	return found
}

// initramfsTools makes an image with initramfs-tools for a machine whose root is
// on an array.
func initramfsTools(ctx context.Context, k debian.Kernel, l disks.Layout, image string) error {
	c, err := debian.Generators(ctx, k, "interop-"+l.Name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(c.Dir)
	for name, text := range map[string]string{
		"etc/fstab":                       "UUID=" + l.FSUUID("array") + " / ext4 ro 0 1\n",
		"etc/crypttab":                    "",
		"etc/mdadm/mdadm.conf":            l.MdadmConf(),
		"etc/initramfs-tools/modules":     "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\ncrc32c_intel\n",
		"etc/initramfs-tools/conf.d/ours": "MODULES=list\nRESUME=none\n",
	} {
		if err := c.Write(name, text, 0o644); err != nil {
			return err
		}
	}
	for _, n := range []string{"crypt*", "lvm*"} {
		for _, dir := range []string{"usr/share/initramfs-tools/hooks/", "usr/share/initramfs-tools/scripts/*/"} {
			if err := c.Remove(dir + n); err != nil {
				return err
			}
		}
	}
	if _, _, err := c.Run(ctx, k, "mkinitramfs", "-o", "/out/image", k.Release); err != nil {
		return err
	}
	_, err = host.Run(ctx, "mv", filepath.Join(c.Dir, "out/image"), image)
	return err
}
