package e2e

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"firstlight/test/guest/report"
	"firstlight/test/vm"
)

// fakeConsole is a console on which everything was shown at once.
type fakeConsole string

func (c fakeConsole) Text() string     { return string(c) }
func (c fakeConsole) Lines() []vm.Line { return nil }

// mounting is a journal in which the root is mounted after three seconds.
const mounting = "firstlight-journal 1\n1\t3000000\t0\tdo\troot\tmount /dev/vda1 on /sysroot as ext4, flags 0x1, options \"\"\n"

// good is what a boot without trouble reports.
func good() *report.Boot {
	b := &report.Boot{Requests: &report.Requests{Reads: map[string]int{"d0": 9}, Micros: 5_000_000}, PID: 1, Argv: []string{"/sbin/init"}, Env: []string{"HOME=/", "TERM=linux"}, Journal: 100,
		Summary: map[string]string{firedKey: "0"}, Inherited: maps.Clone(handedOver)}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		b.Mounts = append(b.Mounts, report.Mount{Dir: dir})
	}
	b.Mounts = append(b.Mounts, report.Mount{Dir: "/", Source: "/dev/vda1", Type: "ext4", Options: "ro,relatime", Root: "/"})
	return b
}

// Every way in which a boot can be wrong is a problem, and a boot that is
// right has none.
func TestCompareFindsWhatIsWrong(t *testing.T) {
	want := Want{Root: "/dev/vda1 ext4", RootOptions: []string{"ro"}}
	for name, c := range map[string]struct {
		change  func(b *report.Boot, w *Want)
		console string
		problem string
	}{
		"nothing": {func(*report.Boot, *Want) {}, "", ""},
		"root":    {func(b *report.Boot, _ *Want) { b.Mounts[4].Source = "/dev/vdb" }, "", "/ is"},
		"old link": {func(b *report.Boot, w *Want) {
			b.Links, w.NoLinks = map[string]string{"/dev/disk/x": "/dev/vda"}, []string{"/dev/disk/x"}
		}, "",
			"there is a link"},
		"options":  {func(b *report.Boot, _ *Want) { b.Mounts[4].Options = "rw" }, "", "without"},
		"dev":      {func(b *report.Boot, _ *Want) { b.Mounts[0].Dir = "/x" }, "", "/dev is not mounted"},
		"usr":      {func(_ *report.Boot, w *Want) { w.Usr = "/dev/vda2 ext4" }, "", "/usr"},
		"timer":    {func(b *report.Boot, _ *Want) { b.Summary[firedKey] = "2" }, "", "deadlines"},
		"timer ok": {func(b *report.Boot, w *Want) { b.Summary[firedKey], w.Timers = "2", true }, "", ""},
		"summary":  {func(b *report.Boot, _ *Want) { b.Summary = nil }, "", "summary"},
		"journal":  {func(b *report.Boot, _ *Want) { b.Journal = -1 }, "", "journal"},
		"daemon":   {func(b *report.Boot, w *Want) { b.Processes = []string{"7 @sbin/mdmon md127"} }, "", "left behind"},
		"daemon ok": {func(b *report.Boot, w *Want) {
			b.Processes, w.Daemons = []string{"7 @sbin/mdmon md127"}, []string{`@\S*mdmon .*`}
		}, "", ""},
		"no daemon":  {func(b *report.Boot, w *Want) { w.Daemons = []string{"@.*"} }, "", "daemons"},
		"process":    {func(b *report.Boot, _ *Want) { b.Processes = []string{"7 sh"} }, "", "left behind"},
		"arguments":  {func(b *report.Boot, _ *Want) { b.Argv = append(b.Argv, "x") }, "", "arguments"},
		"variable":   {func(_ *report.Boot, w *Want) { w.Env = []string{"a=b"} }, "", "without a=b"},
		"pid":        {func(b *report.Boot, _ *Want) { b.PID = 2 }, "", "process 2"},
		"signals":    {func(b *report.Boot, _ *Want) { b.Inherited["SigIgn"] = "0000000000001000" }, "", "init inherits SigIgn"},
		"files":      {func(b *report.Boot, _ *Want) { b.Inherited["Files"] = "/dev/kmsg " }, "", "init inherits Files"},
		"no state":   {func(b *report.Boot, _ *Want) { b.Inherited = nil }, "", "init inherits"},
		"no record":  {func(b *report.Boot, _ *Want) { b.Requests = nil }, "", "recorded no requests"},
		"cut record": {func(b *report.Boot, _ *Want) { b.Requests.Micros = 1 }, "", "ends before"},
		"early": {func(b *report.Boot, _ *Want) {
			b.Requests.Writes = []report.Write{{Micros: 2_000_000, Disk: "d0", Kind: "WS", Sector: 8, Sectors: 1}}
		}, "",
			"written to before the root was mounted: d0 WS 8+1"},
		"early ok": {func(b *report.Boot, w *Want) {
			b.Requests.Writes, w.writes = []report.Write{{Micros: 2_000_000, Disk: "d0", Kind: "WS", Sector: 8, Sectors: 1}}, []string{`d0 WS 8\+1 .*`}
		}, "", ""},
		"later": {func(b *report.Boot, _ *Want) {
			b.Requests.Writes = []report.Write{{Micros: 4_000_000, Disk: "d0", Kind: "WS", Sector: 8, Sectors: 1}}
		}, "", ""},
		"no boot": {func(_ *report.Boot, w *Want) { w.NoBoot = true }, "", "must not"},
		"array":   {func(_ *report.Boot, w *Want) { w.Arrays = []string{"md0.*"} }, "", "arrays"},
		"mapped":  {func(b *report.Boot, w *Want) { b.DM, w.Mapped = []string{"cr CRYPT-1"}, []string{"cr CRYPT-2"} }, "", "mapped"},
		"link":    {func(_ *report.Boot, w *Want) { w.Links = []string{"/dev/vg/root"} }, "", "no link"},
		"prompt":  {func(*report.Boot, *Want) {}, promptText + "x: \r\n", "asked for 1 times"},
		"redrawn": {func(_ *report.Boot, w *Want) { w.Prompts = 1 },
			promptText + "x: **" + redraw + "a line\r\n" + promptText + "x: **\r\n", ""},
		"panic":   {func(*report.Boot, *Want) {}, "Kernel panic - not syncing\n", "panicked"},
		"console": {func(_ *report.Boot, w *Want) { w.Console = []Seen{{Text: regexp.MustCompile("missing")}} }, "here\n", "nothing on the console"},
	} {
		t.Run(name, func(t *testing.T) {
			b, w := good(), want
			c.change(b, &w)
			_, problems := compare(w, []report.Message{{Boot: b}, {File: &report.File{Name: "journal", Data: []byte(mounting)}}, {Note: "done"}}, fakeConsole(c.console))
			all := strings.Join(problems, "\n")
			if (c.problem == "") != (all == "") || !strings.Contains(all, c.problem) {
				t.Errorf("problems %q, want one with %q", all, c.problem)
			}
		})
	}
	if _, problems := compare(want, []report.Message{{Boot: good()}}, fakeConsole("")); len(problems) == 0 {
		t.Error("a report without an end is taken for whole")
	}
}
