// Package truth measures whether firstlight check says the truth: each of its
// verdicts is compared with what a real boot of the same image on the same
// disks then does.
//
// The machine's snapshot is taken in a guest, at the end of the initramfs of a
// good image. A case is a scenario of the boot matrix as it is, or one from
// whose image a needed thing was taken away or an identity changed.
package truth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"firstlight/internal/snapshot"
	"firstlight/test/debian"
	"firstlight/test/e2e"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// Outcomes of a boot, as both sides name them. Where a scenario has nobody who
// types, a check is told so, and a question is a failure.
const (
	Boots   = "boots"
	Asks    = "boots when asked" // a passphrase is typed
	Fails   = "fails"
	Unknown = "cannot tell"
)

// Case is one comparison.
type Case struct {
	Name   string
	Base   e2e.Scenario // of the matrix
	Suite  string       // whose kernel the image is for
	Change *Change      // nil: the scenario as it is
}

// Row is what came of a case.
type Row struct {
	Name    string   `json:"name"`
	Suite   string   `json:"suite"`
	Check   string   `json:"check"`
	Real    string   `json:"real"`
	Agree   bool     `json:"agree"`
	Seconds float64  `json:"seconds"`
	Text    []string `json:"text,omitempty"`     // the explanation
	Warned  []string `json:"warnings,omitempty"` // of a good image
	Problem string   `json:"problem,omitempty"`  // it could not be compared
	// Asked is what the check was asked, so that a later one can be asked
	// again without another boot.
	Asked  Question `json:"asked"`
	unseen []snapshot.File
}

// Question is one run of firstlight check.
type Question struct {
	Image      string `json:"image"`
	Snapshot   string `json:"snapshot"`
	Cmdline    string `json:"cmdline"`
	Kernel     string `json:"kernel"` // release
	Unattended bool   `json:"unattended,omitempty"`
}

// Runner compares cases.
type Runner struct {
	e2e.Runner
	mu        sync.Mutex
	snapshots map[string]*taken
	program   taken // that takes the snapshots, in the guest
}

// taken is a file that is made once for all cases that need it.
type taken struct {
	once sync.Once
	file string
	took time.Duration // of the boot that a snapshot was taken in
	err  error
}

// least is the shortest time that a broken image's boot waits for its root.
const least = 15 * time.Second

// patience is what bounds the boot of a broken image, on both sides of the
// comparison: it waits twice as long as the whole boot of the good image took,
// from the start of the machine, and so what is not there then does not come.
func patience(good time.Duration) string {
	return fmt.Sprintf("rd.timeout=%.0f rd.emergency=poweroff", max(2*good, least).Seconds())
}

// limit ends what hangs.
const limit = 8 * time.Minute

// Run compares one case.
func (r *Runner) Run(ctx context.Context, c Case) Row {
	start := time.Now()
	row := Row{Name: c.Name, Suite: c.Suite}
	if err := r.run(ctx, c, &row); err != nil {
		row.Problem = err.Error()
	}
	row.Seconds = time.Since(start).Seconds()
	row.Agree = row.Problem == "" && row.Check == row.Real
	return row
}

func (r *Runner) run(ctx context.Context, c Case, row *Row) error {
	dir := filepath.Join(r.Dir, c.Name+"-"+c.Suite)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	snap := r.snapshot(ctx, c.Base, c.Suite)
	if snap.err != nil {
		return fmt.Errorf("snapshot: %w", snap.err)
	}
	k, err := debian.FindKernel(c.Suite)
	if err != nil {
		return err
	}
	s := c.Base
	line := s.Cmdline()
	image, err := r.Image(ctx, c.Change.scenario(s), k, dir)
	if err != nil {
		return err
	}
	starts := k // the kernel that is started
	if c.Change != nil {
		if image, err = c.Change.apply(ctx, image); err != nil {
			return fmt.Errorf("change the image: %w", err)
		}
		if line, err = c.Change.cmdline(line); err != nil {
			return err
		}
		line = extend(line, patience(snap.took))
		if c.Change.Kernel != "" {
			if starts, err = debian.FindKernel(c.Change.Kernel); err != nil {
				return err
			}
		}
	}
	row.Asked = Question{Image: image, Snapshot: snap.file, Cmdline: line, Kernel: starts.Release, Unattended: !types(s.Boots[0].Do)}
	if err := r.ask(ctx, c, row, dir); err != nil {
		return err
	}
	row.Real, err = r.boot(ctx, c, image, starts, line, dir)
	return err
}

// Again asks firstlight check once more about an image that was booted.
func (r *Runner) Again(ctx context.Context, row Row) Row {
	row.Problem, row.Check = "", ""
	if err := r.check(ctx, &row); err != nil {
		row.Problem = err.Error()
	}
	row.Agree = row.Problem == "" && row.Check == row.Real
	return row
}

// check asks firstlight check.
func (r *Runner) check(ctx context.Context, row *Row) error {
	q := row.Asked
	argv := []string{r.Firstlight, "check", "--json", "--snapshot", q.Snapshot, "--cmdline", q.Cmdline, "--kernel", q.Kernel}
	if q.Unattended {
		argv = append(argv, "--unattended")
	}
	out, err := host.Run(ctx, append(argv, q.Image)...)
	var verdict struct {
		Verdict     string
		Explanation []string
		Asked       []string
		Warnings    []string
		Unseen      []snapshot.File
	}
	if jerr := json.Unmarshal([]byte(out), &verdict); jerr != nil {
		return errors.Join(err, fmt.Errorf("check: %w: %s", jerr, out))
	}
	row.Text, row.Warned, row.unseen = verdict.Explanation, verdict.Warnings, verdict.Unseen
	switch {
	case verdict.Verdict == "would boot" && len(verdict.Asked) > 0:
		row.Check = Asks
	case verdict.Verdict == "would boot":
		row.Check = Boots
	case verdict.Verdict == "would not boot":
		row.Check = Fails
	default:
		row.Check = Unknown
	}
	return nil
}

// boot really boots the image and says how that ends.
func (r *Runner) boot(ctx context.Context, c Case, image string, k debian.Kernel, line, dir string) (string, error) {
	attached, err := r.Disks(ctx, c.Base, dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	log, err := os.Create(filepath.Join(dir, "console.log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	kernel, err := k.Unpacked()
	if err != nil {
		return "", err
	}
	m := vm.Machine{Kernel: kernel, Initrd: image, Memory: c.Base.Memory, Disks: attached, Log: log, Append: line}
	v, err := vm.Run(ctx, m)
	if err != nil {
		return "", err
	}
	defer v.Close()
	actions := c.Base.Boots[0].Do
	acting, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan struct{})
	go func() { e2e.Perform(acting, v, m, actions) }()
	go func() {
		if _, err := v.Console.Expect(acting, 0, e2e.PromptText); err == nil {
			close(asked)
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- v.Wait(ctx) }()
	question := asked
	for {
		select {
		case <-question:
			question = nil
			if !types(actions) {
				return Fails, nil // nobody answers: it has come as far as it can
			}
		case err := <-ended:
			if err != nil {
				return "", err
			}
			return ending(v, question == nil)
		}
	}
}

func types(actions []e2e.Action) bool {
	for _, a := range actions {
		if a.When == e2e.PromptText && (a.Type != "" || len(a.Press) > 0) {
			return true
		}
	}
	return false
}

// ending says how a boot ended by what the real system reported.
func ending(v *vm.VM, asked bool) (string, error) {
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		return "", err
	}
	for _, m := range ms {
		if m.Boot != nil || m.Debian != nil {
			if asked {
				return Asks, nil
			}
			return Boots, nil
		}
	}
	return Fails, nil
}

// same returns the first scenario of the matrix whose machine is that of s, and
// that is started in the same way but for the name by which it knows its root.
func same(s e2e.Scenario) e2e.Scenario {
	key := func(s e2e.Scenario) string {
		words := slices.DeleteFunc(strings.Fields(s.Append), func(w string) bool {
			return strings.HasPrefix(strings.Trim(w, `"`), "root=") || strings.HasPrefix(w, "console=")
		})
		var names []string
		for _, l := range s.Layouts {
			names = append(names, l.Name)
		}
		return fmt.Sprint(names, s.Absent, s.Bus, s.Features, s.Include, s.Roots, s.Memory, words)
	}
	for _, m := range e2e.Matrix() {
		if key(m) == key(s) && (m.For == nil) == (s.For == nil) && (m.For == nil || reflect.DeepEqual(m.For, s.For)) {
			return m
		}
	}
	return s
}

// snapshot takes the snapshot of a scenario's machine, once.
func (r *Runner) snapshot(ctx context.Context, s e2e.Scenario, suite string) *taken {
	s = same(s)
	r.mu.Lock()
	if r.snapshots == nil {
		r.snapshots = map[string]*taken{}
	}
	t := r.snapshots[s.Name+"-"+suite]
	if t == nil {
		t = &taken{}
		r.snapshots[s.Name+"-"+suite] = t
	}
	r.mu.Unlock()
	dir := filepath.Join(r.Dir, "snapshot-"+s.Name+"-"+suite)
	t.once.Do(func() { t.file, t.took, t.err = r.capture(ctx, s, suite, dir, nil) })
	return t
}

// capturer is the program that takes snapshots.
func (r *Runner) capturer(ctx context.Context) (string, error) {
	t := &r.program
	t.once.Do(func() { t.file, t.err = host.GoBuild(ctx, "firstlight/test/guest/capture", r.Dir) })
	return t.file, t.err
}

// What a guest says that has a shell: when it offers one, and when it has
// opened one.
const (
	offer  = "Press Enter for a shell"
	prompt = "firstlight# "
)

// capture boots the scenario with a shell before the real system starts, has
// the snapshot taken there, with files that a boot would look for, and says how
// long the boot took.
func (r *Runner) capture(ctx context.Context, s e2e.Scenario, suite, dir string, files []snapshot.File) (string, time.Duration, error) {
	file, clock := filepath.Join(dir, "snapshot"), filepath.Join(dir, "took")
	if b, err := os.ReadFile(clock); err == nil { // of a run that is taken up again
		took, err := time.ParseDuration(string(b))
		return file, took, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", 0, err
	}
	k, err := debian.FindKernel(suite)
	if err != nil {
		return "", 0, err
	}
	program, err := r.capturer(ctx)
	if err != nil {
		return "", 0, err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", 0, err
	}
	image, err := r.Image(ctx, withShell(s, string(data)), k, dir)
	if err != nil {
		return "", 0, err
	}
	all := s
	all.Detached = nil
	attached, err := r.Disks(ctx, all, dir)
	if err != nil {
		return "", 0, err
	}
	kernel, err := k.Unpacked()
	if err != nil {
		return "", 0, err
	}
	m := vm.Machine{Kernel: kernel, Initrd: image, Memory: max(s.Memory, 768), Disks: attached,
		Append: extend(undisturbed(s.Cmdline()), "rd.break=cleanup rd.shell fltest.ask="+strings.Join(asked, " fltest.ask="))}
	for _, f := range files {
		m.Append = extend(m.Append, "fltest.file="+f.Device+":"+f.FSType+":"+f.Path)
	}
	snap, took, err := shoot(ctx, m, s.Boots[0].Do, dir)
	if err != nil {
		return "", 0, err
	}
	if err := os.WriteFile(file, snap, 0o600); err != nil {
		return "", 0, err
	}
	return file, took, os.WriteFile(clock, []byte(took.String()), 0o644)
}

// undisturbed is a command line without further consoles, one of which is the
// way to the harness, and without stops on the way.
func undisturbed(line string) string {
	words := strings.Split(line, " ")
	return strings.Join(slices.DeleteFunc(words, func(w string) bool {
		return w == "console=ttyS1" || w == "console=tty0" || w == "rd.break" || strings.HasPrefix(w, "rd.break=")
	}), " ")
}

// maxLooks bounds how often a snapshot is taken again for a case.
const maxLooks = 3

// ask asks firstlight check. On the machine itself that looks at the files that
// the boot turns out to want, and decides again; here the snapshot is taken
// again, with those.
func (r *Runner) ask(ctx context.Context, c Case, row *Row, dir string) error {
	var files []snapshot.File
	for range maxLooks {
		if err := r.check(ctx, row); err != nil {
			return err
		}
		before := len(files)
		for _, f := range row.unseen {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
		if len(files) == before {
			return nil
		}
		again := filepath.Join(dir, fmt.Sprint("snapshot", before))
		var err error
		if row.Asked.Snapshot, _, err = r.capture(ctx, c.Base, c.Suite, again, files); err != nil {
			return fmt.Errorf("snapshot with %v: %w", files, err)
		}
	}
	return r.check(ctx, row)
}

// shoot has the snapshot taken in a machine. It returns how long it took from
// the start of the machine to the shell.
func shoot(ctx context.Context, m vm.Machine, do []e2e.Action, dir string) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	log, err := os.Create(filepath.Join(dir, "console.log"))
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	m.Log = log
	v, err := vm.Run(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	defer v.Close()
	var actions []e2e.Action
	for _, a := range do {
		if a.When == e2e.PromptText {
			actions = append(actions, a)
		}
	}
	acting, stop := context.WithCancel(ctx)
	defer stop()
	// Where the boot fails the shell is offered instead of opened.
	go e2e.Perform(acting, v, m, []e2e.Action{{When: offer, Type: "\r"}})
	if err := e2e.Perform(ctx, v, m, append(actions, e2e.Action{When: prompt})); err != nil {
		return nil, 0, err
	}
	took := time.Since(v.Start)
	if err := e2e.Perform(ctx, v, m, []e2e.Action{{Type: "/capture\r"}}); err != nil {
		return nil, 0, err
	}
	if err := v.Wait(ctx); err != nil {
		return nil, 0, err
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		return nil, 0, err
	}
	snap := report.Files(ms)["snapshot"]
	if len(snap) == 0 {
		return nil, 0, errors.New("the guest sent no snapshot; see " + log.Name())
	}
	return snap, took, nil
}

// withShell is the scenario with a shell and the capturing program in its
// image, and without a password for the shell.
func withShell(s e2e.Scenario, capture string) e2e.Scenario {
	includes := []e2e.Include{}
	s.Programs = []e2e.Include{{Path: "/capture", Data: capture}}
	for _, i := range s.Include {
		if i.Path != "/etc/firstlight/password" {
			includes = append(includes, i)
		}
	}
	s.Include, s.Secret = includes, false
	s.Features = append(s.Features[:len(s.Features):len(s.Features)], "shell")
	return s
}
