package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/detect"
	"firstlight/internal/feature"
	"firstlight/internal/sysroot"
)

func featureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "feature",
		Short: "List, show and explain the features that an image can have",
		Long: `A feature is a unit of image content: kernel modules, programs, files, firmware,
rules. Features are data; files in ` + userFeatures + ` add to the built-in
ones, replace them, or extend them.`,
		Example: "  firstlight feature list\n  firstlight feature show luks\n  firstlight feature explain luks",
		Args:    args(1, 1, "list, show or explain"),
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
	c.AddCommand(list, show, explainFeatureCommand())
	return c
}

func explainFeatureCommand() *cobra.Command {
	var asJSON, generic bool
	var snapshot string
	c := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say whether an image for this machine has a feature, and why",
		Long: `Say whether an image for this machine has a feature, by which fact, what comes
along with it and what it consists of. The configuration counts; --generic asks
about an image for any common machine.

` + exitText,
		Example: "  firstlight feature explain luks\n  firstlight feature explain --generic nvme\n  firstlight feature explain --json lvm | jq .in",
		Args:    args(1, 1, "the name of a feature"),
		RunE: func(c *cobra.Command, a []string) error {
			set, err := loadFeatures(sysroot.Root(""))
			if err != nil {
				return err
			}
			if _, err := set.Get(a[0]); err != nil {
				return usageError{err}
			}
			files, err := configFiles("", "")
			if err != nil {
				return err
			}
			conf, err := build.ParseWithProfile("", files, profiles(""))
			if err != nil {
				return err
			}
			facts := []feature.Fact{{Name: "generic", Why: "of any common machine"}}
			if !generic {
				s := detect.Host()
				if snapshot != "" {
					s = detect.Snapshot(snapshot)
				}
				need, err := detect.Needs(s)
				if err != nil {
					return err
				}
				facts = need.Facts
			}
			facts = append(facts, feature.Fact{Name: "always", Why: "in every image"})
			x, err := set.Explain(a[0], facts, conf.Features, conf.OmitFeatures)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(x)
			}
			f, err := set.Get(a[0])
			if err != nil {
				return err
			}
			printExplanation(c.OutOrStdout(), x, f)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&generic, "generic", false, "of an image for any common machine")
	c.Flags().StringVar(&snapshot, "snapshot", "", "look at a copy of a machine's /proc, /sys and /etc in this directory")
	return c
}

func printExplanation(w io.Writer, x *feature.Explanation, f *feature.Feature) {
	answer := "no"
	if x.In {
		answer = "yes"
	}
	fmt.Fprintf(w, "%s: %s\n  defined in: %s\n  in the image: %s: %s\n", x.Name, x.Description, x.Origin, answer, x.Why)
	for i, c := range x.When {
		title := "  needed by:"
		if i > 0 {
			title = "            "
		}
		if c.Holds {
			fmt.Fprintf(w, "%s %s, which holds: %s\n", title, c.Fact, c.Why)
		} else {
			fmt.Fprintf(w, "%s %s\n", title, c.Fact)
		}
	}
	list := func(title string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", title, strings.Join(names, ", "))
		}
	}
	list("brings", x.Brings)
	list("brought by", x.BroughtBy)
	list("excludes", x.Excludes)
	list("modules", f.Modules)
	list("modules, as far as they exist", f.TryModules)
	list("modules of generic images", f.GenericModules)
	list("firmware", f.Firmware)
	list("rules", f.Rules)
	var programs, files []string
	for _, p := range f.Programs {
		programs = append(programs, p.Name)
	}
	for _, p := range f.Files {
		files = append(files, p.Source)
	}
	list("programs", programs)
	list("files", files)
	list("helpers", f.Helpers)
	list("parameters", f.Cmdline)
	if f.Init == feature.InitFull {
		fmt.Fprintln(w, "  /init: the full one")
	}
}
