package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/spell"
	"firstlight/internal/sysroot"
)

// configFiles reads the configuration: the file that is named, or those of the
// system.
func configFiles(name string, root sysroot.Root) ([]build.ConfigFile, error) {
	names := []string{name}
	if name == "" {
		var err error
		if names, err = configNames(root); err != nil {
			return nil, err
		}
	}
	var files []build.ConfigFile
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		files = append(files, build.ConfigFile{Name: name, Text: text})
	}
	return files, nil
}

// configNames are the files of the system's configuration that exist.
func configNames(root sysroot.Root) ([]string, error) {
	var names []string
	main := root.Host(build.ConfigPath)
	if exists(main) {
		names = append(names, main)
	}
	list, err := os.ReadDir(root.Host(build.ConfigDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for _, e := range list {
		// As in other such directories, what an editor or a package manager
		// left is none of it.
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(root.Host(build.ConfigDir), e.Name()))
		}
	}
	return names, nil
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show, check and explain the configuration of the builder",
		Long: `The configuration is ` + build.ConfigPath + ` and the files *.toml in
` + build.ConfigDir + `, in the order of their names. Of a key with one value the last
one counts, lists grow.`,
		Example: "  firstlight config show\n  firstlight config check\n  firstlight config explain install.image",
		Args:    args(1, 1, "show, check, explain or profiles"),
		RunE: func(c *cobra.Command, a []string) error {
			return usagef("unknown command %q for %q", a[0], c.CommandPath())
		},
	}
	c.AddCommand(configShow(), configCheck(), configExplain(), configProfilesCommand())
	return c
}

func configShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "Print the configuration that a build would use",
		Long:    "Print the configuration as the files give it together, as one file.\n\n" + exitText,
		Example: "  firstlight config show\n  firstlight config show --json | jq .features",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			files, err := configFiles("", "")
			if err != nil {
				return err
			}
			conf, err := build.ParseWithProfile("", files, profiles(""))
			if err != nil {
				return err
			}
			tree, err := settings(conf)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(tree)
			}
			return printConfig(c.OutOrStdout(), files, tree)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// settings are the keys that are set.
func settings(conf *build.Config) (map[string]any, error) {
	text, err := toml.Marshal(conf)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	prune(tree)
	return tree, nil
}

func prune(tree map[string]any) {
	for k, v := range tree {
		switch v := v.(type) {
		case map[string]any:
			if prune(v); len(v) == 0 {
				delete(tree, k)
			}
		case []any:
			for _, e := range v {
				if t, ok := e.(map[string]any); ok {
					prune(t)
				}
			}
			if len(v) == 0 {
				delete(tree, k)
			}
		case string:
			if v == "" {
				delete(tree, k)
			}
		case int64:
			if v == 0 {
				delete(tree, k)
			}
		case bool:
			if !v && k != "backup" {
				delete(tree, k)
			}
		case nil:
			delete(tree, k)
		}
	}
}

func printConfig(w io.Writer, files []build.ConfigFile, tree map[string]any) error {
	text, err := toml.Marshal(tree)
	if err != nil {
		return err
	}
	from := "nothing: there is neither " + build.ConfigPath + " nor a file in " + build.ConfigDir
	if len(files) > 0 {
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		from = strings.Join(names, ", ")
	}
	_, err = fmt.Fprintf(w, "# from %s\n%s", from, text)
	return err
}

func configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Say whether the configuration can be used",
		Long: `Read the configuration, or the files that are named as one, and say what is wrong
with it: keys that do not exist, with the nearest one that does, wrong values,
features and files that are not there.

` + exitText,
		Example: "  firstlight config check\n  firstlight config check new.toml",
		RunE: func(c *cobra.Command, a []string) error {
			var files []build.ConfigFile
			var err error
			if len(a) == 0 {
				files, err = configFiles("", "")
			}
			for _, name := range a {
				one, readErr := configFiles(name, "")
				err = errors.Join(err, readErr)
				files = append(files, one...)
			}
			if err != nil {
				return err
			}
			conf, err := build.ParseWithProfile("", files, profiles(""))
			if err != nil {
				return err
			}
			if err := consistent(conf); err != nil {
				return fmt.Errorf("%w: %w", build.ErrConfig, err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d files, nothing wrong\n", len(files))
			return err
		},
	}
}

// consistent says what in a configuration names something that is not there.
func consistent(conf *build.Config) error {
	set, err := loadFeatures("")
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range slices.Concat(conf.Features, conf.OmitFeatures) {
		if _, err := set.Get(name); err != nil {
			wrong = append(wrong, err)
		}
	}
	for _, f := range conf.Files {
		if found, err := filepath.Glob(f.Source); !f.Optional && (err != nil || len(found) == 0) {
			wrong = append(wrong, fmt.Errorf("file %s: there is no such file", f.Source))
		}
	}
	if conf.Crypttab != "" && !exists(conf.Crypttab) {
		wrong = append(wrong, fmt.Errorf("crypttab: there is no file %s", conf.Crypttab))
	}
	if dir := path.Dir(conf.Install.Image); conf.Install.Image != "" && !strings.Contains(dir, "%") && !exists(dir) {
		wrong = append(wrong, fmt.Errorf("install.image: there is no directory %s", dir))
	}
	return errors.Join(wrong...)
}

func configExplain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain [KEY]",
		Short:   "Explain the keys of the configuration",
		Long:    "Say what a key is for, what it takes, and what holds without it; without KEY, all.\n\n" + exitText,
		Example: "  firstlight config explain\n  firstlight config explain install\n  firstlight config explain file.mode",
		Args:    args(0, 1, "the name of a key or table"),
		RunE: func(c *cobra.Command, a []string) error {
			keys := build.Keys()
			if len(a) == 1 {
				if keys = build.FindKey(a[0]); len(keys) == 0 {
					return missingError(fmt.Sprintf("there is no key %q%s", a[0], nearestKey(a[0])))
				}
			}
			for i, k := range keys {
				if i > 0 {
					fmt.Fprintln(c.OutOrStdout())
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", k.Name, k.Type)
				for _, line := range wrap(k.Text, 74) {
					fmt.Fprintf(c.OutOrStdout(), "    %s\n", line)
				}
				if k.Default != "" {
					fmt.Fprintf(c.OutOrStdout(), "    Without it: %s.\n", k.Default)
				}
				fmt.Fprintf(c.OutOrStdout(), "    Example: %s\n", k.Example)
			}
			return nil
		},
	}
}

// missingError says what was asked for and is not there.
type missingError string

func (e missingError) Error() string { return string(e) }

// Is makes it an error of that kind, for the exit code.
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

func nearestKey(name string) string {
	best, least := "", max(len(name)/3, 1)+1
	for _, k := range build.Keys() {
		_, last, _ := strings.Cut(k.Name, ".")
		for _, n := range []string{k.Name, last} {
			if d := spell.Distance(name, n); n != "" && d < least {
				best, least = k.Name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; is %q meant?", best)
}

// wrap breaks a text into lines of at most so many letters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
