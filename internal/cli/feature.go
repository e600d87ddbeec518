package cli

import (
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"firstlight/internal/sysroot"
)

func featureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "feature",
		Short: "List and show the features that an image can have",
		Long: `A feature is a unit of image content: kernel modules, programs, files, firmware,
rules. Features are data; files in ` + userFeatures + ` add to the built-in
ones, replace them, or extend them.`,
		Example: "  firstlight feature list\n  firstlight feature show luks",
		Args:    args(1, 1, "list or show"),
		RunE: func(c *cobra.Command, a []string) error {
			return usagef("unknown command %q for %q", a[0], c.CommandPath())
		},
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "List all features",
		Example: "  firstlight feature list",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			set, err := loadFeatures(sysroot.Root(""))
			if err != nil {
				return err
			}
			for _, f := range set.All() {
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%-15s %s\n", f.Name, f.Description); err != nil {
					return err
				}
			}
			return nil
		},
	}
	show := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show the definition of a feature",
		Example: "  firstlight feature show luks",
		Args:    args(1, 1, "the name of a feature"),
		RunE: func(c *cobra.Command, a []string) error {
			set, err := loadFeatures(sysroot.Root(""))
			if err != nil {
				return err
			}
			f, err := set.Get(a[0])
			if err != nil {
				return usageError{err}
			}
			text, err := toml.Marshal(f)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "# %s, from %s\n%s", f.Name, f.Origin, text)
			return err
		},
	}
	c.AddCommand(list, show)
	return c
}
