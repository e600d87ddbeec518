// Package features holds the built-in feature definitions, as data. To add
// one, add a file; docs/features.md describes what may stand in it.
package features

import "embed"

// FS holds the definitions, NAME.toml.
//
//go:embed *.toml
var FS embed.FS

// Profiles holds kinds of machines, profiles/NAME.toml: configurations that come
// before a person's own, with a comment in the first line that says what each is.
//
//go:embed profiles/*.toml
var Profiles embed.FS
