package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"firstlight/internal/handler/all"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/replay"
)

// Exit codes of replay, which are those of diff(1).
const (
	replayEqual   = 0
	replayDiffers = 1
	replayUnknown = 2
)

// runDir is where a boot leaves its records for the real system.
const runDir = "/run/firstlight"

// Names of the records in a directory of them.
const (
	journalName = "journal"
	inputsName  = "inputs"
)

func (f *traceFlags) replayCommand() *cobra.Command {
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:   "replay [DIR|INPUTS|JOURNAL]",
		Short: "Feed a recorded boot to this build and say where it decides otherwise",
		Long: `Feed what the deciding core was given in a recorded boot to the core of this
build, and compare all that it decides with the journal of that boot. The first
record that differs is printed as it was and as it is now, with the chain of
causes that led to it.

A boot leaves the two files that this needs, journal and inputs, in
` + runDir + `; they can be compressed with zstd (.zst). Either of them, or the
directory that they are in, is given as the argument. A directory that
"bug-report --to-case" made is one too.

Nothing of the machine that this runs on enters, and nothing is done to it: the
results of all operations are those of the recorded boot.

Exit codes: 0 all records are equal; 1 one differs; 2 it cannot be replayed.`,
		Example: `  sudo firstlight trace replay
  sudo firstlight trace replay --boot -1
  firstlight trace replay --json case/ | jq .want`,
		Args:          args(0, 1, "at most one record"),
		SilenceErrors: true,
		RunE: func(c *cobra.Command, a []string) error {
			where, err := f.recordsOf(a)
			var res *replay.Result
			if err == nil {
				res, err = replayOf(where)
			}
			if err != nil {
				say(c.ErrOrStderr(), err)
				return exitError(replayUnknown)
			}
			for _, n := range res.Notes {
				fmt.Fprintf(c.ErrOrStderr(), "firstlight: note: %s\n", n)
			}
			if !quiet {
				if err := printReplay(c.OutOrStdout(), res, asJSON); err != nil {
					return err
				}
			}
			if !res.Equal() {
				return exitError(replayDiffers)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing; the exit code says it")
	return c
}

// recordsOf is where the records are that the command line names.
func (f *traceFlags) recordsOf(a []string) (string, error) {
	switch {
	case len(a) > 0:
		return a[0], nil
	case f.file != "":
		return f.file, nil
	case f.boot != "":
		return findJournal(journalFile, f.kept, f.boot)
	}
	return runDir, nil
}

// replayOf replays the records at where.
func replayOf(where string) (*replay.Result, error) {
	dir := where
	if st, err := os.Stat(where); err != nil {
		return nil, missingRecord(err)
	} else if !st.IsDir() {
		dir = filepath.Dir(where)
	}
	in, err := readRecord(dir, inputsName)
	if err != nil {
		return nil, missingRecord(err)
	}
	rec, err := inputs.Read(bytes.NewReader(in))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, inputsName), err)
	}
	text, err := readRecord(dir, journalName)
	if err != nil {
		return nil, missingRecord(err)
	}
	want, cut, err := journal.ReadCut(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, journalName), err)
	}
	res, err := replay.Run(rec, want, replay.Options{Handlers: all.Handlers()})
	if err == nil && cut {
		res.Notes = append(res.Notes, "the journal's last record was cut off")
	}
	return res, err
}

func missingRecord(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (this system was not started by Firstlight, or by one that kept no record of inputs)", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (root alone may read what a boot was given)", err)
	}
	return err
}

// maxRecord bounds a record, in bytes.
const maxRecord = 64 << 20

// readRecord reads a record of a boot, which may be compressed.
func readRecord(dir, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	packed, perr := os.Open(filepath.Join(dir, name+".zst"))
	if perr != nil {
		return nil, err
	}
	defer packed.Close()
	return unpack(packed, name)
}

func unpack(r io.Reader, name string) ([]byte, error) {
	z, err := zstd.NewReader(bufio.NewReader(r), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord))
	if err != nil {
		return nil, fmt.Errorf("%s.zst: %w", name, err)
	}
	defer z.Close()
	b, err := io.ReadAll(io.LimitReader(z, maxRecord+1))
	if err == nil && len(b) > maxRecord {
		err = fmt.Errorf("larger than %d bytes", maxRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.zst: %w", name, err)
	}
	return b, nil
}

// replayJSON is what --json prints.
type replayJSON struct {
	Equal    bool             `json:"equal"`
	Compared int              `json:"compared"`
	Inputs   int              `json:"inputs"`
	Want     *journal.Record  `json:"want"`
	Got      *journal.Record  `json:"got"`
	Chain    []journal.Record `json:"chain"`
	Notes    []string         `json:"notes"`
	Unknown  []string         `json:"unknown"`
}

func printReplay(w io.Writer, res *replay.Result, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(replayJSON{res.Equal(), res.Compared, res.Inputs, res.Want, res.Got, res.Chain, res.Notes, res.Unknown})
	}
	var b strings.Builder
	if res.Equal() {
		fmt.Fprintf(&b, "All %d records are equal; %d inputs were replayed.\n", res.Compared, res.Inputs)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "The first %d records are equal. The next one differs:\n\n", res.Compared)
	b.WriteString("  recorded  " + recordLine(res.Want) + "\n")
	b.WriteString("  now       " + recordLine(res.Got) + "\n")
	if len(res.Chain) > 0 {
		b.WriteString("\nWhat led to it:\n\n")
		for i := range res.Chain {
			b.WriteString("  " + recordLine(&res.Chain[i]) + "\n")
		}
	}
	if len(res.Unknown) > 0 {
		fmt.Fprintf(&b, "\nThis build asks what the recorded one did not: %s\n", strings.Join(res.Unknown[:min(len(res.Unknown), 5)], ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// recordLine is a record on one line; its text may be as long as it is.
func recordLine(r *journal.Record) string {
	if r == nil {
		return "(nothing: it ended before)"
	}
	text := strings.ReplaceAll(r.Text, "\n", " ⏎ ")
	if len(r.Fields) > 0 {
		text += "  [" + strings.Join(r.Fields, " ") + "]"
	}
	return fmt.Sprintf("#%d  %.6f s  ← #%d  %s  %s  %s", r.Number, r.Time.Seconds(), r.Cause, r.Kind, r.Subject, text)
}
