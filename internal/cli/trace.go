package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"firstlight/internal/journal"
	"firstlight/internal/trace"
)

// journalFile is where a boot leaves its journal for the real system.
const journalFile = "/run/firstlight/journal"

type traceFlags struct {
	file            string
	asJSON          bool
	kinds, subjects []string
	since           string
	lines, width    int
	all             bool
}

func traceCommand() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "trace [list|timeline|waits|explain|summary]",
		Short: "Look into the journal of a boot",
		Long: `Look into the journal that Firstlight keeps of every boot: what happened when,
why, what it waited for, and where the time went. Without a command it prints
the summary. The journal of the last boot is ` + journalFile + `; another one is
given by --file or as the last argument. docs/journal.md describes the format.

` + exitText,
		Example: `  firstlight trace
  firstlight trace timeline
  firstlight trace list --kind do,result --since 2.5
  firstlight trace waits
  firstlight trace explain 118`,
		Args: args(0, 0, "one of the commands list, timeline, waits, explain, summary"),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, f.file, f.summary) },
	}
	fl := c.PersistentFlags()
	fl.StringVar(&f.file, "file", journalFile, "the journal to read")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON; list prints one record a line")
	fl.IntVar(&f.width, "width", 0, "columns (default those of the terminal, else 100)")
	timeline := f.view("timeline", "Draw the boot over time, with what decided its length",
		`Draw what happened over time: a line for each device, array, volume and goal,
below what led to it. Lines on the critical path are marked with a star; that
is the chain of causes from the decision to start the real system back to the
first event. Devices for which nothing was to be done are left out and counted.`, f.timeline)
	waits := f.view("waits", "Say what waited for what, for how long, and who woke it",
		`List every wait in order: who waited, for how long, for what, and which device,
volume or goal ended the wait, or that a deadline did.`, f.waits)
	waits.Flags().BoolVar(&f.all, "all", false, "also those that ended at once")
	timeline.Flags().IntVar(&f.lines, "lines", trace.DefaultLines, "subjects to show at most")
	timeline.Flags().BoolVar(&f.all, "all", false, "show every subject")
	c.AddCommand(f.listCommand(), timeline,
		waits,
		f.explainCommand(), replayCommand(), keepCommand(),
		f.view("summary", "Print the figures of a boot and its longest operations",
			`Print when the boot began and ended, how its goals fared, the longest
operations, what went wrong, and how many records there are of each kind.`, f.summary))
	return c
}

// view is a command that shows a whole journal in one way.
func (f *traceFlags) view(name, short, long string, show func(*cobra.Command, *trace.Boot) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " [FILE]", Short: short, Long: long + "\n\n" + exitText,
		Example: "  firstlight trace " + name + "\n  firstlight trace " + name + " --json",
		Args:    args(0, 1, "at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			return f.run(c, f.named(a), show)
		},
	}
}

func (f *traceFlags) named(a []string) string {
	if len(a) > 0 {
		return a[0]
	}
	return f.file
}

func (f *traceFlags) listCommand() *cobra.Command {
	c := f.view("list", "List the records",
		`List the records of a journal in order: number, seconds since the start of the
kernel, the record that caused it, kind, subject and text.`, f.list)
	c.Example = `  firstlight trace list --subject vda
  firstlight trace list --kind decision,goal,switch-root
  firstlight trace list --json | jq -r 'select(.kind == "warning") | .text'`
	fl := c.Flags()
	fl.StringSliceVar(&f.kinds, "kind", nil, "only records of this kind; may be repeated, or several with commas")
	fl.StringArrayVar(&f.subjects, "subject", nil, "only records whose subject contains this; may be repeated")
	fl.StringVar(&f.since, "since", "", "only records from this time on: seconds since the start of the kernel, or +SECONDS since that of /init")
	return c
}

func (f *traceFlags) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain RECORD [FILE]",
		Short: "Say why a record came about",
		Long: `Print the chain of causes of a record, from the first event to the record, with
the time that passed between, and what the record led to.

` + exitText,
		Example: "  firstlight trace explain 118\n  firstlight trace explain $(firstlight trace list --json | jq 'select(.kind == \"switch-root\").number')",
		Args:    args(1, 2, "the number of a record, and at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			n, err := strconv.ParseUint(strings.TrimPrefix(a[0], "#"), 10, 64)
			if err != nil || n == 0 {
				return usagef("%q is not the number of a record", a[0])
			}
			return f.run(c, f.named(a[1:]), func(c *cobra.Command, b *trace.Boot) error { return f.explain(c, b, n) })
		},
	}
}

// run reads the journal and shows it.
func (f *traceFlags) run(c *cobra.Command, name string, show func(*cobra.Command, *trace.Boot) error) error {
	records, err := readJournal(name, c.ErrOrStderr())
	if err != nil {
		return err
	}
	return show(c, trace.New(records))
}

// readJournal reads a journal; a record that a crash has cut off is said and
// left out.
func readJournal(name string, stderr io.Writer) ([]journal.Record, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && name == journalFile {
		return nil, fmt.Errorf("%w: this system was not started by Firstlight, or /run was emptied since", err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	records, cut, err := journal.ReadCut(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if cut {
		fmt.Fprintf(stderr, "firstlight: %s: its last record was cut off and is left out\n", name)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%s: it holds no record: %w", name, journal.ErrFormat)
	}
	return records, nil
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
	if f.lines < 1 {
		return usagef("--lines %d: it is at least 1", f.lines)
	}
	lines := f.lines
	if f.all {
		lines = 0
	}
	s := f.style(c)
	if s.Width == 0 {
		s.Width = 100
	}
	return printText(c, t.Text(s, lines))
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
	return printText(c, m.Text(f.style(c)))
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
