package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firstlight/internal/trace"
)

// defaultLines is how many lines a table has if not told.
const defaultLines = 20

func (f *traceFlags) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [FILE]",
		Short: "List the boots that are kept, or the records of one",
		Long: `Without an argument, list the boots that are kept and the running system's. With
a journal, --boot, --records or a filter, list the records of that boot in order:
number, seconds since the start of the kernel, the record that caused it, kind,
subject and text.

` + exitText,
		Example: `  firstlight trace list
  firstlight trace list --boot 12
  firstlight trace list --records --subject vda
  firstlight trace list --kind decision,goal,switch-root boot.journal
  firstlight trace list --json --records | jq -r 'select(.kind == "warning") | .text'`,
		Args: args(0, 1, "at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) > 0 || f.file != "" || f.boot != "" || f.records || f.since != "" || len(f.kinds)+len(f.subjects) > 0 {
				return f.run(c, a, f.list)
			}
			boots, err := listBoots(journalFile, f.kept)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(c, boots)
			}
			return printText(c, bootsText(boots, f.kept))
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.records, "records", false, "the records of the running system's boot, not the boots")
	fl.StringSliceVar(&f.kinds, "kind", nil, "only records of this kind; may be repeated, or several with commas")
	fl.StringArrayVar(&f.subjects, "subject", nil, "only records whose subject contains this; may be repeated")
	fl.StringVar(&f.since, "since", "", "only records from this time on: seconds since the start of the kernel, or +SECONDS since that of /init")
	return c
}

func (f *traceFlags) showCommand() *cobra.Command {
	c := f.view("show", "Draw the boot over time, with what decided its length",
		`Draw what happened over time: a line for each device, array, volume and goal,
below what led to it. Lines on the critical path are marked with a star; that
is the chain of causes from the decision to start the real system back to the
first event. Devices for which nothing was to be done are left out and counted.`, f.timeline)
	c.Aliases = []string{"timeline"}
	f.lineFlags(c, trace.DefaultLines, "subjects to show at most", "show every subject")
	return c
}

func (f *traceFlags) lineFlags(c *cobra.Command, lines int, help, all string) {
	c.Flags().Int("lines", lines, help)
	c.Flags().BoolVar(&f.all, "all", false, all)
}

// most is how many lines are shown; 0 is all.
func (f *traceFlags) most(c *cobra.Command) (int, error) {
	lines, err := c.Flags().GetInt("lines")
	switch {
	case err != nil:
		return 0, err
	case lines < 1:
		return 0, usagef("--lines %d: it is at least 1", lines)
	case f.all:
		return 0, nil
	}
	return lines, nil
}

func (f *traceFlags) waitsCommand() *cobra.Command {
	c := f.view("waits", "Say what waited for what, for how long, and who woke it",
		`List every wait in order: who waited, for how long, for what, and which device,
volume or goal ended the wait, or that a deadline did.`, f.waits)
	c.Flags().BoolVar(&f.all, "all", false, "also those that ended at once")
	return c
}

func (f *traceFlags) blameCommand() *cobra.Command {
	c := f.view("blame", "Say what took how long, work apart from waits",
		`List what took the time, the longest first: operations, and apart from them
waits, which cost nothing themselves. The column "critical" says how much of an
operation was on the critical path; the rest ran beside something else that took
longer, and a faster one would not have made the boot shorter.

--by adds up: operation (each for itself), kind (a handler's operations that do the
same to different things), queue (a device, an array, a volume …), handler.`, f.blame)
	c.Example = `  firstlight trace blame
  firstlight trace blame --by kind
  firstlight trace blame --by handler --json`
	c.Flags().StringVar(&f.by, "by", string(trace.ByOperation), "operation, kind, queue or handler")
	f.lineFlags(c, defaultLines, "lines of each table at most", "show every line")
	return c
}

func (f *traceFlags) blame(c *cobra.Command, b *trace.Boot) error {
	if !slices.Contains(trace.Bys(), trace.By(f.by)) {
		return usagef("--by %q: it is operation, kind, queue or handler", f.by)
	}
	lines, err := f.most(c)
	if err != nil {
		return err
	}
	m := b.Blame(trace.By(f.by))
	if f.asJSON {
		return printJSON(c, m)
	}
	return printText(c, m.Text(f.wide(c), lines))
}

func (f *traceFlags) criticalPathCommand() *cobra.Command {
	c := f.view("critical-path", "Print the chain that determined when the real system was started",
		`Print the chain of causes that determined when the real system was started, from
the start of the kernel, link by link: what took the time, or what was waited for.
The times add up to the whole. Shorter links in a row are put together. A line with
an arrow says how long what follows had been held up before, and by what.

Where an event had to wait for its turn because its queue was still busy, the chain
goes on with what kept the queue busy. Of a boot that failed it is the chain to the
last change of a goal.`, f.criticalPath)
	c.Flags().BoolVar(&f.all, "all", false, "print every link")
	return c
}

func (f *traceFlags) criticalPath(c *cobra.Command, b *trace.Boot) error {
	p := b.CriticalPath()
	if f.asJSON {
		return printJSON(c, p)
	}
	return printText(c, p.Text(f.wide(c), f.all))
}

func (f *traceFlags) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "why GOAL|DEVICE|QUEUE [FILE]",
		Short: "Say why a goal, a device or a queue came to be as it is",
		Long: `Say in words why something came about: what was done, after what, back to the input
that it began with. Of what did not come about it says also what was still missing
and waited for at the end.

It is named as a goal (root, init …), a device (its node, name, UUID=, LABEL= or a part
of its path), a queue (md, luks, vg NAME …) or the number of a record.

` + exitText,
		Example: `  firstlight trace why root
  firstlight trace why /dev/sda2
  firstlight trace why UUID=0c4e6a9b-5c0f-4e19-8b5c-6d1a6f4ce4ab
  firstlight trace why luks boot.journal`,
		Args: args(1, 2, "what to explain, and at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			return f.run(c, a[1:], func(c *cobra.Command, b *trace.Boot) error { return f.why(c, b, a[0]) })
		},
	}
}

func (f *traceFlags) why(c *cobra.Command, b *trace.Boot, name string) error {
	targets := b.Find(name)
	const most = 12
	switch n := len(targets); {
	case n == 0:
		return fmt.Errorf("the journal has no goal, device or queue %q; firstlight trace show --all lists what it has: %w", name, fs.ErrNotExist)
	case n > 1:
		var names []string
		for _, t := range targets[:min(n, most)] {
			names = append(names, "  "+trace.Clean(t.Subject)+"  "+trace.Clean(t.Title))
		}
		if n > most {
			names = append(names, fmt.Sprintf("  … and %d more", n-most))
		}
		return usagef("%q may be any of these; name one of them:\n%s", name, strings.Join(names, "\n"))
	}
	r := b.Why(targets[0])
	if f.asJSON {
		return printJSON(c, r)
	}
	return printText(c, r.Text(f.wide(c)))
}

func (f *traceFlags) plotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plot [FILE]",
		Short: "Draw the boot as a picture (SVG)",
		Long: `Draw the boot as an SVG picture that any browser shows: a row for each device and
queue, operations filled, waits hatched, the critical path as a line through them.
It stands for itself, is light or dark as the viewer's preference is, and tells more
where the pointer rests.

` + exitText,
		Example: `  firstlight trace plot > boot.svg
  firstlight trace plot --output boot.svg
  firstlight trace plot --all boot.journal | display`,
		Args: args(0, 1, "at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			return f.run(c, a, func(c *cobra.Command, b *trace.Boot) error {
				lines, err := f.most(c)
				if err != nil {
					return err
				}
				return f.write(c, func(c *cobra.Command) error { return printText(c, b.SVG(lines)) })
			})
		},
	}
	c.Flags().StringVarP(&f.output, "output", "o", "", "the file to write (default standard output)")
	f.lineFlags(c, trace.DefaultLines, "rows to show at most", "show every row")
	return c
}

// write lets print write to --output, or to where output goes.
func (f *traceFlags) write(c *cobra.Command, print func(*cobra.Command) error) (err error) {
	if f.output == "" || f.output == "-" {
		return print(c)
	}
	file, err := os.Create(f.output)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	buffered := bufio.NewWriter(file)
	c.SetOut(buffered)
	defer c.SetOut(out)
	return errors.Join(print(c), buffered.Flush(), file.Close())
}

func (f *traceFlags) exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Convert a boot for other programs",
		Long: `Convert a boot for other programs:

  json       everything that is known of the boot: records, operations, waits,
             timeline, critical path, devices
  perfetto   the Trace Event Format, for ui.perfetto.dev and chrome://tracing
  otlp-json  spans of the OpenTelemetry protocol, as a collector's file receiver and
             its HTTP endpoint /v1/traces take them

OpenTelemetry wants the time of day, which a journal does not know. --epoch says when
the kernel started; without it that is reckoned from when the journal was last
written.

` + exitText,
		Example: `  firstlight trace export --format perfetto > boot.trace.json
  firstlight trace export --format json --output boot.json --boot -2
  firstlight trace export --format otlp-json |
    curl --data-binary @- -H content-type:application/json http://localhost:4318/v1/traces`,
		Args: args(0, 1, "at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			name, err := f.pick(a)
			if err != nil {
				return err
			}
			return f.run(c, a, func(c *cobra.Command, b *trace.Boot) error {
				v, err := f.exported(b, name)
				if err != nil {
					return err
				}
				return f.write(c, func(c *cobra.Command) error { return printJSON(c, v) })
			})
		},
	}
	c.Flags().StringVar(&f.format, "format", "json", "json, perfetto or otlp-json")
	c.Flags().StringVar(&f.epoch, "epoch", "", "for otlp-json: when the kernel started, as in 2006-01-02T15:04:05Z or seconds since 1970")
	c.Flags().StringVarP(&f.output, "output", "o", "", "the file to write (default standard output)")
	return c
}

func (f *traceFlags) exported(b *trace.Boot, name string) (any, error) {
	if f.epoch != "" && f.format != "otlp-json" {
		return nil, usagef("--epoch is for --format otlp-json")
	}
	switch f.format {
	case "json":
		return b.Export(), nil
	case "perfetto":
		return b.Perfetto(), nil
	case "otlp-json":
		epoch, err := f.epochTime(b, name)
		if err != nil {
			return nil, err
		}
		return b.OTLP(epoch), nil
	}
	return nil, usagef("--format %q: it is json, perfetto or otlp-json", f.format)
}

// epochTime is when the kernel of a boot started.
func (f *traceFlags) epochTime(b *trace.Boot, name string) (time.Time, error) {
	if f.epoch == "" {
		st, err := os.Stat(name)
		if err != nil {
			return time.Time{}, err
		}
		return st.ModTime().Add(-b.Ended), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, f.epoch); err == nil {
		return t, nil
	}
	s, err := strconv.ParseFloat(f.epoch, 64)
	if err != nil || !(s >= 0 && s < 1<<32) {
		return time.Time{}, usagef("--epoch %q is not a time: it is like 2006-01-02T15:04:05Z, or seconds since 1970", f.epoch)
	}
	return time.Unix(0, int64(s*float64(time.Second))), nil
}

func (f *traceFlags) compareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "compare A [B]",
		Short: "Say what became slower or faster between two boots, and why",
		Long: `Compare two boots. First, why the time to the real system changed: what each thing
contributed to the two critical paths; the differences add up to that of the whole.
Then the operations that took longer or shorter, those that are new, and those that
are missing.

Devices are the same if their content has the same identity, or if they are plugged
in at the same place; how the kernel numbers them does not matter.

A and B are files, numbers of kept boots (-1 is the newest; write -- before it), or
current. Without B it is the running system's boot.

` + exitText,
		Example: `  firstlight trace compare before.journal after.journal
  firstlight trace compare 11 12
  firstlight trace compare -- -2 -1
  firstlight trace compare 11`,
		Args: args(1, 2, "two boots"),
		RunE: f.compare,
	}
	f.lineFlags(c, defaultLines, "lines of each table at most", "show every line")
	return c
}

func (f *traceFlags) compare(c *cobra.Command, a []string) error {
	lines, err := f.most(c)
	if err != nil {
		return err
	}
	if f.file != "" || f.boot != "" {
		return usagef("compare takes its two boots as arguments, not with --file or --boot")
	}
	if len(a) == 1 {
		a = append(a, "")
	}
	var boots [2]*trace.Boot
	anyDamaged := false
	for i, name := range a {
		file := name
		if _, err := os.Stat(name); name == "" || errors.Is(err, fs.ErrNotExist) && isBoot(name) {
			if file, err = findJournal(journalFile, f.kept, name); err != nil {
				return err
			}
		}
		records, damaged, err := readJournal(file, c.ErrOrStderr())
		if err != nil {
			return err
		}
		anyDamaged = anyDamaged || damaged
		boots[i] = trace.New(records)
		if name == "" {
			a[i] = file
		}
	}
	m := trace.Compare(boots[0], boots[1])
	if f.asJSON {
		err = printJSON(c, m)
	} else {
		err = printText(c, m.Text(f.wide(c), lines, a[0], a[1]))
	}
	if err == nil && anyDamaged {
		return exitError(ExitInvalid)
	}
	return err
}

func isBoot(name string) bool {
	_, err := strconv.Atoi(name)
	return err == nil || name == "current"
}

func (f *traceFlags) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain RECORD [FILE]",
		Short: "Say why a record came about",
		Long: `Print the chain of causes of a record, from the first event to the record, with
the time that passed between, and what the record led to.

` + exitText,
		Example: "  firstlight trace explain 118\n  firstlight trace explain $(firstlight trace list --records --json | jq 'select(.kind == \"switch-root\").number')",
		Args:    args(1, 2, "the number of a record, and at most one journal"),
		RunE: func(c *cobra.Command, a []string) error {
			n, err := strconv.ParseUint(strings.TrimPrefix(a[0], "#"), 10, 64)
			if err != nil || n == 0 {
				return usagef("%q is not the number of a record", a[0])
			}
			return f.run(c, a[1:], func(c *cobra.Command, b *trace.Boot) error { return f.explain(c, b, n) })
		},
	}
}
