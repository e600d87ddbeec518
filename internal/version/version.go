// Package version says which Firstlight this is.
package version

// Version is the version of this build. The Makefile sets it with
// -ldflags "-X firstlight/internal/version.Version=…".
var Version = "0.1.0-dev"
