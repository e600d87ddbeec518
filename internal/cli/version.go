package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"firstlight/internal/version"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  firstlight version",
		Args:    args(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "firstlight %s\n", version.Version)
			return err
		},
	}
}
