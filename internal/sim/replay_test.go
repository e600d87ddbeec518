package sim_test

import (
	"bytes"
	"testing"

	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
	"firstlight/internal/sim"
)

// replays fails unless what the core was given leads to the same decisions
// again, and holds no secret.
func replays(t *testing.T, m *sim.Machine) {
	t.Helper()
	if !m.Record {
		return
	}
	if bytes.Contains(m.Inputs, []byte(passphrase)) {
		t.Error("the passphrase is in the inputs")
	}
	rec, err := inputs.Read(bytes.NewReader(m.Inputs))
	if err != nil {
		t.Fatal(err)
	}
	want, err := journal.Read(bytes.NewReader(m.Journal))
	if err != nil {
		t.Fatal(err)
	}
	res, err := replay.Run(rec, want, replay.Options{Handlers: m.Handlers})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Equal() || res.Compared != len(want) || len(res.Notes) > 0 || len(res.Unknown) > 0 {
		t.Errorf("the replay of %d records: %d equal, notes %q, unknown %q;\nrecorded %+v\nreplayed %+v", len(want), res.Compared, res.Notes, res.Unknown, res.Want, res.Got)
	}
}
