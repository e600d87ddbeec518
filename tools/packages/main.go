// Command packages makes the packages of Firstlight for several distributions
// from what was built: -root is a directory that holds what a machine shall
// hold, as the Makefile makes it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/arch"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

const summary = "Event-driven initramfs"

const description = summary + `
 Firstlight builds the initramfs that the machine boots with, and is the first
 program in it. Nothing in it polls or sleeps: the kernel reports devices, and
 arrays, volume groups, encrypted devices and filesystems are dealt with as soon
 as they are complete. An image that would not boot is not installed, and a boot
 that fails says why.`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

func run() error {
	root := flag.String("root", "", "directory with a subdirectory for each format, and common for all")
	scripts := flag.String("scripts", "", "directory with the scripts of the Debian package")
	out := flag.String("out", "", "directory for the packages")
	version := flag.String("version", "", "version of Firstlight")
	arch := flag.String("arch", "", "architecture, as Go names it")
	maintainer := flag.String("maintainer", "", "name and address")
	flag.Parse()
	date, err := sourceDate()
	if err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm", "archlinux", "apk"} {
		info := info(format, *version, *arch, *maintainer, *scripts, date)
		for _, dir := range []string{"common", format} {
			list, err := contents(filepath.Join(*root, dir), format, date)
			if err != nil {
				return err
			}
			info.Contents = append(info.Contents, list...)
		}
		if err := write(info, format, *out); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

// sourceDate is the time that the files of the packages have.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	var sec int64
	if _, err := fmt.Sscan(text, &sec); err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: %w", text, err)
	}
	return time.Unix(sec, 0).UTC(), nil
}

func info(format, version, arch, maintainer, scripts string, date time.Time) *nfpm.Info {
	i := &nfpm.Info{Name: "firstlight", Arch: arch, Platform: "linux", Version: version, VersionSchema: "semver",
		Section: "admin", Priority: "optional", Maintainer: maintainer, Description: description,
		License: "Apache-2.0", Vendor: "Firstlight", MTime: date}
	i.Release = "1"
	switch format {
	case "deb":
		i.Provides = []string{"linux-initramfs-tool"}
		i.Conflicts = []string{"linux-initramfs-tool"}
		i.Recommends = []string{"zstd"}
		i.Suggests = []string{"qemu-system-x86"}
		i.Deb.Compression = "xz"
		i.Deb.Triggers.InterestNoAwait = []string{"update-initramfs"}
		i.Scripts.PostInstall = filepath.Join(scripts, "postinst")
		i.Scripts.PreRemove = filepath.Join(scripts, "prerm")
		i.Scripts.PostRemove = filepath.Join(scripts, "postrm")
	case "rpm":
		// A space begins a line that is not to be filled.
		i.Description = strings.ReplaceAll(description, "\n ", "\n")
		i.RPM.Group = "System Environment/Base"
		i.RPM.Summary = summary
		i.RPM.Compression = "zstd"
		i.Recommends = []string{"zstd"}
	case "archlinux":
		i.Description = summary
		// Of a version it would leave out what comes before a release: 0.1.0dev is
		// older than 0.1.0 to pacman.
		i.Version, i.VersionSchema = strings.ReplaceAll(version, "-", ""), "none"
		i.ArchLinux.Packager = maintainer
		i.Provides = []string{"initramfs"}
		i.Depends = []string{"zstd"}
	case "apk":
		i.Description = summary
		// The kernels' packages depend on something of that name.
		i.Provides = []string{"initramfs-generator"}
		i.Depends = []string{"zstd"}
	}
	return i
}

// contents are the files of a directory, which lie in a package as they lie
// there. What is in /etc belongs to the administrator.
func contents(dir, format string, date time.Time) (files.Contents, error) {
	var out files.Contents
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == dir {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		c := &files.Content{Source: p, Destination: "/" + rel,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: st.Mode().Perm(), MTime: date, Size: st.Size()}}
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			if c.Source, err = os.Readlink(p); err != nil {
				return err
			}
			c.Type = files.TypeSymlink
		case strings.HasPrefix(rel, "etc/"):
			c.Type = files.TypeConfigNoReplace
		case strings.HasPrefix(rel, "usr/share/man/"):
			c.Type = files.TypeFile
			if format == "rpm" {
				c.Type = files.TypeRPMDoc
			}
		}
		out = append(out, c)
		return nil
	})
	return out, err
}

func write(info *nfpm.Info, format, out string) error {
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	info = nfpm.WithDefaults(info)
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	name := filepath.Join(out, packager.ConventionalFileName(info))
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := packager.Package(info, f); err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return err
	}
	fmt.Println(name)
	return f.Close()
}
