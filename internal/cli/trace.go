package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"firstlight/internal/journal"
	"firstlight/internal/trace"
)

type traceFlags struct {
	file, boot, kept string
	asJSON           bool
	kinds, subjects  []string
	since            string
	width            int
	all              bool
	records          bool
	said             string // the file with what a boot said that failed
	by, format       string
	epoch, output    string
}

func traceCommand() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "trace [list|show|blame|critical-path|why|plot|export|compare|waits|explain|summary]",
		Short: "Look into the journal of a boot",
		Long: `Look into the journal that Firstlight keeps of every boot: what happened when,
why, what it waited for, and where the time went. Without a command it prints
the summary.

It is the running system's boot, ` + journalFile + `, or if that is not there the
newest of those kept in ` + keptDir + `. --boot names another of these,
--file or the last argument any journal. What can be read of a damaged journal is
shown; the lines that cannot be read are named, and the exit code is 3.
docs/trace.md shows what each command prints, docs/journal.md describes the format.

` + exitText,
		Example: `  firstlight trace
  firstlight trace show
  firstlight trace critical-path
  firstlight trace blame --by kind
  firstlight trace why root
  firstlight trace why /dev/sda2 --boot -2
  firstlight trace plot --output boot.svg
  firstlight trace compare -- -2 -1`,
		Args: args(0, 0, "one of its commands"),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, nil, f.summary) },
	}
	fl := c.PersistentFlags()
	fl.StringVar(&f.file, "file", "", "the journal to read")
	fl.StringVar(&f.boot, "boot", "", "the kept boot to read: its number, -1 for the newest, -2 for the one before, or current")
	fl.StringVar(&f.kept, "kept", keptDir, "the directory in which boots are kept")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON; list prints one record a line")
	fl.IntVar(&f.width, "width", 0, "columns (default those of the terminal, else 100)")
	c.AddCommand(f.listCommand(), f.showCommand(), f.blameCommand(), f.criticalPathCommand(), f.whyCommand(), f.plotCommand(),
		f.exportCommand(), f.compareCommand(), f.waitsCommand(), f.explainCommand(), f.replayCommand(), keepCommand(),
		f.view("summary", "Print the figures of a boot and its longest operations",
			`Print when the boot began and ended, how its goals fared, the longest
operations, what went wrong, and how many records there are of each kind.`, f.summary))
	return c
}

// view is a command that shows a whole journal in one way.
func (f *traceFlags) view(name, short, long string, show func(*cobra.Command, *trace.Boot) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " [FILE]", Short: short, Long: long + "\n\n" + exitText,
		Example: "  firstlight trace " + name + "\n  firstlight trace " + name + " --boot -2\n  firstlight trace " + name + " --json boot.journal",
		Args:    args(0, 1, "at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			return f.run(c, a, show)
		},
	}
}

// pick returns the journal to read: the argument, --file, --boot, or that of
// the running system.
func (f *traceFlags) pick(a []string) (string, error) {
	chosen := 0
	for _, is := range []bool{len(a) > 0, f.file != "", f.boot != ""} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return "", usagef("more than one journal is named; give one of FILE, --file and --boot")
	case len(a) > 0:
		return a[0], nil
	case f.file != "":
		return f.file, nil
	}
	return findJournal(journalFile, f.kept, f.boot)
}

// run reads the journal and shows it.
func (f *traceFlags) run(c *cobra.Command, a []string, show func(*cobra.Command, *trace.Boot) error) error {
	name, err := f.pick(a)
	var none *noJournalError
	if errors.As(err, &none) && !f.asJSON {
		text, err := failureText(none.said)
		if err != nil {
			return err
		}
		return printText(c, text)
	}
	if err != nil {
		return err
	}
	f.said = failureBeside(name)
	records, damaged, err := readJournal(name, c.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := show(c, trace.New(records)); err != nil {
		return err
	}
	if damaged {
		return exitError(ExitInvalid)
	}
	return nil
}

// readJournal reads what can be read of a journal and says what cannot.
// damaged says that there is more to it than the end that a crash cut off.
func readJournal(name string, stderr io.Writer) (records []journal.Record, damaged bool, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	records, problems, err := journal.Salvage(file)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	const most = 5
	for i, p := range problems {
		damaged = damaged || !p.Cut
		switch {
		case p.Cut:
			fmt.Fprintf(stderr, "firstlight: %s: its last record was cut off and is left out\n", name)
		case i < most:
			fmt.Fprintf(stderr, "firstlight: %s:%d: %s; left out\n", name, p.Line, p.Why)
		case i == most:
			fmt.Fprintf(stderr, "firstlight: %s: %d problems more; what can be read is shown\n", name, len(problems)-most)
		}
	}
	if len(records) == 0 {
		return nil, false, fmt.Errorf("%s: it holds no record: %w", name, journal.ErrFormat)
	}
	return records, damaged, nil
}

// style is how to write to where the output goes.
func (f *traceFlags) style(c *cobra.Command) trace.Style {
	s := trace.Style{Width: f.width}
	if out, ok := c.OutOrStdout().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		s.Color = useColor()
		if w, _, err := term.GetSize(int(out.Fd())); err == nil && s.Width == 0 {
			s.Width = w
		}
	}
	return s
}

// wide is style with a width.
func (f *traceFlags) wide(c *cobra.Command) trace.Style {
	s := f.style(c)
	if s.Width == 0 {
		s.Width = 100
	}
	return s
}

func (f *traceFlags) list(c *cobra.Command, b *trace.Boot) error {
	since, err := f.sinceTime(b)
	if err != nil {
		return err
	}
	records := b.Select(trace.Filter{Kinds: f.kinds, Subjects: f.subjects, Since: since})
	if !f.asJSON {
		return printText(c, trace.List(records, f.style(c)))
	}
	enc := json.NewEncoder(c.OutOrStdout())
	for i := range records {
		if err := enc.Encode(&records[i]); err != nil {
			return err
		}
	}
	return nil
}

// sinceTime reads --since.
func (f *traceFlags) sinceTime(b *trace.Boot) (time.Duration, error) {
	if f.since == "" {
		return 0, nil
	}
	text, relative := strings.CutPrefix(f.since, "+")
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		return 0, usagef("--since %q is not a time: it is seconds as in 2.5, or +2.5 after the start of /init", f.since)
	}
	if relative {
		d += b.Started
	}
	return d, nil
}

func (f *traceFlags) timeline(c *cobra.Command, b *trace.Boot) error {
	t := b.Timeline()
	if f.asJSON {
		return printJSON(c, t)
	}
	lines, err := f.most(c)
	if err != nil {
		return err
	}
	return f.printBoot(c, t.Text(f.wide(c), lines))
}

func (f *traceFlags) waits(c *cobra.Command, b *trace.Boot) error {
	if f.asJSON {
		return printJSON(c, b.Waits)
	}
	return printText(c, b.WaitTable(f.style(c), f.all))
}

// explained is what explain --json prints.
type explained struct {
	Chain []trace.Link      `json:"chain"`
	LedTo []*journal.Record `json:"led_to"`
}

func (f *traceFlags) explain(c *cobra.Command, b *trace.Boot, n uint64) error {
	if b.Record(n) == nil {
		last := b.Records[len(b.Records)-1].Number
		return fmt.Errorf("there is no record %d; the last one is %d: %w", n, last, fs.ErrNotExist)
	}
	if f.asJSON {
		return printJSON(c, explained{b.Chain(n), b.Effects(n)})
	}
	return printText(c, b.Explain(n, f.style(c)))
}

// longest is how many operations a summary lists.
const longest = 10

func (f *traceFlags) summary(c *cobra.Command, b *trace.Boot) error {
	m := b.Summary(longest)
	if f.asJSON {
		return printJSON(c, m)
	}
	return f.printBoot(c, m.Text(f.style(c)))
}

// printBoot prints what is said of a boot, after what the boot itself said if
// it failed.
func (f *traceFlags) printBoot(c *cobra.Command, text string) error {
	if f.said != "" {
		said, err := failureText(f.said)
		if err != nil {
			return err
		}
		text = said + "\n" + text
	}
	return printText(c, text)
}

func printText(c *cobra.Command, text string) error {
	_, err := io.WriteString(c.OutOrStdout(), text)
	return err
}

func printJSON(c *cobra.Command, v any) error {
	enc := json.NewEncoder(c.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
