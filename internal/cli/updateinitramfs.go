package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/install"
)

// updateInitramfsCommand is what the program update-initramfs of the package
// runs, so that packages and people who call it get their images. Its options
// are those of update-initramfs(8) of initramfs-tools.
func updateInitramfsCommand() *cobra.Command {
	var f installFlags
	var create, update, remove, takeOver bool
	var kernel string
	c := &cobra.Command{
		Use: "update-initramfs {-c|-u|-d} [-k VERSION|all]", Hidden: true,
		Short: "Create, update or delete images, in the way of initramfs-tools",
		Long: `The options of update-initramfs(8) of initramfs-tools: -c creates an image, -u
updates one that is there, -d deletes it; -k names the kernel, or all. Without -k,
-u is for the newest kernel that has an image. Called with -u alone by another
package's script, it leaves the work to one trigger for all packages.`,
		Example: "  update-initramfs -u\n  update-initramfs -c -k 6.1.0-13-amd64\n  update-initramfs -u -k all",
		Args:    args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error {
			f.stderr = c.ErrOrStderr()
			n := 0
			for _, b := range []bool{create, update, remove} {
				if b {
					n++
				}
			}
			if n != 1 {
				return usagef("update-initramfs needs one of -c, -u and -d")
			}
			if update && c.Flags().NFlag() == 1 && triggered() {
				return nil
			}
			conf, err := f.configuration()
			if err != nil {
				return err
			}
			have := f.withImages(conf)
			switch {
			case kernel == "all" && create:
				f.kernels = f.installed()
			case kernel == "all":
				f.kernels = have
			case kernel != "":
				f.kernels = []string{kernel}
			case update:
				if n := install.Newest(have); n != "" {
					f.kernels = []string{n}
				}
			default:
				return usagef("update-initramfs needs -k VERSION with -c and -d")
			}
			if len(f.kernels) == 0 {
				f.say("no kernel has an image: nothing to do")
				return nil
			}
			if remove {
				f.force = true // its caller removes the kernel
				return f.remove(c.Context())
			}
			return f.run(c.Context())
		},
	}
	fl := c.Flags()
	fl.BoolVarP(&create, "create", "c", false, "create an image")
	fl.BoolVarP(&update, "update", "u", false, "update an image")
	fl.BoolVarP(&remove, "delete", "d", false, "delete an image")
	fl.BoolVarP(&takeOver, "take-over", "t", false, "understood, without effect")
	fl.StringVarP(&kernel, "kernel", "k", "", "release of the kernel, or all")
	fl.StringVarP(&f.bootDir, "boot-dir", "b", "/boot", "directory of the images")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say what is in the image and why")
	fl.BoolVarP(&f.quiet, "silent", "s", false, "say nothing but errors")
	return c
}

// withImages are the kernels that have an image.
func (f *installFlags) withImages(conf *build.Config) (out []string) {
	for _, k := range f.installed() {
		if path, err := f.place(conf, k); err == nil && exists(f.host(path)) {
			out = append(out, k)
		}
	}
	return out
}

// triggered leaves the work to a trigger of the package manager, if the script
// of another package asks for it and dpkg can do that: the images are built
// once, when all packages are configured.
func triggered() bool {
	pkg := os.Getenv("DPKG_MAINTSCRIPT_PACKAGE")
	if pkg == "" || pkg == "firstlight" {
		return false
	}
	if err := exec.Command("dpkg-trigger", "--check-supported").Run(); err != nil {
		return false
	}
	out, err := exec.Command("dpkg-trigger", "--no-await", "update-initramfs").CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		fmt.Fprintf(os.Stderr, "firstlight: dpkg-trigger: %v: %s\n", err, strings.TrimSpace(string(out)))
	}
	return err == nil
}
