package cli

import (
	"fmt"

	"firstlight/internal/build"
)

// list prints where the images of kernels are, or would be, one a line for
// scripts: what it is, the kernel's release, whether it is there, and its file in
// the system.
func (f *installFlags) list(conf *build.Config) error {
	kernels := f.kernels
	if len(kernels) == 0 {
		kernels = f.installed()
	}
	for _, kernel := range kernels {
		path, err := f.place(conf, kernel)
		if err != nil {
			return err
		}
		places := []struct{ what, path string }{{"image", path}, {"before", path + ".old"}}
		if conf.Install.Fallback != "" {
			if path, err = build.ImagePath(conf.Install.Fallback, kernel); err != nil {
				return err
			}
			places = append(places, struct{ what, path string }{"fallback", path})
		}
		for _, p := range places {
			state := "absent"
			if exists(f.host(p.path)) {
				state = "present"
			}
			if _, err := fmt.Fprintf(f.stdout, "%s %s %s %s\n", p.what, kernel, state, p.path); err != nil {
				return err
			}
		}
	}
	return nil
}
