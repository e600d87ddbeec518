// Package cli is the command line of firstlight: one file a command. It reads
// options, calls the packages that do the work, and prints.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/image/pe"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/report"
	"firstlight/internal/snapshot"
	"firstlight/internal/uki"
	"firstlight/internal/uki/sign"
	"firstlight/internal/version"
)

// Exit codes. They are part of the command line and do not change.
const (
	ExitOK      = 0 // done
	ExitFailed  = 1 // it could not be done: the machine, a tool, a disk
	ExitUsage   = 2 // the command line is wrong
	ExitInvalid = 3 // an input is: configuration, feature, image, crypttab
	ExitMissing = 4 // what was asked for is not there: a file in an image, a device
)

const exitText = `Exit codes: 0 done; 1 failed; 2 wrong command line; 3 an input is invalid
(configuration, feature, image, journal); 4 what was asked for is not there.`

// usageError is a wrong command line.
type usageError struct{ error }

// exitError carries an exit code for an error that was said already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Main runs the command line and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	defer runtime.KeepAlive(collectLater())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := Root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var said exitError
	if errors.As(err, &said) {
		return int(said)
	}
	if err != nil {
		say(stderr, err)
	}
	return exitCode(err)
}

// collectLater puts the first collection of garbage off until there are 14 MiB, which
// most runs never reach. Who does has large blocks by the dozen: memory is collected
// when a third as much has come as is in use. What it returns counts as in use, but has
// no pages: it is kept until the end.
func collectLater() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(30)
	return make([]byte, 48<<20)
}

// say prints an error, each of several on its own line.
func say(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "firstlight: %s\n", line)
	}
}

func exitCode(err error) int {
	var usage usageError
	var ofCheck checkUsageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &ofCheck):
		return exitCheckUsage
	case errors.As(err, &usage), errors.Is(err, compress.ErrSpec):
		return ExitUsage
	case errors.Is(err, build.ErrConfig), errors.Is(err, build.ErrKernel), errors.Is(err, feature.ErrInvalid), errors.Is(err, image.ErrImage), errors.Is(err, pe.ErrFormat), errors.Is(err, uki.ErrInvalid), errors.Is(err, sign.ErrSignature),
		errors.Is(err, journal.ErrFormat), errors.Is(err, inputs.ErrFormat), errors.Is(err, report.ErrFormat), errors.Is(err, snapshot.ErrFormat):
		return ExitInvalid
	case errors.Is(err, fs.ErrNotExist):
		return ExitMissing
	}
	// cobra has no type for "unknown command".
	if strings.HasPrefix(err.Error(), "unknown command ") {
		return ExitUsage
	}
	return ExitFailed
}

// Root returns the whole command tree. To add a command, write a file with a
// function that returns it and name it here.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "firstlight",
		Short: "Build and inspect event-driven initramfs images",
		Long: `firstlight makes the initramfs that a Linux machine boots with, and looks into
those that exist, of any maker.

` + exitText,
		Example: `  firstlight build --kernel $(uname -r) --output /boot/firstlight.img
  firstlight check /boot/firstlight.img
  firstlight ls /boot/firstlight.img
  firstlight boot /boot/firstlight.img --disk root.img`,
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("firstlight {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	root.AddCommand(
		bootCommand(), bugReportCommand(), buildCommand(), catCommand(), checkCommand(), configCommand(), detectCommand(), diffCommand(), extractCommand(), featureCommand(),
		installCommand(), lsCommand(), manCommand(root), migrateCommand(), packInitCommand(), probeCommand(), removeCommand(), sizeCommand(), traceCommand(), ukiCommand(), updateInitramfsCommand(), versionCommand(),
	)
	return root
}

// args checks the number of arguments as a matter of usage.
func args(min, max int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if len(a) < min || (max >= 0 && len(a) > max) {
			return usageError{fmt.Errorf("%s takes %s, and got %d arguments (see %s --help)", c.CommandPath(), names, len(a), c.CommandPath())}
		}
		return nil
	}
}

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }
