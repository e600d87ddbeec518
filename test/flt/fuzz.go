package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"firstlight/test/host"
)

// fuzz finds every fuzz target of the module and runs each for a time. It
// goes on after one that fails, and fails at the end.
func fuzz(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	each := flags.Duration("time", 30*time.Second, "how long each target runs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list, err := host.Run(ctx, "go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...")
	if err != nil {
		return err
	}
	var errs []error
	ran := 0
	for pkg := range strings.FieldsSeq(list) {
		out, err := host.Run(ctx, "go", "test", "-list", "^Fuzz", pkg)
		if err != nil {
			return err
		}
		for target := range strings.Lines(out) {
			target = strings.TrimSpace(target)
			if !strings.HasPrefix(target, "Fuzz") {
				continue
			}
			fmt.Printf("== %s %s\n", pkg, target)
			ran++
			// Minimising an input of a target with large seeds would take the
			// whole time that is there for finding the next.
			_, err := host.Cmd{Log: os.Stdout, Argv: []string{"go", "test", "-run", "^$", "-fuzz", "^" + target + "$",
				"-fuzztime", each.String(), "-fuzzminimizetime", "20x", pkg}}.Run(ctx)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s failed", pkg, target))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	fmt.Printf("fuzz: %d targets for %v each, %d failed\n", ran, *each, len(errs))
	return errors.Join(errs...)
}
