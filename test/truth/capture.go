package truth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"firstlight/internal/snapshot"
	"firstlight/test/e2e"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// same returns the first scenario of the matrix whose machine is that of s, and
// that is started in the same way but for the name by which it knows its root.
func same(s e2e.Scenario) e2e.Scenario {
	key := func(s e2e.Scenario) string {
		words := slices.DeleteFunc(strings.Fields(s.Append), func(w string) bool {
			return strings.HasPrefix(strings.Trim(w, `"`), "root=") && !strings.Contains(w, "ram") || strings.HasPrefix(w, "console=")
		})
		var names []string
		for _, l := range s.Layouts {
			names = append(names, l.Name)
		}
		return fmt.Sprint(names, s.Absent, s.Protected, s.Bus, s.Paths, s.Features, s.Include, s.Roots, s.Memory, words)
	}
	for _, m := range e2e.Matrix() {
		if key(m) == key(s) && (m.For == nil) == (s.For == nil) && (m.For == nil || reflect.DeepEqual(m.For, s.For)) {
			return m
		}
	}
	return s
}

// snapshot takes the snapshot of a scenario's machine, once; suffix tells apart
// those that are taken in a run that is taken up again.
func (r *Runner) snapshot(ctx context.Context, s e2e.Scenario, suite, suffix string) *taken {
	s = same(s)
	r.mu.Lock()
	if r.snapshots == nil {
		r.snapshots = map[string]*taken{}
	}
	key := s.Name + "-" + suite + suffix
	t := r.snapshots[key]
	if t == nil {
		t = &taken{}
		r.snapshots[key] = t
	}
	r.mu.Unlock()
	dir := filepath.Join(r.Dir, "snapshot-"+key)
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
	k, err := s.Kernel(ctx, suite)
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
	all.Detached, all.Paths = nil, slices.Clone(s.Paths)
	for i := range all.Paths {
		all.Paths[i].Detached = false
	}
	attached, err := r.Disks(ctx, all, dir)
	if err != nil {
		return "", 0, err
	}
	defer removed(attached)
	kernel, err := k.Unpacked()
	if err != nil {
		return "", 0, err
	}
	m := vm.Machine{Kernel: kernel, Initrd: image, Memory: max(s.Memory, 768), Disks: attached,
		Append: extend(undisturbed(r.Line(s)), "rd.break=cleanup rd.shell fltest.ask="+strings.Join(asked, " fltest.ask="))}
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
const maxLooks = 12

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
