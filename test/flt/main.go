// Flt is the driver behind the Makefile's targets that need more than Go's
// own commands: it fetches kernels, makes disks and Debian roots, boots the
// example of `make run` and measures.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sort"
	"syscall"

	"firstlight/test/debian"
	"firstlight/test/disks"
)

// commands is every subcommand, by name.
var commands = map[string]struct {
	help string
	run  func(ctx context.Context, args []string) error
}{
	"kernels": {"fetch and unpack the kernels of the named suites", kernels},
	"run":     {"boot a Debian from LUKS on LVM on RAID1", run},
	"bench":   {"measure Firstlight beside its peers", measure},
	"fuzz":    {"run every fuzz target for a time", fuzz},
	"sim":     {"boot generated machines in the simulator", simulate},
	"truth":   {"write the table of what firstlight check said and what the boot did", truthTable},
	"mutate":  {"break the rules on purpose and look who notices", mutate},
	"zfs":     {"build ZFS for the kernels of the named suites, and Debian roots with it", zfsKernels},
	"roots":   {"make Debian roots of the named suites", roots},
	"disks":   {"make the disks of the named layouts, or of all", makeDisks},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		if c, ok := commands[os.Args[1]]; ok {
			if err := c.run(ctx, os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "flt:", err)
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: flt COMMAND [ARGUMENT]…")
	var names []string
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", name, commands[name].help)
	}
	os.Exit(2)
}

func kernels(ctx context.Context, suites []string) error {
	for _, suite := range suites {
		k, err := debian.GetKernel(ctx, suite)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s in %s\n", suite, k.Release, k.Root)
	}
	return nil
}

func zfsKernels(ctx context.Context, suites []string) error {
	for _, suite := range suites {
		k, err := debian.GetKernel(ctx, suite)
		if err != nil {
			return err
		}
		if k, err = debian.ZFSKernel(ctx, k); err != nil {
			return err
		}
		root, err := debian.ZFSRoot(ctx, suite)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s in %s, and its tools in %s\n", suite, k.Release, k.Root, root)
	}
	return nil
}

func roots(ctx context.Context, suites []string) error {
	for _, suite := range suites {
		tar, err := debian.Root(ctx, suite)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", suite, tar)
	}
	return nil
}

func makeDisks(ctx context.Context, names []string) error {
	all := append(slices.Concat(disks.All, disks.Roots),
		disks.DebianPlain("bookworm"), disks.DebianPlain("trixie"), disks.DebianStack("bookworm"), disks.DebianStack("trixie"))
	var wanted []disks.Layout
	for _, l := range all {
		if len(names) == 0 || slices.Contains(names, l.Name) {
			wanted = append(wanted, l)
		}
	}
	made, err := disks.Make(ctx, wanted...)
	for _, l := range wanted {
		for _, d := range l.Disks {
			if file := made[l.Name].Files[d.Name]; file != "" {
				fmt.Printf("%s %s: %s\n", l.Name, d.Name, file)
			}
		}
	}
	return err
}
