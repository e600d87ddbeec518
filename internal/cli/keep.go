package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/keep"
	"firstlight/internal/postmortem"
)

func keepCommand() *cobra.Command {
	o := keep.Options{From: runDir, To: keptDir, Count: 10,
		Stores:    []string{"/sys/fs/pstore", "/var/lib/systemd/pstore"},
		Variables: "/sys/firmware/efi/efivars"}
	for _, dir := range []string{"/efi", "/boot/efi", "/boot"} {
		o.ESP = append(o.ESP, filepath.Join(dir, postmortem.File))
	}
	c := &cobra.Command{
		Use:   "keep",
		Short: "Keep the records of this boot, and of those that failed before it",
		Long: `Copy the records of this boot to ` + keptDir + `, where the last
ten boots are kept, and collect what boots that failed have left in the
persistent store of the kernel (pstore), in a variable of the firmware or on
the EFI system partition; see rd.firstlight.save= in docs/command-line.md.

A service runs it once a boot: dist/systemd/firstlight-keep.service, and
scripts for OpenRC and sysvinit beside it. Running it again does no harm.

` + exitText,
		Example: `  firstlight trace keep
  firstlight trace keep --count 30
  ls /var/lib/firstlight/boots`,
		Args: args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Count < 1 {
				return usagef("--count %d: at least one boot is kept", o.Count)
			}
			if o.BootID == "" {
				b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
				if err != nil {
					return err
				}
				o.BootID = strings.TrimSpace(string(b))
			}
			res, err := keep.Keep(o)
			for _, p := range res.Problems {
				say(c.ErrOrStderr(), p)
			}
			out := c.OutOrStdout()
			for _, n := range res.Failed {
				fmt.Fprintf(out, "a boot failed before this one: %s\n", filepath.Join(o.To, n, "failure.txt"))
			}
			if res.Kept != "" {
				fmt.Fprintf(out, "kept in %s\n", filepath.Join(o.To, res.Kept))
			} else if err == nil {
				fmt.Fprintf(out, "nothing to keep: there is no journal in %s\n", o.From)
			}
			return err
		},
	}
	fl := c.Flags()
	fl.IntVar(&o.Count, "count", o.Count, "how many boots are kept")
	fl.StringVar(&o.From, "from", o.From, "where the records of this boot are")
	fl.StringVar(&o.To, "to", o.To, "where the boots are kept")
	fl.StringVar(&o.BootID, "boot-id", "", "the name of this boot (default the kernel's boot_id)")
	fl.StringSliceVar(&o.Stores, "pstore", o.Stores, "directories of the persistent store; may be repeated")
	return c
}
