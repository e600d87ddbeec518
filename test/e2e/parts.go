package e2e

import (
	"context"

	"firstlight/test/debian"
	"firstlight/test/vm"
)

// What other harnesses take of a scenario: its image, its disks, its actions.

// Image builds the scenario's image for a kernel, in dir, and returns the file.
func (r *Runner) Image(ctx context.Context, s Scenario, k debian.Kernel, dir string) (string, error) {
	return r.build(ctx, s, k, dir)
}

// Disks makes overlays of the scenario's disks in dir.
func (r *Runner) Disks(ctx context.Context, s Scenario, dir string) ([]vm.Disk, error) {
	attached, _, err := r.disks(ctx, s, dir)
	return attached, err
}

// Kernel is the kernel of a suite for the scenario: one with ZFS where it needs
// that.
func (s Scenario) Kernel(ctx context.Context, suite string) (debian.Kernel, error) {
	return s.kernel(ctx, suite)
}

// Cmdline is the scenario's kernel command line, as far as it is known before
// the disks are made.
func (s Scenario) Cmdline() string { return s.cmdline() }

// Line is the scenario's kernel command line.
func (r *Runner) Line(s Scenario) string {
	line, err := withHash(s.cmdline(), r.Made[s.Layouts[0].Name].RootHash())
	if err != nil {
		panic(err) // the key of the tests does not sign
	}
	return line
}

// Perform does actions on a running machine, in order.
func Perform(ctx context.Context, v *vm.VM, m vm.Machine, actions []Action) error {
	return act(ctx, v, m, actions)
}

// PromptText begins every question for a passphrase.
const PromptText = promptText
