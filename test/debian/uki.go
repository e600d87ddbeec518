package debian

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// ukiPackages are the field's own makers of unified kernel images, the stub that
// they build on, and what signs and verifies EFI programs.
var ukiPackages = []string{"systemd", "systemd-ukify", "systemd-boot-efi", "systemd-boot-tools", "sbsigntool", "python3-cryptography",
	"libtss2-esys-3.0.2-0t64", "libtss2-mu-4.0.1-0t64", "libtss2-rc0t64"}

// UKITools returns a tree of trixie with ukify, systemd-stub, systemd-measure and
// sbverify, made unless the cache has it. Programs run in it by chroot; nothing of
// it may be written to.
func UKITools(ctx context.Context) (Chroot, error) {
	dir, err := ukiDir()
	if err != nil {
		return Chroot{}, err
	}
	err = host.Once(dir, func(tmp string) error {
		return mmdebstrap(ctx, "trixie", tmp, target{format: "directory", name: "root", packages: ukiPackages})
	})
	return Chroot{Dir: filepath.Join(dir, "root")}, err
}

// HasUKITools says whether the cache has that tree.
func HasUKITools() bool {
	dir, err := ukiDir()
	if err == nil {
		_, err = os.Stat(dir)
	}
	return err == nil
}

func ukiDir() (string, error) {
	cache, err := host.Cache()
	return filepath.Join(cache, "roots", "uki-trixie-"+host.Hash([]byte(strings.Join(ukiPackages, ",")))), err
}
