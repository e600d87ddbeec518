package image

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ManifestPath is where an image says what it holds.
const ManifestPath = "etc/firstlight/manifest"

// IDPath is where an image has its identity: the SHA-256, in hexadecimal, of its
// manifest without the sums of secrets. /init hands it to the real system, so
// that it is known which image a machine has booted with.
const IDPath = "etc/firstlight/id"

const manifestHead = "# firstlight manifest 1: path, SHA-256, source, reason\n"

// ManifestEntry says where one file, link or node of an image comes from.
type ManifestEntry struct {
	Path   string
	Sum    string // SHA-256 of a regular file's content, hexadecimal; "" for others
	Source string // the file that it was read from; "" if the builder made it
	Why    string
}

// ErrManifest is wrapped by errors that say a manifest is malformed.
var ErrManifest = errors.New("not a valid manifest")

var (
	escape   = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`)
	unescape = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\-`, "-")
)

// FormatManifest writes a manifest: a line an entry, its fields separated by
// tabs, "-" for none.
func FormatManifest(list []ManifestEntry) []byte {
	var b bytes.Buffer
	b.WriteString(manifestHead)
	for _, e := range list {
		fields := []string{e.Path, e.Sum, e.Source, e.Why}
		for i, f := range fields {
			switch fields[i] = escape.Replace(f); f {
			case "":
				fields[i] = "-"
			case "-":
				fields[i] = `\-`
			}
		}
		b.WriteString(strings.Join(fields, "\t") + "\n")
	}
	return b.Bytes()
}

// ParseManifest reads a manifest.
func ParseManifest(b []byte) ([]ManifestEntry, error) {
	text, ok := strings.CutPrefix(string(b), manifestHead)
	if !ok {
		return nil, fmt.Errorf("the first line is another: %w", ErrManifest)
	}
	var out []ManifestEntry
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("line %d has %d fields instead of 4: %w", len(out)+2, len(f), ErrManifest)
		}
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
			f[i] = unescape.Replace(f[i])
		}
		out = append(out, ManifestEntry{f[0], f[1], f[2], f[3]})
	}
	return out, nil
}
