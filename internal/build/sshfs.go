package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/sshfs"
)

// SSHFS is the way to a root by SSH. Every key has a default; an image has what it
// needs where there is the table, or the feature is asked for or found needed.
type SSHFS struct {
	Keys       []string `toml:"keys"`
	KnownHosts List     `toml:"known_hosts"`
	Config     string   `toml:"config"`
}

// sshfsFeature is the name of the feature.
const sshfsFeature = "sshfs"

// Where files are looked for.
const (
	defaultSSHFSKeys   = sshfs.Dir + "/id_*"
	defaultSSHFSConfig = sshfs.Dir + "/ssh_config"
)

// check says what is wrong with the table by itself.
func (c *SSHFS) check() error {
	if c == nil {
		return nil
	}
	for _, p := range append(append([]string{c.Config}, c.Keys...), c.KnownHosts...) {
		if p != "" && !path.IsAbs(p) {
			return fmt.Errorf("sshfs: the path %q must be absolute", p)
		}
	}
	return nil
}

// sshfs puts the keys into an image that has its root by SSH.
func (b *builder) sshfs() error {
	has := false
	for _, f := range b.report.Features {
		has = has || f.Name == sshfsFeature
	}
	if !has {
		return nil
	}
	c := b.o.Config.SSHFS
	if c == nil {
		c = &SSHFS{}
	}
	const why = "the root by SSH"
	if err := b.sshfsKeys(c, why); err != nil {
		return err
	}
	if err := b.knownHosts(c, why); err != nil {
		return err
	}
	name := c.Config
	if name == "" {
		if name = defaultSSHFSConfig; !b.o.Sysroot.Exists(name) {
			return nil
		}
	}
	text, src, err := b.sshfsFile(name)
	if err != nil {
		return fmt.Errorf("the settings of ssh for a root by SSH: %w", err)
	}
	return b.tree.Add(image.Entry{Path: sshfs.Settings, Mode: cpio.TypeRegular | 0o600, Data: text, From: b.from(src), Why: why})
}

func (b *builder) sshfsFile(name string) (text []byte, src string, err error) {
	if src, err = b.o.Sysroot.Source(name); err != nil {
		return nil, "", err
	}
	text, err = os.ReadFile(src)
	return text, src, err
}

// sshfsKeys takes the private keys, each with its certificate. They are secrets, and so
// the image is readable by its owner only.
func (b *builder) sshfsKeys(c *SSHFS, why string) error {
	names := c.Keys
	if len(names) == 0 {
		all, err := b.o.Sysroot.Glob(defaultSSHFSKeys)
		if err != nil {
			return err
		}
		for _, name := range all {
			if path.Ext(name) != ".pub" {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: a root by SSH needs a key that lets the machine in: make one (ssh-keygen -t ed25519 -N '' -C initramfs -f %s/id_ed25519) and write its public half into authorized_keys of the server, or name one by keys in [sshfs]", ErrConfig, sshfs.Dir)
	}
	for i, name := range names {
		text, src, err := b.sshfsFile(name)
		if err != nil {
			return fmt.Errorf("the key for a root by SSH: %w", err)
		}
		var locked *ssh.PassphraseMissingError
		switch _, err := ssh.ParseRawPrivateKey(text); {
		case errors.As(err, &locked):
			return fmt.Errorf("%w: the key %s is locked with a passphrase, which nobody could give at boot; take it away (ssh-keygen -p), or make another one", ErrConfig, name)
		case err != nil && !bytes.Contains(text, []byte("OPENSSH PRIVATE KEY")):
			return fmt.Errorf("%w: %s is no private key of SSH: %w", ErrConfig, name, err)
		}
		to := sshfs.Keys + "/" + strconv.Itoa(i)
		if err := b.tree.Add(image.Entry{Path: to, Mode: cpio.TypeRegular | 0o600, Data: text, From: b.from(src), Secret: true, Why: why}); err != nil {
			return err
		}
		text, src, err = b.sshfsFile(name + "-cert.pub")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the certificate of the key for a root by SSH: %w", err)
		}
		if err := b.tree.Add(image.Entry{Path: to + "-cert.pub", Mode: cpio.TypeRegular | 0o600, Data: text, From: b.from(src), Why: why}); err != nil {
			return err
		}
	}
	return nil
}

// knownHosts takes the keys of servers. Without one there is no server that could be
// believed.
func (b *builder) knownHosts(c *SSHFS, why string) error {
	names := []string(c.KnownHosts)
	if len(names) == 0 {
		names = []string{sshfs.KnownHosts}
	}
	var all []byte
	var from []string
	for _, name := range names {
		text, src, err := b.sshfsFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: a root by SSH needs the host key of its server, as an unknown one is never taken: there is no %s (known_hosts in [sshfs]); make it (ssh-keyscan SERVER), and compare it with the server's own", ErrConfig, name)
		}
		if err != nil {
			return fmt.Errorf("the known hosts for a root by SSH: %w", err)
		}
		all, from = append(append(all, bytes.TrimRight(text, "\n")...), '\n'), append(from, b.from(src))
	}
	hosts, n := all, 0
	for {
		_, _, _, _, rest, err := ssh.ParseKnownHosts(hosts)
		if err != nil {
			if n == 0 {
				return fmt.Errorf("%w: no line of %s is the host key of a server", ErrConfig, strings.Join(names, ", "))
			}
			break
		}
		hosts = rest
		n++
	}
	return b.tree.Add(image.Entry{Path: sshfs.KnownHosts, Mode: cpio.TypeRegular | 0o600, Data: all, From: strings.Join(from, ", "), Why: why})
}
