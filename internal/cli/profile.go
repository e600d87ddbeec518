package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/features"
	"firstlight/internal/build"
	"firstlight/internal/sysroot"
)

// userProfiles is where a system's own profiles are; one with the name of a
// built-in one takes its place.
const userProfiles = "/etc/firstlight/profiles"

// profiles finds profiles by their names.
func profiles(root sysroot.Root) func(string) (build.ConfigFile, error) {
	return func(name string) (build.ConfigFile, error) {
		if name == "" || strings.ContainsAny(name, "/\x00") || name[0] == '.' {
			return build.ConfigFile{}, fmt.Errorf("%q is not the name of a profile", name)
		}
		own := root.Host(path.Join(userProfiles, name+".toml"))
		text, err := os.ReadFile(own)
		if err == nil {
			return build.ConfigFile{Name: own, Text: text}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return build.ConfigFile{}, fmt.Errorf("profile %s: %w", name, err)
		}
		builtIn := "profiles/" + name + ".toml"
		if text, err = features.Profiles.ReadFile(builtIn); err != nil {
			names, _ := profileNames(root)
			return build.ConfigFile{}, fmt.Errorf("there is no profile %q; there are %s", name, strings.Join(names, ", "))
		}
		return build.ConfigFile{Name: "features/" + builtIn, Text: text}, nil
	}
}

// profileNames are the names of all profiles.
func profileNames(root sysroot.Root) ([]string, error) {
	var names []string
	add := func(list []fs.DirEntry) {
		for _, e := range list {
			if name, ok := strings.CutSuffix(e.Name(), ".toml"); ok && !strings.HasPrefix(name, ".") {
				names = append(names, name)
			}
		}
	}
	list, err := features.Profiles.ReadDir("profiles")
	if err != nil {
		return nil, err
	}
	add(list)
	own, err := os.ReadDir(root.Host(userProfiles))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	add(own)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func configProfilesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "List the kinds of machines that an image can be for",
		Long: `A profile is a configuration that comes before the system's own. Those of
` + userProfiles + ` add to the built-in ones or take their place; the first
line of each, a comment, says what it is.`,
		Example: "  firstlight config profiles\n  firstlight build --kernel $(uname -r) --profile vm --output guest.img",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			names, err := profileNames("")
			if err != nil {
				return err
			}
			for _, n := range names {
				f, err := profiles("")(n)
				if err != nil {
					return err
				}
				first, _, _ := strings.Cut(string(f.Text), "\n")
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%-10s %s\n", n, strings.TrimSpace(strings.TrimPrefix(first, "#"))); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
