package build

import (
	"fmt"
	"strings"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
)

// What multipath-tools read: a file, and then each of a directory.
const (
	multipathConf = "etc/multipath.conf"
	multipathDir  = "etc/multipath/conf.d/"
)

// multipath puts what the files of the directory say behind what the one file
// says, so that the boot need not look for them.
func (b *builder) multipath() error {
	var text []byte
	var from []string
	secret := false
	add := func(e *image.Entry) error {
		content, err := e.Content()
		if err != nil {
			return err
		}
		if n := len(text); n > 0 && text[n-1] != '\n' {
			text = append(text, '\n')
		}
		text = append(text, content...)
		from, secret = append(from, e.Path), secret || e.Secret
		return nil
	}
	if e := b.tree.Get(multipathConf); e != nil {
		if err := add(e); err != nil {
			return err
		}
	}
	more := 0
	for _, e := range b.tree.Entries() { // in order
		if !strings.HasPrefix(e.Path, multipathDir) || !strings.HasSuffix(e.Path, ".conf") || e.Mode&cpio.TypeMask != cpio.TypeRegular {
			continue
		}
		if err := add(e); err != nil {
			return err
		}
		more++
	}
	if more == 0 {
		return nil
	}
	mode := uint32(0o644)
	if secret {
		mode = 0o600
	}
	err := b.tree.Replace(image.Entry{Path: multipathConf, Mode: cpio.TypeRegular | mode, Data: text, Secret: secret, From: strings.Join(from, ", "), Why: "multipath-host: with its directory"})
	if err != nil {
		return fmt.Errorf("%s: %w", multipathConf, err)
	}
	return nil
}
