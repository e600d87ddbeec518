package disks

import (
	"context"
	"os"
	"path/filepath"

	"firstlight/test/host"
)

// layers makes an image of the Open Container Initiative of a root, as a directory, with
// umoci: the lower layer has another /sbin/init and a file more than the root, and the
// upper one puts that right.
func layers(ctx context.Context, root, layout string) error {
	work, err := os.MkdirTemp(filepath.Dir(layout), "layers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	init, err := filepath.EvalSymlinks(filepath.Join(root, "sbin"))
	if err != nil {
		return err
	}
	sbin, err := filepath.Rel(root, init)
	if err != nil {
		return err
	}
	upper := filepath.Join(work, "upper")
	if err := os.MkdirAll(filepath.Join(upper, sbin), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(upper, 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(init, "init"), filepath.Join(upper, sbin, "init")); err != nil {
		return err
	}
	for name, text := range map[string]string{
		filepath.Join(init, "init"):            "not a program",
		filepath.Join(root, "taken-away"):      "by the upper layer",
		filepath.Join(upper, ".wh.taken-away"): "",
	} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			return err
		}
	}
	image := layout + ":root"
	for _, argv := range [][]string{
		{"tar", "-C", root, "-cf", filepath.Join(work, "lower.tar"), "."},
		{"tar", "-C", upper, "-cf", filepath.Join(work, "upper.tar"), "."},
		{"umoci", "init", "--layout", layout},
		{"umoci", "new", "--image", image},
		{"umoci", "raw", "add-layer", "--image", image, filepath.Join(work, "lower.tar")},
		{"umoci", "raw", "add-layer", "--image", image, filepath.Join(work, "upper.tar")},
		{"umoci", "gc", "--layout", layout},
	} {
		if _, err := host.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}
