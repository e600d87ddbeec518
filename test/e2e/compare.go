package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"firstlight/test/guest/report"
	"firstlight/test/vm"
)

// console is what a person would have seen: a vm.Stream.
type console interface {
	Text() string
	Lines() []vm.Line
}

// compare looks for everything that is wanted in what a boot reported, and
// for what no boot may show.
func compare(w Want, ms []report.Message, con console) (Booted, []string) {
	c := comparison{want: w, console: plain(con.Text())}
	for _, m := range ms {
		switch {
		case m.Boot != nil:
			c.boot = m.Boot
		case m.Debian != nil:
			c.debian = m.Debian
		case m.Note != "":
			c.notes = append(c.notes, m.Note)
		}
	}
	c.booted = Booted{Prompts: prompts(con.Text())}
	for _, n := range c.notes {
		if page, ok := strings.CutPrefix(n, report.SwapOffset); ok {
			c.booted.offset = page
		}
	}
	c.ending()
	switch {
	case c.debian != nil:
		c.system(c.debian)
		if w.peer {
			break
		}
		c.timers(c.booted.Summary)
		c.untouched(c.debian.Requests, report.Files(ms)["journal"])
	case c.boot != nil:
		c.tiny(c.boot)
		c.untouched(c.boot.Requests, report.Files(ms)["journal"])
	}
	if c.booted.Prompts != w.Prompts {
		c.problem("a passphrase was asked for %d times, not %d", c.booted.Prompts, w.Prompts)
	}
	for _, s := range w.Console {
		c.seen(s, con)
	}
	trace := string(report.Files(ms)["trace"])
	for _, pattern := range w.Trace {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(trace) {
			c.problem("firstlight trace says nothing like %q:\n%s", pattern, trace)
		}
	}
	for _, pattern := range w.NoTrace {
		if s := regexp.MustCompile("(?m)" + pattern).FindString(trace); s != "" {
			c.problem("firstlight trace says %q:\n%s", s, trace)
		}
	}
	journal := string(report.Files(ms)["journal"])
	for _, pattern := range w.Journal {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(journal) {
			c.problem("the journal says nothing like %q:\n%s", pattern, journal)
		}
	}
	if strings.Contains(c.console, "Kernel panic") {
		c.problem("the kernel panicked")
	}
	if strings.Contains(c.console, "goroutine 1 [") {
		c.problem("PID 1 panicked")
	}
	return c.booted, c.problems
}

// redrawn is a prompt that is shown again below a message.
var redrawn = regexp.MustCompile("(?s)" + regexp.QuoteMeta(redraw) + ".*?" + promptText)

// prompts counts the questions on a console.
func prompts(text string) int {
	return strings.Count(text, promptText) - len(redrawn.FindAllString(text, -1))
}

type comparison struct {
	want     Want
	console  string
	boot     *report.Boot
	debian   *report.Debian
	notes    []string
	booted   Booted
	problems []string
}

func (c *comparison) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// ending checks which system was started, and that it came to its end.
func (c *comparison) ending() {
	w := c.want
	started := c.boot != nil || c.debian != nil
	switch {
	case w.NoBoot:
		if started {
			c.problem("the real system was started, and must not be")
		}
		return
	case w.Resumed:
		if started {
			c.problem("the real system was started anew instead of resumed")
		}
		if !slices.Contains(c.notes, "resumed") {
			c.problem("the hibernated system did not come back")
		}
	case w.Builds:
	case w.Debian && c.debian == nil:
		c.problem("Debian did not report")
	case !w.Debian && c.boot == nil:
		c.problem("the real init was not started")
	}
	last := "done"
	if w.Hibernates {
		last = "hibernating"
	}
	if len(c.notes) == 0 || c.notes[len(c.notes)-1] != last {
		c.problem("the report does not end with %q: %q", last, c.notes)
	}
}

// handedOver is what the kernel's first process has of each of these when it
// begins: the real init must not notice that another was before it.
var handedOver = map[string]string{
	"Umask": "0022", "SigBlk": "0000000000000000", "SigIgn": "0000000000000000", "ShdPnd": "0000000000000000",
	"NoNewPrivs": "0", "Seccomp": "0", "THP_enabled": "1", "OOM": "0", "Directory": "/", "Files": "",
}

// tiny compares what the test init saw.
func (c *comparison) tiny(b *report.Boot) {
	w := c.want
	c.booted.Summary = b.Summary
	for _, m := range b.Mounts {
		switch m.Dir {
		case "/":
			// The last one listed is on top.
			c.booted.Root = m.Source + " " + m.Type
			c.mount("/", w.Root, m)
			if w.RootDir != "" && m.Root != w.RootDir {
				c.problem("the root is directory %q of its filesystem, not %q", m.Root, w.RootDir)
			}
			for _, o := range w.RootOptions {
				if !slices.Contains(strings.Split(m.Options, ","), o) {
					c.problem("the root is mounted without %q: %s", o, m.Options)
				}
			}
		case "/usr":
			c.mount("/usr", w.Usr, m)
		}
	}
	if w.Usr != "" && !slices.ContainsFunc(b.Mounts, func(m report.Mount) bool { return m.Dir == "/usr" }) {
		c.problem("/usr is not mounted")
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if !slices.ContainsFunc(b.Mounts, func(m report.Mount) bool { return m.Dir == dir }) {
			c.problem("%s is not mounted", dir)
		}
	}
	var mounts []string
	for _, m := range b.Mounts {
		mounts = append(mounts, m.Dir+" "+m.Source+" "+m.Type+" "+m.Options)
	}
	c.all("mounts", w.Mounts, mounts)
	c.all("arrays", w.Arrays, b.MD)
	c.all("mapped devices", w.Mapped, b.DM)
	for _, l := range w.Links {
		if b.Links[l] == "" {
			c.problem("no link %s", l)
		}
	}
	for _, l := range w.NoLinks {
		if to := b.Links[l]; to != "" {
			c.problem("there is a link %s to %s", l, to)
		}
	}
	if len(b.Argv) == 0 || !slices.Equal(b.Argv[1:], append([]string{}, w.Argv...)) {
		c.problem("init was started as %q, with other arguments than %q", b.Argv, w.Argv)
	}
	for _, v := range append([]string{"HOME=/", "TERM=linux"}, w.Env...) {
		if !slices.Contains(b.Env, v) {
			c.problem("init was started without %s in its environment: %q", v, b.Env)
		}
	}
	if b.PID != 1 {
		c.problem("init is process %d", b.PID)
	}
	if len(b.OldRoot) > 0 {
		c.problem("%v", b.OldRoot)
	}
	var daemons, left []string
	for _, p := range b.Processes {
		if _, cmdline, _ := strings.Cut(p, " "); strings.HasPrefix(cmdline, "@") {
			daemons = append(daemons, cmdline)
		} else {
			left = append(left, p)
		}
	}
	c.all("daemons", w.Daemons, daemons)
	if len(left) > 0 || len(daemons) > 0 && w.Daemons == nil {
		c.problem("processes were left behind: %q", b.Processes)
	}
	for key, want := range handedOver {
		if got, ok := b.Inherited[key]; !ok || got != want {
			c.problem("init inherits %s %q, not %q as from the kernel", key, got, want)
		}
	}
	if b.Journal <= 0 {
		c.problem("no journal in /run/firstlight")
	}
	c.timers(b.Summary)
}

// timers checks that nothing but events moved the boot.
func (c *comparison) timers(summary map[string]string) {
	fired, ok := summary[firedKey]
	switch {
	case !ok:
		c.problem("the summary in /run/firstlight has no %q", firedKey)
	case fired != "0" && !c.want.Timers:
		c.problem("%s deadlines passed on a boot that needs none", fired)
	}
}

// mount compares a mount with what is wanted of it, if anything.
func (c *comparison) mount(dir, want string, m report.Mount) {
	if want != "" && !full(want).MatchString(m.Source+" "+m.Type) {
		c.problem("%s is %q, not %q", dir, m.Source+" "+m.Type, want)
	}
}

// all checks that each expression matches one of the lines.
func (c *comparison) all(what string, want, lines []string) {
	for _, pattern := range want {
		if !slices.ContainsFunc(lines, full(pattern).MatchString) {
			c.problem("none of the %s %q is %q", what, lines, pattern)
		}
	}
}

func full(pattern string) *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") }

// seen looks for text on the console, and for its time.
func (c *comparison) seen(s Seen, con console) {
	if !s.Text.MatchString(c.console) {
		c.problem("nothing on the console matches %q", s.Text)
		return
	}
	for _, l := range con.Lines() {
		if s.NotBefore > 0 && s.Text.MatchString(plain(l.Text)) && l.At < s.NotBefore {
			c.problem("%q was on the console after %v already", s.Text, l.At)
		}
	}
}

// system compares what a real Debian says of its boot.
func (c *comparison) system(d *report.Debian) {
	c.booted.State = d.State
	c.booted.Analyze, _, _ = strings.Cut(d.Analyze, "\n")
	if d.State != "running" {
		c.problem("systemctl is-system-running: %s", d.State)
	}
	if d.Failed != "" {
		c.problem("systemctl --failed: %s", d.Failed)
	}
	if d.Target != "active" {
		c.problem("multi-user.target is %s", d.Target)
	}
	if !c.want.peer && !strings.Contains(d.Analyze, "(initrd)") {
		c.problem("systemd-analyze does not know of an initrd: %s", d.Analyze)
	}
	if strings.Contains(d.Log, "ordering cycle") {
		c.problem("a unit is ordered in a cycle: %s", d.Log)
	}
	for _, pattern := range c.want.Mapped {
		if !regexp.MustCompile(pattern).MatchString(d.Lsblk) {
			c.problem("lsblk shows no %q", pattern)
		}
		// By path: systemd escapes what it makes a unit's name of.
		if !regexp.MustCompile(`(?m)\.device +loaded +active +plugged +/dev/mapper/` + pattern + `\s*$`).MatchString(d.Units) {
			c.problem("no device unit is ready for %q", pattern)
		}
	}
	summary := map[string]string{}
	for line := range strings.Lines(d.Summary) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			summary[k] = v
		}
	}
	c.booted.Summary = summary
}

// escapes are the terminal's control sequences.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]")

// plain is console text without control sequences.
func plain(text string) string { return escapes.ReplaceAllString(text, "") }
