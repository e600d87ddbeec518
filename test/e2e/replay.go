package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
	"firstlight/test/disks"
	"firstlight/test/host"
)

// secretWord is the value of a parameter that names a password.
const secretWord = "Tr0ub4dor"

// leaks looks for secrets in what a boot has left behind.
func leaks(files map[string][]byte) (found []string) {
	for name, data := range files {
		texts := [][]byte{data}
		if z, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			b, err := io.ReadAll(z)
			if err != nil {
				found = append(found, fmt.Sprintf("%s: %v", name, err))
			}
			texts = append(texts, b)
		}
		for _, secret := range []string{disks.Key, disks.Passphrase, secretWord} {
			if slices.ContainsFunc(texts, func(b []byte) bool { return bytes.Contains(b, []byte(secret)) }) {
				found = append(found, fmt.Sprintf("%s holds the secret %q", name, secret))
			}
		}
	}
	return found
}

// caseOf makes a test case of a report that a guest has made of itself, which
// has to replay as its boot went.
func (r *Runner) caseOf(ctx context.Context, report, dir string) error {
	if _, err := os.Stat(report); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := host.Run(ctx, r.Firstlight, "bug-report", "--to-case", dir, report); err != nil {
		return err
	}
	_, err := host.Run(ctx, r.Firstlight, "trace", "replay", dir)
	return err
}

// replays feeds what a real boot was given to the core again: it has to
// decide the same. A root from before the record was kept sends none.
func replays(files map[string][]byte) []string {
	if files["inputs.gz"] == nil || files["journal"] == nil {
		return nil
	}
	res, err := replayed(files["inputs.gz"], files["journal"])
	if err != nil {
		return []string{"the record of the boot: " + err.Error()}
	}
	if !res.Equal() {
		return []string{fmt.Sprintf("the replay differs after %d records: recorded %+v, replayed %+v", res.Compared, res.Want, res.Got)}
	}
	return nil
}

func replayed(packed, text []byte) (*replay.Result, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	rec, err := inputs.Read(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	want, err := journal.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return replay.Run(rec, want, replay.Options{Handlers: all.Handlers()})
}
