// Package debian gets from Debian's archive what the tests boot: kernels,
// unpacked and never installed, and root filesystems with systemd.
//
// It works through the sources and the proxy settings of the machine's own
// apt, with the name of the suite changed, in configuration and state of its
// own below the cache. It never writes to /etc, /var, /boot or /lib/modules.
package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/host"
)

// keyring is where the package debian-archive-keyring puts its keys.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Apt is a private apt for one suite.
type Apt struct {
	suite string
	dir   string
}

// NewApt sets up apt for a suite below the cache. Nothing is fetched yet.
func NewApt(ctx context.Context, suite string) (*Apt, error) { return NewAptFor(ctx, suite, "") }

// NewAptFor is NewApt for packages of another architecture, by Debian's name; ""
// is the machine's own.
func NewAptFor(ctx context.Context, suite, arch string) (*Apt, error) {
	cache, err := host.Cache()
	if err != nil {
		return nil, err
	}
	name := suite
	if arch != "" {
		name += "-" + arch
	}
	a := &Apt{suite: suite, dir: filepath.Join(cache, "apt", name)}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc/parts"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("apt for %s: %w", suite, err)
		}
	}
	sources, err := Sources(ctx, suite)
	if err != nil {
		return nil, err
	}
	conf, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	if arch != "" {
		conf += fmt.Sprintf("APT::Architecture %q;\n#clear APT::Architectures;\nAPT::Architectures { %q; };\n", arch, arch)
		// The release alone: one kernel is as good as the next here, and not every
		// mirror has the updates of every architecture.
		sources = slices.DeleteFunc(sources, func(line string) bool { return !strings.Contains(line, " "+suite+" ") })
	}
	for name, text := range map[string]string{
		"etc/sources.list": strings.Join(sources, "\n") + "\n",
		"etc/apt.conf":     conf,
		"state/status":     "",
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("apt for %s: %w", suite, err)
		}
	}
	return a, nil
}

// Sources returns the lines of a sources.list for a suite: the machine's own
// Debian sources with the name of its release changed to suite. Sources of
// anything but the machine's Debian release are left out.
func Sources(ctx context.Context, suite string) ([]string, error) {
	out, err := host.Run(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		return nil, err
	}
	own, err := codename()
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		rest, ok := strings.CutPrefix(f[1], own)
		if !ok || rest != "" && rest[0] != '-' || strings.HasSuffix(rest, "-backports") {
			continue
		}
		lines = append(lines, fmt.Sprintf("deb [signed-by=%s] %s %s %s", keyring, f[0], suite+rest, f[2]))
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("apt for %s: this machine's apt has no sources for its own release %q", suite, own)
	}
	return lines, nil
}

// Contrib adds to lines of a sources.list the archive's component contrib, where
// Debian has ZFS.
func Contrib(sources []string) []string {
	var lines []string
	for _, l := range sources {
		lines = append(lines, l)
		if rest, ok := strings.CutSuffix(l, " main"); ok {
			lines = append(lines, rest+" contrib")
		}
	}
	return lines
}

// codename is the name of the Debian release that this machine runs.
func codename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("name of this machine's Debian release: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", errors.New("name of this machine's Debian release: /etc/os-release has no VERSION_CODENAME")
}

// config is the machine's own way of fetching (proxies, certificates,
// timeouts) with every directory that apt writes moved below the cache, and
// without the machine's hooks.
func (a *Apt) config(ctx context.Context) (string, error) {
	opts, err := fetchOptions(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, opt := range opts {
		fmt.Fprintf(&b, "%s;\n", opt)
	}
	fmt.Fprintf(&b, `Dir::State "%[1]s/state";
Dir::State::status "%[1]s/state/status";
Dir::Cache "%[1]s/cache";
Dir::Etc "%[1]s/etc";
Dir::Etc::main "none";
Dir::Etc::parts "parts";
Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "parts";
Dir::Etc::preferencesparts "parts";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
Acquire::Languages "none";
Acquire::Retries "3";
`, a.dir)
	return b.String(), nil
}

// fetchOptions is the machine's own way of fetching, in apt.conf's form
// without the semicolon at the end.
func fetchOptions(ctx context.Context) ([]string, error) {
	out, err := host.Run(ctx, "apt-config", "dump")
	if err != nil {
		return nil, err
	}
	var opts []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Acquire::") && !strings.HasPrefix(line, "Acquire::IndexTargets") &&
			!strings.HasPrefix(line, "Acquire::Changelogs") && !strings.HasPrefix(line, "Acquire::CompressionTypes") &&
			!strings.HasPrefix(line, "Acquire::Languages") && !strings.HasPrefix(line, "Acquire::cdrom") {
			opts = append(opts, strings.TrimSuffix(strings.TrimSpace(line), ";"))
		}
	}
	return opts, nil
}

// Run runs one of apt's programs in the private configuration.
func (a *Apt) Run(ctx context.Context, dir string, argv ...string) (string, error) {
	return host.Cmd{
		Argv: append([]string{argv[0], "-q"}, argv[1:]...), Dir: dir,
		// APT_CONFIG is read before the machine's /etc/apt/apt.conf.d is
		// looked for, so naming other directories in it keeps that out.
		Env: []string{"APT_CONFIG=" + filepath.Join(a.dir, "etc/apt.conf"), "DEBIAN_FRONTEND=noninteractive"},
	}.Run(ctx)
}
