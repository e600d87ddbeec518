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
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	// Typed is the file with what is typed, where that is tried.
	Typed string `json:"typed,omitempty"`
}

// Runner compares cases.
type Runner struct {
	e2e.Runner
	mu        sync.Mutex
	snapshots map[string]*taken
	images    map[string]*taken
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
const least = 10 * time.Second

// patience is what bounds the boot of a broken image, on both sides of the
// comparison: it waits as long from the start of /init as the whole boot of the
// good image took from the start of the machine, most of which is the kernel's,
// and so what is not there then does not come.
func patience(good time.Duration) string {
	return fmt.Sprintf("rd.timeout=%.0f rd.emergency=poweroff", max(good, least).Seconds())
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
	row.agree()
	return row
}

// agree says whether the check told the truth: also where it says, and must say,
// that it cannot tell.
func (row *Row) agree() {
	row.Agree = row.Problem == "" && row.Real != "" && (row.Check == row.Real || untold[row.Name] != "" && row.Check == Unknown)
}

func (r *Runner) run(ctx context.Context, c Case, row *Row) error {
	dir := filepath.Join(r.Dir, c.Name+"-"+c.Suite)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	snap := r.snapshot(ctx, c.Base, c.Suite, "")
	if snap.err != nil {
		return fmt.Errorf("snapshot: %w", snap.err)
	}
	k, err := c.Base.Kernel(ctx, c.Suite)
	if err != nil {
		return err
	}
	s := c.Base
	line := r.Line(s)
	image, err := r.built(ctx, c.Change.scenario(s), k)
	if err != nil {
		return err
	}
	starts := k // the kernel that is started
	if c.Change != nil {
		if image, err = c.Change.apply(ctx, image, dir); err != nil {
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
	row.Asked = Question{Image: image, Snapshot: snap.file, Cmdline: line, Kernel: starts.Release, Unattended: !attended(s)}
	if tried[s.Name] {
		if row.Asked.Typed, err = typedFile(s.Boots[0].Do, dir); err != nil {
			return err
		}
	}
	if err := r.ask(ctx, c, row, dir); err != nil {
		return err
	}
	row.Real, err = r.boot(ctx, c, image, starts, line, dir)
	return err
}

// Again asks firstlight check once more about an image that was booted. Where it
// says something else than the boot, the machine's snapshot is taken again: one
// that an older program took may lack what a check reads by now.
func (r *Runner) Again(ctx context.Context, c Case, row Row) Row {
	if err := r.again(ctx, c, &row); err != nil {
		row.Problem = err.Error()
	}
	row.agree()
	return row
}

func (r *Runner) again(ctx context.Context, c Case, row *Row) error {
	row.Problem, row.Check = "", ""
	if row.Real == "" || row.Asked.Image == "" {
		return errors.New("it was not booted")
	}
	err := r.check(ctx, row)
	if row.agree(); err != nil || row.Agree {
		return err
	}
	snap := r.snapshot(ctx, c.Base, c.Suite, "-again")
	if snap.err != nil {
		return fmt.Errorf("snapshot: %w", snap.err)
	}
	dir := filepath.Join(r.Dir, c.Name+"-"+c.Suite)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	row.Asked.Snapshot = snap.file
	return r.ask(ctx, c, row, dir)
}

// check asks firstlight check.
func (r *Runner) check(ctx context.Context, row *Row) error {
	q := row.Asked
	argv := []string{r.Firstlight, "check", "--json", "--snapshot", q.Snapshot, "--cmdline", q.Cmdline, "--kernel", q.Kernel}
	if q.Unattended {
		argv = append(argv, "--unattended")
	}
	if q.Typed != "" {
		argv = append(argv, "--passphrase-file", q.Typed)
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
	defer removed(attached)
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
	// What the real system goes on to do is not waited for.
	started := make(chan struct{})
	for _, said := range firstWords() {
		go func() {
			if _, err := v.Report.Expect(acting, 0, said); err == nil {
				select {
				case started <- struct{}{}:
				case <-acting.Done():
				}
			}
		}()
	}
	question := asked
	for {
		select {
		case <-question:
			question = nil
			if !types(actions) {
				return Fails, nil // nobody answers: it has come as far as it can
			}
		case <-started:
			select {
			case <-asked:
				return Asks, nil
			default:
				return Boots, nil
			}
		case err := <-ended:
			if err != nil {
				return "", err
			}
			return ending(v, question == nil)
		}
	}
}

// typedFile is a file with what a person types as passphrases, a line each.
func typedFile(actions []e2e.Action, dir string) (string, error) {
	text := ""
	for _, a := range actions {
		if a.When == e2e.PromptText && a.Type != "" {
			text += strings.TrimSuffix(a.Type, "\r") + "\n"
		}
	}
	name := filepath.Join(dir, "typed")
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// removed removes the overlays of disks: they are large, and of no interest
// after a boot.
func removed(attached []vm.Disk) {
	for _, d := range attached {
		_ = os.Remove(d.File)
	}
}

// firstWords are how the messages begin that a real system sends first.
func firstWords() []string {
	var b strings.Builder
	if err := report.NewWriter(&b).Send(report.Message{Note: "x"}); err != nil {
		return nil // a strings.Builder takes everything
	}
	mark, _, _ := strings.Cut(b.String(), "{")
	return []string{mark + `{"boot":`, mark + `{"debian":`}
}

// attended says whether somebody is there who types: a passphrase, or what
// leaves a shell at which the boot stops on its way.
func attended(s e2e.Scenario) bool {
	do := s.Boots[0].Do
	stops := strings.Contains(s.Append, "rd.break") && slices.ContainsFunc(do, func(a e2e.Action) bool { return a.Type != "" })
	return types(do) || stops
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

// built builds a scenario's image, once for all cases that have the same.
func (r *Runner) built(ctx context.Context, s e2e.Scenario, k debian.Kernel) (string, error) {
	key := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %s %+v %q %q %q", k.Release, s.Bus, s.For, s.Features, s.Include, s.Programs)))
	r.mu.Lock()
	if r.images == nil {
		r.images = map[string]*taken{}
	}
	t := r.images[key]
	if t == nil {
		t = &taken{}
		r.images[key] = t
	}
	r.mu.Unlock()
	t.once.Do(func() {
		dir := filepath.Join(r.Dir, "images", key[:16])
		if t.err = os.MkdirAll(dir, 0o755); t.err == nil {
			t.file, t.err = r.Image(ctx, s, k, dir)
		}
	})
	return t.file, t.err
}
