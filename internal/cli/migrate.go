package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/bootcmd"
	"firstlight/internal/build"
	"firstlight/internal/migrate"
	"firstlight/internal/sysroot"
)

func migrateCommand() *cobra.Command {
	var from, root, output string
	var asJSON bool
	var names []string
	for _, t := range migrate.Tools() {
		names = append(names, t.Name)
	}
	c := &cobra.Command{
		Use:   "migrate [--from TOOL]",
		Short: "Make a configuration of another generator's",
		Long: `Read the configuration of another generator of images, and the kernel command
line, and write one for Firstlight: what can be carried over, with the place where
it comes from, and as comments what cannot, with the reason.

The tools are ` + strings.Join(names, ", ") + `. Without --from the
one whose configuration is there is read. Nothing of a configuration is executed:
of one that is a program the assignments are read and the rest is reported.

The result is printed. With --output it goes to a file, which must not exist.

` + exitText,
		Example: `  firstlight migrate
  firstlight migrate --from dracut --output ` + build.ConfigPath + `
  firstlight migrate --json | jq .left`,
		Args: args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := migrated(from, sysroot.Root(root))
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if output != "" {
				f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
				if errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("%s is there already, and was not changed: compare with what firstlight migrate prints", output)
				}
				if err != nil {
					return err
				}
				defer f.Close()
				out = f
			}
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(map[string]any{"tool": r.Tool, "settings": jsonSettings(r.Settings), "left": jsonLeft(r.Left), "done": jsonLeft(r.Done)})
			}
			if _, err := fmt.Fprint(out, r.TOML()); err != nil {
				return err
			}
			if output != "" {
				fmt.Fprintf(c.ErrOrStderr(), "%s: %d settings of %s, %d that could not be carried over\n", output, len(r.Settings), r.Tool, len(r.Left))
			}
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", strings.Join(names, ", "))
	c.Flags().StringVar(&root, "sysroot", "", "root of the system whose configuration is read (default /)")
	c.Flags().StringVarP(&output, "output", "o", "", "write to this file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// migrated reads the configuration of a tool, "" for the one that is there.
func migrated(from string, root sysroot.Root) (*migrate.Result, error) {
	set, err := loadFeatures(root)
	if err != nil {
		return nil, err
	}
	var features []string
	for _, f := range set.All() {
		features = append(features, f.Name)
	}
	tools := migrate.Tools()
	if from != "" {
		i := slices.IndexFunc(tools, func(t migrate.Tool) bool { return t.Name == from })
		if i < 0 {
			return nil, usagef("--from %q: it is none of the tools that are known", from)
		}
		tools = tools[i : i+1]
	}
	var found []string
	var files []migrate.File
	var tool migrate.Tool
	for _, t := range tools {
		list, err := configOf(t, root)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			found, files, tool = append(found, t.Name), list, t
		}
	}
	switch {
	case len(found) == 0 && from != "":
		return nil, missingError("there is no configuration of " + from)
	case len(found) == 0:
		return nil, missingError("there is no configuration of another generator")
	case len(found) > 1:
		return nil, usagef("there are the configurations of several tools: say with --from which (%s)", strings.Join(found, ", "))
	}
	r := tool.Read(files, features)
	if b, err := os.ReadFile(root.Host("/proc/cmdline")); err == nil {
		src := bootcmd.Source{Name: "/proc/cmdline", Text: string(b)}
		_, problems := bootcmd.Parse(src)
		var lines []string
		for _, p := range problems {
			lines = append(lines, strings.TrimPrefix(p.String(), src.Name+": "))
		}
		r.CommandLine("the kernel command line", lines)
	}
	return r, nil
}

// configOf reads the files of a tool's configuration.
func configOf(t migrate.Tool, root sysroot.Root) (files []migrate.File, err error) {
	for _, pattern := range t.Files {
		names, err := filepath.Glob(root.Host(pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			st, err := os.Stat(name)
			if err != nil || !st.Mode().IsRegular() {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			files = append(files, migrate.File{Name: strings.TrimPrefix(name, strings.TrimSuffix(string(root), "/")), Text: string(b)})
		}
	}
	return files, nil
}

func jsonSettings(list []migrate.Setting) []map[string]string {
	out := []map[string]string{}
	for _, s := range list {
		out = append(out, map[string]string{"key": s.Key, "value": s.Value, "from": s.From})
	}
	return out
}

func jsonLeft(list []migrate.Left) []map[string]string {
	out := []map[string]string{}
	for _, l := range list {
		out = append(out, map[string]string{"where": l.Where, "what": l.What, "why": l.Why})
	}
	return out
}
