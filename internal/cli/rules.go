package cli

import (
	"firstlight/internal/udevd/rules/compile"
	"firstlight/rules"
)

// ourRules are the udev rules that every image has.
func ourRules() []compile.Dir { return []compile.Dir{{Name: "rules", FS: rules.FS}} }
