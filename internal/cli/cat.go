package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
)

func catCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cat IMAGE PATH",
		Short: "Print a file of an image",
		Long: `Print the content of a file in an initramfs image of any maker. PATH may start
with a slash or not; symlinks in the image are followed. Of several files of
one name the last one counts, as for the kernel.

` + exitText,
		Example: `  firstlight cat /boot/firstlight.img /etc/firstlight/image
  firstlight cat /boot/initrd.img etc/fstab`,
		Args: args(2, 2, "an image and a path"),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := readImage(a[0])
			if err == nil {
				err = image.Cat(c.OutOrStdout(), b, a[1], image.Limits{})
			}
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			return nil
		},
	}
}
