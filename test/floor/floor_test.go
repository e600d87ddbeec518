package floor

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/vm"
)

// The harness itself: disks made in a guest, a machine booted from them with
// an image that is not Firstlight's, and the report that comes out of it.
func TestHarnessBootsTheFloor(t *testing.T) {
	testtool.Kernel(t, "bookworm")
	testtool.Need(t, "qemu-system-x86_64", "qemu-img", "mke2fs", "mdadm", "lvm", "cryptsetup")
	testtool.Root(t)
	if testing.Short() {
		t.Skip("boots a machine")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	k, err := debian.FindKernel("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	layout := disks.Layout{Name: "plain", Disks: []disks.Disk{{Name: "d0", MiB: 96}}, Steps: []disks.Step{
		disks.GPT{On: "d0", Parts: []disks.Part{{Name: "root"}}},
		disks.FS{On: "root", Type: "ext4", Content: disks.Content{Tree: "tiny"}},
	}}
	made, err := disks.Make(ctx, layout)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	image, overlay := filepath.Join(dir, "floor.img"), filepath.Join(dir, "d0.qcow2")
	if err := Build(ctx, k, "vda1", image, false); err != nil {
		t.Fatal(err)
	}
	base := made["plain"].Files["d0"]
	if err := vm.Overlay(ctx, base, overlay); err != nil {
		t.Fatal(err)
	}
	v, err := vm.Run(ctx, vm.Machine{Kernel: k.Image(), Initrd: image, Append: "console=ttyS0 quiet panic=-1 no_timer_check fltest.kmsg",
		Disks: []vm.Disk{{File: overlay, Serial: "first"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Wait(ctx); err != nil {
		t.Fatalf("%v\n%s", err, v.Console.Text())
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		t.Fatal(err)
	}
	if len(ms) == 0 || ms[0].Boot == nil || ms[len(ms)-1].Note != "done" {
		t.Fatalf("report: %+v\n%s", ms, v.Console.Text())
	}
	boot := ms[0].Boot
	if boot.PID != 1 || boot.Release != k.Release {
		t.Errorf("init is process %d under %s", boot.PID, boot.Release)
	}
	root := ""
	for _, m := range boot.Mounts {
		if m.Dir == "/" && m.Type != "rootfs" {
			root = m.Source + " " + m.Type
		}
	}
	if root != "/dev/vda1 ext4" {
		t.Errorf("root is %q", root)
	}
	if len(report.Files(ms)["kmsg"]) == 0 {
		t.Error("no kernel log")
	}
	if same, err := vm.Same(ctx, base, overlay); err != nil || !same {
		t.Errorf("a read-only boot changed the disk: same %v, %v", same, err)
	}
}
