// Package features holds the built-in feature definitions, as data. To add
// one, add a file; docs/features.md describes what may stand in it.
package features

import "embed"

// FS holds the definitions, NAME.toml.
//
//go:embed *.toml
var FS embed.FS
