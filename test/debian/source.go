package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// Source fetches a source package of the suite, once, and returns the directory
// with its files as the archive has them.
func (a *Apt) Source(ctx context.Context, name string) (string, error) {
	dir := filepath.Join(a.dir, "source", name)
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return "", fmt.Errorf("source of %s: %w", name, err)
	}
	unlock, err := host.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if found, _ := filepath.Glob(filepath.Join(dir, "*.dsc")); len(found) > 0 {
		return dir, nil
	}
	lines, err := Sources(ctx, a.suite)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "sources.list")
	text := strings.ReplaceAll(strings.Join(lines, "\n"), "deb [", "deb-src [") + "\n"
	if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("source of %s: %w", name, err)
	}
	own := []string{"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::State::lists=" + filepath.Join(dir, "lists")}
	if _, err := a.Run(ctx, dir, append([]string{"apt-get"}, append(own, "update")...)...); err != nil {
		return "", err
	}
	_, err = a.Run(ctx, dir, append([]string{"apt-get"}, append(own, "source", "--download-only", "--only-source", name)...)...)
	return dir, err
}

// SourceFile returns a file of an archive that is in the tests of a source
// package: archive is its path below the package's top directory, and file the
// path of the file in it.
func SourceFile(ctx context.Context, suite, name, archive, file string) (string, error) {
	a, err := NewApt(ctx, suite)
	if err != nil {
		return "", err
	}
	dir, err := a.Source(ctx, name)
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "files", file)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	orig, err := filepath.Glob(filepath.Join(dir, name+"_*.orig.tar.*"))
	if err != nil || len(orig) != 1 {
		return "", fmt.Errorf("source of %s: %d archives in %s", name, len(orig), dir)
	}
	work, err := os.MkdirTemp(dir, "part")
	if err != nil {
		return "", fmt.Errorf("source of %s: %w", name, err)
	}
	defer host.RemoveAll(work)
	if _, err := host.Run(ctx, "tar", "-C", work, "-xf", orig[0], "--wildcards", "--strip-components=1", "*/"+archive); err != nil {
		return "", err
	}
	if _, err := host.Run(ctx, "tar", "-C", work, "--sparse", "-xf", filepath.Join(work, archive), file); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", fmt.Errorf("source of %s: %w", name, err)
	}
	if err := os.Rename(filepath.Join(work, file), out); err != nil {
		return "", fmt.Errorf("source of %s: %w", name, err)
	}
	return out, nil
}
