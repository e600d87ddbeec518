package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
)

// maxImage bounds an image file, in bytes.
const maxImage = 4 << 30

// readImage reads an image file.
func readImage(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is not a file: %w", name, image.ErrImage)
	}
	if st.Size() > maxImage {
		return nil, fmt.Errorf("%s: %d bytes are more than an image has: %w", name, st.Size(), image.ErrImage)
	}
	return os.ReadFile(name)
}

// lsEntry is an entry as --json prints it, one a line.
type lsEntry struct {
	Archive     int    `json:"archive"`
	Offset      int64  `json:"offset"`
	Compression string `json:"compression"`
	Path        string `json:"path"`
	Type        string `json:"type"`
	Mode        string `json:"mode"`
	UID         uint32 `json:"uid"`
	GID         uint32 `json:"gid"`
	Size        uint32 `json:"size"`
	Target      string `json:"target,omitempty"`
	Major       uint32 `json:"major,omitempty"`
	Minor       uint32 `json:"minor,omitempty"`
	Mtime       uint32 `json:"mtime"`
}

func lsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls IMAGE",
		Short: "List what is in an image",
		Long: `List the entries of an initramfs image of any maker, archive by archive, as the
kernel would unpack them. With --json each entry is one line of JSON that says
also which archive it is in and how that is compressed.

` + exitText,
		Example: `  firstlight ls /boot/firstlight.img
  firstlight ls --json /boot/initrd.img | jq -r 'select(.size > 1000000) | .path'`,
		Args: args(1, 1, "one image"),
		RunE: func(c *cobra.Command, a []string) error { return runLs(c.OutOrStdout(), a[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one entry a line")
	return c
}

func runLs(w io.Writer, name string, asJSON bool) error {
	b, err := readImage(name)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	err = image.Walk(b, image.Limits{}, func(p image.Part, h *cpio.Header, body io.Reader) error {
		target := ""
		if h.Type() == cpio.TypeSymlink {
			t, err := io.ReadAll(io.LimitReader(body, cpio.MaxName))
			if err != nil {
				return fmt.Errorf("%s: %w: %w", h.Name, image.ErrImage, err)
			}
			target = string(t)
		}
		if asJSON {
			return enc.Encode(lsEntry{p.Index, p.Offset, string(p.Compression), h.Name, image.TypeName(h.Mode),
				fmt.Sprintf("%04o", h.Perm()), h.UID, h.GID, h.Size, target, h.RdevMajor, h.RdevMinor, h.Mtime})
		}
		size := fmt.Sprint(h.Size)
		if t := h.Type(); t == cpio.TypeChar || t == cpio.TypeBlock {
			size = fmt.Sprintf("%d,%d", h.RdevMajor, h.RdevMinor)
		}
		line := fmt.Sprintf("%s %9s %s", modeString(h.Mode), size, h.Name)
		if target != "" {
			line += " -> " + target
		}
		_, err := fmt.Fprintln(w, line)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// modeString is the mode as ls -l prints it.
func modeString(mode uint32) string {
	letter := map[uint32]byte{cpio.TypeDir: 'd', cpio.TypeSymlink: 'l', cpio.TypeChar: 'c',
		cpio.TypeBlock: 'b', cpio.TypeFIFO: 'p', cpio.TypeSocket: 's', cpio.TypeRegular: '-'}[mode&cpio.TypeMask]
	if letter == 0 {
		letter = '?'
	}
	return string(letter) + fs.FileMode(mode & 0o777).String()[1:]
}
