package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"firstlight/test/host"
	"firstlight/test/truth"
)

// truthTable writes docs/check-truth.md from the results of the last run of
// `make check-truth`.
func truthTable(_ context.Context, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("truth takes no arguments, and got %q", args)
	}
	checkout, err := host.Checkout()
	if err != nil {
		return err
	}
	cache, err := host.Cache()
	if err != nil {
		return err
	}
	rows, err := truth.Results(filepath.Join(cache, "truth", "latest"))
	if err != nil {
		return err
	}
	cases, err := truth.Cases()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(checkout, "docs", "check-truth.md"), []byte(truth.Document(cases, rows)), 0o644)
}
