package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"firstlight/internal/detect"
)

func detectCommand() *cobra.Command {
	var asJSON bool
	var snapshot string
	c := &cobra.Command{
		Use:   "detect",
		Short: "Say what this machine needs to boot, and why",
		Long: `Say which file systems, layers of block devices and drivers this machine's root,
/usr and hibernation need, and how that was found out. "firstlight build --host"
goes by the same findings.

` + exitText,
		Example: "  firstlight detect\n  firstlight detect --json | jq -r '.modules[].name'",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			s := detect.Host()
			if snapshot != "" {
				s = detect.Snapshot(snapshot)
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
	c.Flags().StringVar(&snapshot, "snapshot", "", "look at a copy of a machine's /proc, /sys and /etc in this directory")
	return c
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
