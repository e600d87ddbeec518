package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"

	"firstlight/test/disks"
	"firstlight/test/signing"
)

// signature in a command line is that of the root hash of the first layout, in
// base64.
const signature = "{signature}"

// withHash puts the root hash and its signature into a command line.
func withHash(line, hash string) (string, error) {
	line = strings.ReplaceAll(line, rootHash, hash)
	if !strings.Contains(line, signature) {
		return line, nil
	}
	der, err := signing.Sign(hash)
	return strings.ReplaceAll(line, signature, base64.StdEncoding.EncodeToString(der)), err
}

// rootHash in a command line is that of the first layout.
const rootHash = "{roothash}"

// number is that of a device, which differs from machine to machine.
var number = regexp.MustCompile(`\b\d+:\d+\b`)

// sameTables compares what the kernel has of each encrypted device after a boot
// with what it had when cryptsetup and its like had opened it.
func sameTables(made disks.Made, file string) []string {
	want, err := made.Tables()
	if err != nil {
		return []string{err.Error()}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}
	}
	got := map[string]disks.Table{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) > 2 {
			got[f[0]] = disks.Table{UUID: f[1], Lines: f[2:]}
		}
	}
	var problems []string
	if len(want) == 0 {
		problems = append(problems, "the layout has no tables to compare with")
	}
	for name, w := range want {
		g, ok := got[name]
		ours, theirs := number.ReplaceAllString(strings.Join(g.Lines, "\n"), "DEV"), number.ReplaceAllString(strings.Join(w.Lines, "\n"), "DEV")
		switch {
		case !ok:
			problems = append(problems, name+" was not opened")
		case strings.HasSuffix(name, "_dif") && strings.HasPrefix(g.UUID, "CRYPT-SUBDEV-") && strings.HasPrefix(w.UUID, "CRYPT-INTEGRITY-") && ours == theirs:
			// That of cryptsetup 2.7, where the tools are older.
		case g.UUID != w.UUID:
			problems = append(problems, fmt.Sprintf("%s has the UUID %q, not %q", name, g.UUID, w.UUID))
		case ours != theirs:
			problems = append(problems, fmt.Sprintf("%s has the table %q, not %q", name, ours, theirs))
		}
	}
	sort.Strings(problems)
	return problems
}
