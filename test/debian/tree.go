package debian

import (
	"context"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// Tree returns the directory of a Debian root with some packages, made unless
// the cache has it. Nothing in it may be written to: InTree gives programs a
// layer of their own.
func Tree(ctx context.Context, suite string, packages ...string) (string, error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "roots", "tree-"+suite+"-"+host.Hash([]byte(strings.Join(packages, ","))))
	err = host.Once(dir, func(tmp string) error {
		return mmdebstrap(ctx, suite, tmp, target{format: "directory", name: "root", packages: packages})
	})
	return filepath.Join(dir, "root"), err
}

// inTree mounts a layer in memory over a tree, unpacked kernels as /media and a
// directory with what the program needs as /mnt, in a mount namespace that goes
// away with the program.
const inTree = `set -e
tree=$1 layer=$2 kernels=$3 tools=$4
shift 4
mount -t tmpfs -o mode=0755 layer "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root"
cd "$layer/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 run run
mount --bind -o ro "$kernels" media
mount --bind -o ro "$tools" mnt
exec chroot . "$@"
`

// InTree runs a program in a tree. Whatever it writes is gone when it ends;
// layer is an empty directory for that. The program finds kernels in /media, by
// their suites, and tools in /mnt.
func InTree(ctx context.Context, tree, layer, kernels, tools string, argv ...string) (string, error) {
	return host.Cmd{
		Argv: append([]string{"unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", inTree, "sh", tree, layer, kernels, tools}, argv...),
		Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"},
	}.Run(ctx)
}
