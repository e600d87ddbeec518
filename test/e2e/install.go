package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"firstlight/test/host"
	"firstlight/test/vm"
)

// install puts files into the root of the first disk. The disk becomes a raw
// image: debugfs(8) writes to one without mounting it.
func (r *Runner) install(ctx context.Context, s Scenario, attached []vm.Disk, dir string) error {
	if len(s.Install) == 0 {
		return nil
	}
	raw := filepath.Join(dir, attached[0].Serial+".img")
	if _, err := host.Run(ctx, "qemu-img", "convert", "-O", "raw", attached[0].File, raw); err != nil {
		return err
	}
	os.Remove(attached[0].File)
	attached[0].File = raw
	offset, err := largestPartition(ctx, raw)
	if err != nil {
		return err
	}
	var script strings.Builder
	for _, f := range s.Install {
		up := ""
		for _, d := range strings.Split(strings.Trim(path.Dir(f.Path), "/"), "/") {
			up += "/" + d
			fmt.Fprintf(&script, "mkdir %s\n", up) // says so where it is there, and goes on
		}
		if f.Link != "" {
			fmt.Fprintf(&script, "symlink %s %s\n", f.Path, f.Link)
			continue
		}
		if f.Guest != "" || f.Text != "" {
			if f.From, err = made(ctx, f, dir); err != nil {
				return err
			}
			fmt.Fprintf(&script, "write %s %s\nsif %s uid 0\nsif %s gid 0\n", f.From, f.Path, f.Path, f.Path)
			continue
		}
		// The programs are in bin, and that is where the runner has them.
		from := filepath.Join(filepath.Dir(r.Firstlight), "..", f.From)
		fmt.Fprintf(&script, "write %s %s\nsif %s uid 0\nsif %s gid 0\n", from, f.Path, f.Path, f.Path)
	}
	commands := filepath.Join(dir, "install")
	if err := os.WriteFile(commands, []byte(script.String()), 0o600); err != nil {
		return err
	}
	volume := fmt.Sprintf("%s?offset=%d", raw, offset)
	if _, err := host.Run(ctx, "debugfs", "-w", "-f", commands, volume); err != nil {
		return err
	}
	for _, f := range s.Install { // debugfs does not say by its exit code whether it could
		out, err := host.Run(ctx, "debugfs", "-R", "stat "+f.Path, volume)
		if err != nil {
			return err
		}
		if !strings.Contains(out, "Inode:") {
			return fmt.Errorf("%s could not be put into the root: %s", f.Path, out)
		}
	}
	return nil
}

// made is a file of the root that is none of the checkout.
func made(ctx context.Context, f Installed, dir string) (string, error) {
	dir = filepath.Join(dir, "made")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if f.Guest != "" {
		return host.GoBuild(ctx, "./test/guest/"+f.Guest, dir)
	}
	name := filepath.Join(dir, path.Base(f.Path))
	return name, os.WriteFile(name, []byte(f.Text), 0o644)
}

// largestPartition returns where it begins, in bytes.
func largestPartition(ctx context.Context, disk string) (int64, error) {
	out, err := host.Run(ctx, "sfdisk", "--json", disk)
	if err != nil {
		return 0, err
	}
	var found struct {
		Table struct {
			Sectorsize int64
			Partitions []struct{ Start, Size int64 }
		} `json:"partitiontable"`
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return 0, fmt.Errorf("sfdisk --json %s: %w", disk, err)
	}
	start, size := int64(0), int64(0)
	for _, p := range found.Table.Partitions {
		if p.Size > size {
			start, size = p.Start, p.Size
		}
	}
	if size == 0 {
		return 0, fmt.Errorf("%s has no partition", disk)
	}
	return start * max(found.Table.Sectorsize, 512), nil
}
