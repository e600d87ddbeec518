package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	"firstlight/test/vm"
)

// act does the actions of a boot.
func act(ctx context.Context, v *vm.VM, m vm.Machine, actions []Action) error {
	at := map[bool]int{} // what was seen of either console
	for _, a := range actions {
		if a.When != "" {
			var err error
			if at[a.Second], err = terminal(v, a).Expect(ctx, at[a.Second], a.When); err != nil {
				return err
			}
		}
		if a.After > 0 {
			select {
			case <-time.After(a.After):
			case <-ctx.Done():
				return fmt.Errorf("let %v pass: %w", a.After, ctx.Err())
			}
		}
		if err := actOne(ctx, v, m, a); err != nil {
			return err
		}
	}
	return nil
}

func actOne(ctx context.Context, v *vm.VM, m vm.Machine, a Action) error {
	disk := func(name string) int {
		return slices.IndexFunc(m.Disks, func(d vm.Disk) bool { return d.Serial == name })
	}
	switch {
	case a.Type != "":
		return terminal(v, a).Type(a.Type)
	case len(a.Press) > 0:
		return v.Press(ctx, a.Press...)
	case a.Attach != "":
		return v.Attach(ctx, disk(a.Attach))
	case a.Detach != "":
		return v.Detach(ctx, disk(a.Detach))
	case a.Quit:
		return v.QMP.Do(ctx, "quit", nil)
	}
	return nil
}

// terminal is the console that an action concerns.
func terminal(v *vm.VM, a Action) *vm.Stream {
	if a.Second {
		return v.Report
	}
	return v.Console
}
