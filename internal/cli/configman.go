package cli

import (
	"fmt"
	"strings"

	"firstlight/internal/build"
)

// configPage is firstlight.toml(5).
func configPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `.TH FIRSTLIGHT.TOML 5 "" "Firstlight"
.SH NAME
firstlight.toml \- configuration of the builder of images
.SH SYNOPSIS
.I %s
.br
.I %s/*.toml
.SH DESCRIPTION
The files are in the TOML language. They are read in the order given, those of the
directory in the order of their names. Of a key with one value the last one counts,
lists grow. Every key may be left out; an unknown one is an error.
.SH KEYS
`, roff(build.ConfigPath), roff(build.ConfigDir))
	for _, k := range build.Keys() {
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fP (%s)\n%s\n", roff(k.Name), roff(k.Type), roff(k.Text))
		if k.Default != "" {
			fmt.Fprintf(&b, "Without it: %s.\n", roff(k.Default))
		}
		fmt.Fprintf(&b, ".br\n\\fB%s\\fP\n", roff(k.Example))
	}
	b.WriteString(`.SH SEE ALSO
.BR firstlight\-config (8),
.BR firstlight\-build (8),
.BR firstlight\-install (8)
`)
	return b.String()
}
