package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
)

func extractCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "extract IMAGE DIR",
		Short: "Unpack an image into a directory",
		Long: `Unpack an initramfs image of any maker below DIR, which is made if need be.
Nothing is written outside of DIR, whatever the image says. Device nodes are
made by root only, for others they are passed over with a message.

` + exitText,
		Example: `  firstlight extract /boot/firstlight.img /tmp/image`,
		Args:    args(2, 2, "an image and a directory"),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := readImage(a[0])
			if err != nil {
				return err
			}
			if err := os.MkdirAll(a[1], 0o755); err != nil {
				return err
			}
			err = image.Extract(b, a[1], image.Limits{}, func(name string, err error) {
				fmt.Fprintf(c.ErrOrStderr(), "firstlight: passed over /%s: %v\n", name, err)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			return nil
		},
	}
}
