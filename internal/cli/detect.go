package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/detect"
)

func detectCommand() *cobra.Command {
	var asJSON bool
	var snapshot, explain string
	c := &cobra.Command{
		Use:   "detect",
		Short: "Say what this machine needs to boot, and why",
		Long: `Say which file systems, layers of block devices and drivers this machine's root,
/usr and hibernation need, and how that was found out. "firstlight build --host"
goes by the same findings.

` + exitText,
		Example: "  firstlight detect\n  firstlight detect --explain /dev/sda3\n  firstlight detect --json | jq -r '.modules[].name'",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			s := detect.Host()
			if snapshot != "" {
				s = detect.Snapshot(snapshot)
			}
			if explain != "" {
				return explainDevice(c.OutOrStdout(), s, explain, asJSON)
			}
			n, err := detect.Needs(s)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(n)
			}
			return printNeed(c.OutOrStdout(), n)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&explain, "explain", "", "say of this block device whether the boot needs it, and what it needs")
	c.Flags().StringVar(&snapshot, "snapshot", "", "look at a copy of a machine's /proc, /sys and /etc in this directory")
	return c
}

func explainDevice(w io.Writer, s detect.System, name string, asJSON bool) error {
	x, err := detect.Explain(s, name)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(x)
	}
	answer := "no"
	if x.Needed {
		answer = "yes"
	}
	fmt.Fprintf(w, "%s\n  needed by the boot: %s: %s\n", x.Device, answer, x.Why)
	if len(x.Mounted) > 0 {
		fmt.Fprintf(w, "  mounted on: %s\n", strings.Join(x.Mounted, ", "))
	}
	if len(x.Below) > 0 {
		fmt.Fprintf(w, "  lies on: %s\n", strings.Join(x.Below, ", "))
	}
	fmt.Fprintln(w, "an image that has it needs")
	return printNeed(w, x.Need)
}

func printNeed(w io.Writer, n *detect.Need) error {
	fmt.Fprintln(w, "needed:")
	for _, f := range n.Facts {
		fmt.Fprintf(w, "  %-24s %s\n", f.Name, f.Why)
	}
	fmt.Fprintln(w, "drivers, as far as they are modules:")
	for _, m := range n.Modules {
		fmt.Fprintf(w, "  %-24s %s\n", m.Name, m.Why)
	}
	if len(n.Firmware) > 0 {
		fmt.Fprintln(w, "firmware:")
		for _, name := range slices.Sorted(maps.Keys(n.Firmware)) {
			fmt.Fprintf(w, "  %-24s %s\n", name, n.Firmware[name])
		}
	}
	if len(n.Files) > 0 {
		fmt.Fprintln(w, "files:")
		for _, name := range slices.Sorted(maps.Keys(n.Files)) {
			fmt.Fprintf(w, "  %-24s %s\n", name, n.Files[name])
		}
	}
	for _, t := range n.Notes {
		fmt.Fprintf(w, "note: %s\n", t)
	}
	return nil
}
