package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
	"firstlight/test/disks"
)

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
	for _, secret := range []string{disks.Key, disks.Passphrase} {
		if bytes.Contains(b, []byte(secret)) {
			return nil, fmt.Errorf("it holds the key or the passphrase %q", secret)
		}
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
