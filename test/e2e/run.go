package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/signing"
	"firstlight/test/vm"
)

// Result is the structured line of one run of a scenario.
type Result struct {
	Scenario string   `json:"scenario"`
	Suite    string   `json:"suite"`
	OK       bool     `json:"ok"`
	Seconds  float64  `json:"seconds"`
	Problems []string `json:"problems,omitempty"`
	Before   []string `json:"before,omitempty"` // of a first try that failed
	Dir      string   `json:"dir"`              // image, consoles, reports
	Boots    []Booted `json:"boots"`
}

// Booted is what came of one boot.
type Booted struct {
	Seconds float64           `json:"seconds"`
	Root    string            `json:"root,omitempty"`
	Prompts int               `json:"prompts"`
	Summary map[string]string `json:"summary,omitempty"`
	State   string            `json:"state,omitempty"`
	Analyze string            `json:"analyze,omitempty"`

	offset string // the first page of a swap file on its device
}

// Runner runs scenarios.
type Runner struct {
	Firstlight string // the program
	Cache      string // for the builder
	Dir        string // results go below it
	Made       map[string]disks.Made
}

// commonArgs begin every command line. On a busy host the kernel finds the
// emulated timer too late to trust it, and panics, unless told not to check.
const commonArgs = "console=ttyS0 quiet panic=-1 no_timer_check " + report.Traced

// Run runs a scenario with the kernel of a suite. Problems are in the result;
// it always returns one.
func (r *Runner) Run(ctx context.Context, s Scenario, suite string) Result {
	start := time.Now()
	res := Result{Scenario: s.Name, Suite: suite, Dir: filepath.Join(r.Dir, s.Name+"-"+suite)}
	if err := r.run(ctx, s, suite, &res); err != nil {
		res.Problems = append(res.Problems, err.Error())
	}
	res.Seconds = time.Since(start).Seconds()
	res.OK = len(res.Problems) == 0
	return res
}

func (r *Runner) run(ctx context.Context, s Scenario, suite string, res *Result) error {
	if err := os.RemoveAll(res.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(res.Dir, 0o755); err != nil {
		return err
	}
	k, err := s.kernel(ctx, suite)
	if err != nil {
		return err
	}
	image, err := r.build(ctx, s, k, res.Dir)
	if err != nil {
		return err
	}
	attached, bases, err := r.disks(ctx, s, res.Dir)
	if err != nil {
		return err
	}
	if s.HostBuild {
		more, err := r.buildDisks(ctx, k, res.Dir)
		if err != nil {
			return err
		}
		attached = append(attached, more...)
	}
	if err := r.install(ctx, s, attached, res.Dir); err != nil {
		return err
	}
	machine := vm.Machine{Kernel: k.Image(), Memory: s.Memory, Disks: attached}
	if !s.Packed && !s.UEFI { // which starts nothing but a bzImage
		if machine.Kernel, err = k.Unpacked(); err != nil {
			return err
		}
	}
	if s.UEFI {
		machine.Firmware = filepath.Join(res.Dir, "firmware")
		if err := vm.FirmwareVariables(machine.Firmware); err != nil {
			return err
		}
		if s.Enrolled || s.Unified != nil {
			cert, err := signing.Certificate()
			if err == nil && s.Unified != nil {
				err = vm.SecureBoot(machine.Firmware, cert)
			} else if err == nil {
				err = vm.Enroll(machine.Firmware, cert)
			}
			if err != nil {
				return err
			}
		}
	}
	if s.TPM {
		machine.TPM = filepath.Join(res.Dir, "tpm")
	}
	if s.Store {
		machine.Store = filepath.Join(res.Dir, "store")
	}
	if s.Share != "" {
		share, err := shared(ctx, s.Share, filepath.Join(res.Dir, "share"))
		if err != nil {
			return err
		}
		machine.Shares = []vm.Share{share}
	}
	boots := s.Boots
	if len(boots) == 0 {
		return errors.New("the scenario has no boots")
	}
	offset := ""
	var writes []early
	for i, b := range boots {
		if b.Memory != 0 {
			machine.Memory = b.Memory
		}
		if b.Kernel != "" {
			if image, err = r.otherKernel(ctx, s, b.Kernel, res.Dir, &machine); err != nil {
				return err
			}
		}
		log, err := os.Create(filepath.Join(res.Dir, fmt.Sprintf("console%d.log", i)))
		if err != nil {
			return err
		}
		if b.Fresh {
			for i, d := range attached[:len(bases)] {
				if err := vm.Overlay(ctx, bases[i], d.File); err != nil {
					return err
				}
			}
		}
		m := machine
		m.Initrd, m.Log, m.Append = image, log, strings.TrimSpace(s.cmdline()+" "+b.Append)
		m.Append = strings.ReplaceAll(m.Append, swapOffset, offset)
		if len(s.Layouts) > 0 {
			if m.Append, err = withHash(m.Append, r.Made[s.Layouts[0].Name].RootHash()); err != nil {
				return err
			}
		}
		if b.Want.Builds {
			m.Append += hostBuildArgs
		}
		b.Want.writes, b.Want.peer = s.Writes, b.By != ""
		if b.By != "" {
			if err := peer(ctx, s, b.By, k, res.Dir, &m); err != nil {
				return err
			}
		}
		if s.Unified != nil {
			if err := r.unify(ctx, s, k, b.Tampered, res.Dir, &m); err != nil {
				return err
			}
		}
		wire, err := s.connect(ctx, r, &m, filepath.Join(res.Dir, fmt.Sprintf("net%d", i)))
		if err != nil {
			return err
		}
		booted, problems := bootOnce(ctx, m, b, res.Dir, i)
		if wire != nil {
			problems = append(problems, wire.Said(ctx, s.Net.Server.Said)...)
			wire.Close()
		}
		log.Close()
		offset += booted.offset
		if b.Want.Tables {
			problems = append(problems, sameTables(r.Made[s.Layouts[0].Name], filepath.Join(res.Dir, fmt.Sprintf("tables%d", i)))...)
		}
		problems = append(problems, r.handed(ctx, b.Want, res.Dir, i)...)
		for _, p := range problems {
			res.Problems = append(res.Problems, fmt.Sprintf("boot %d: %s", i, p))
		}
		if s.SameWrites {
			w, err := wrote(ctx, res.Dir, i, attached, bases)
			if err != nil {
				return err
			}
			writes = append(writes, w)
		}
		if err := r.caseOf(ctx, filepath.Join(res.Dir, fmt.Sprintf("report.tar.gz%d", i)), filepath.Join(res.Dir, fmt.Sprintf("case%d", i))); err != nil {
			problems = append(problems, err.Error())
		}
		res.Boots = append(res.Boots, booted)
		if len(problems) > 0 {
			return nil // later boots build on this one
		}
		if b.Want.Builds {
			if image, err = builtImage(s, res.Dir); err != nil {
				return err
			}
		}
	}
	if s.Interop {
		res.Problems = append(res.Problems, sameAnswers(res.Dir, s.Boots[1].By, s.Differs)...)
	}
	if s.SameWrites {
		res.Problems = append(res.Problems, sameEarly(writes[0], writes[1], s.Masks)...)
	}
	return r.disksAfter(ctx, s, attached, bases, res)
}

// otherKernel is an image of the scenario for the kernel of another release, which
// the machine is given.
func (r *Runner) otherKernel(ctx context.Context, s Scenario, suite, dir string, m *vm.Machine) (string, error) {
	k, err := debian.FindKernel(suite)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, suite)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	m.Kernel = k.Image()
	return r.build(ctx, s, k, dir)
}

// zfs says whether the scenario needs ZFS: its kernel, and the tools for its image.
func (s Scenario) zfs() bool {
	return slices.ContainsFunc(s.Layouts, func(l disks.Layout) bool { return l.ZFS })
}

// kernel is the kernel of a suite for the scenario.
func (s Scenario) kernel(ctx context.Context, suite string) (debian.Kernel, error) {
	k, err := debian.FindKernel(suite)
	if err != nil || !s.zfs() {
		return k, err
	}
	return debian.ZFSKernel(ctx, k)
}

// build builds the scenario's image.
func (r *Runner) build(ctx context.Context, s Scenario, k debian.Kernel, dir string) (string, error) {
	image := filepath.Join(dir, "image")
	argv := []string{r.Firstlight, "build", "--kernel", k.Release, "--modules-dir", k.Modules(), "--cache-dir", r.Cache, "--output", image}
	if s.Profile != "" {
		argv = append(argv, "--profile", s.Profile)
	} else if s.For == nil {
		argv = append(argv, "--generic")
	} else {
		config := filepath.Join(dir, "build.toml")
		for name, text := range s.ConfigFiles {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return "", err
			}
		}
		text := "sysctl = " + list(s.Sysctl) + "\n" + s.For.config(s.Bus) + strings.ReplaceAll(s.Config, "@DIR@", dir)
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return "", err
		}
		argv = append(argv, "--config", config)
	}
	if s.zfs() {
		root, err := debian.ZFSRoot(ctx, k.Suite)
		if err != nil {
			return "", err
		}
		argv = append(argv, "--sysroot", filepath.Join(root, "root"))
	}
	for _, f := range s.Features {
		argv = append(argv, "--feature", f)
	}
	for i, inc := range slices.Concat(s.Include, s.Programs) {
		perm := os.FileMode(0o600)
		if i >= len(s.Include) {
			perm = 0o755
		}
		src := filepath.Join(dir, fmt.Sprintf("include%d", i))
		data := inc.Data
		if data == bitlockerKey {
			key, err := disks.BitLockerStartupKey()
			if err != nil {
				return "", err
			}
			data = key
		}
		if name, ok := strings.CutPrefix(data, tcryptKey); ok {
			key, err := disks.TCryptKeyFile(name)
			if err != nil {
				return "", err
			}
			data = key
		}
		if err := os.WriteFile(src, []byte(data), perm); err != nil {
			return "", err
		}
		argv = append(argv, "--include", src+":"+inc.Path)
	}
	for i, root := range s.Roots {
		src := filepath.Join(dir, fmt.Sprintf("root%d", i))
		if err := disks.Packed(ctx, root.Data, src); err != nil {
			return "", err
		}
		argv = append(argv, "--include", src+":"+root.Path)
	}
	if _, err := host.Run(ctx, argv...); err != nil {
		return "", err
	}
	st, err := os.Stat(image)
	if err != nil {
		return "", err
	}
	if s.Secret && st.Mode().Perm() != 0o600 {
		return "", fmt.Errorf("an image with a secret in it has mode %v", st.Mode().Perm())
	}
	return image, nil
}

// disks makes overlays of the scenario's disks. bases has the images below.
func (r *Runner) disks(ctx context.Context, s Scenario, dir string) (attached []vm.Disk, bases []string, err error) {
	for _, l := range s.Layouts {
		made, ok := r.Made[l.Name]
		if !ok {
			return nil, nil, fmt.Errorf("the disks of layout %s could not be made", l.Name)
		}
		for _, d := range l.Disks {
			if slices.Contains(s.Absent, d.Name) {
				continue
			}
			overlay := filepath.Join(dir, d.Name+".qcow2")
			if err := vm.Overlay(ctx, made.Files[d.Name], overlay); err != nil {
				return nil, nil, err
			}
			attached = append(attached, vm.Disk{File: overlay, Bus: s.Bus, Serial: d.Name, ReadOnly: slices.Contains(s.Protected, d.Name), Unreadable: s.Unreadable[d.Name],
				Detached: slices.Contains(s.Detached, d.Name), Removable: detaches(s, d.Name)})
			bases = append(bases, made.Files[d.Name])
		}
	}
	for i := range attached {
		if len(s.Paths) > 0 {
			attached[i].WWN = disks.WWN(attached[i].Serial)
		}
	}
	for _, p := range s.Paths {
		of := slices.IndexFunc(attached, func(d vm.Disk) bool { return d.Serial == p.Disk })
		attached = append(attached, vm.Disk{Bus: s.Bus, Serial: p.Disk + "+", WWN: disks.WWN(p.Disk), Detached: p.Detached,
			Second: &vm.Second{Of: of, Serial: p.Disk, Fails: p.Fails}})
	}
	return attached, bases, nil
}

func detaches(s Scenario, disk string) bool {
	for _, b := range s.Boots {
		for _, a := range b.Do {
			if a.Detach == disk {
				return true
			}
		}
	}
	return false
}

// bootOnce runs the machine until it ends, and compares.
func bootOnce(ctx context.Context, m vm.Machine, b Boot, dir string, n int) (Booted, []string) {
	limit := b.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := vm.Run(ctx, m)
	if err != nil {
		return Booted{}, []string{err.Error()}
	}
	defer v.Close()
	acted := make(chan error, 1)
	actions, stop := context.WithCancel(ctx)
	go func() { acted <- act(actions, v, m, b.Do) }()
	var problems []string
	if err := v.Wait(ctx); err != nil {
		problems = append(problems, err.Error())
	}
	stop()
	if err := <-acted; err != nil {
		problems = append(problems, err.Error())
	}
	text := v.Report.Text()
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("report%d.log", n)), []byte(text), 0o644); err != nil {
		problems = append(problems, err.Error())
	}
	ms, err := report.Parse([]byte(text))
	if err != nil {
		problems = append(problems, err.Error())
	}
	for name, data := range report.Files(ms) {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s%d", name, n)), data, 0o644); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if !b.Want.peer {
		problems = append(problems, replays(report.Files(ms))...)
	}
	problems = append(problems, leaks(report.Files(ms))...)
	for _, s := range b.Want.Second {
		if !s.Text.MatchString(plain(text)) {
			problems = append(problems, fmt.Sprintf("nothing on the second console matches %q", s.Text))
		}
	}
	if how := v.Ending(); b.Want.Ends != "" && how != b.Want.Ends {
		problems = append(problems, fmt.Sprintf("the machine ended by %q, not %q", how, b.Want.Ends))
	}
	booted, more := compare(b.Want, ms, v.Console)
	booted.Seconds = time.Since(v.Start).Seconds()
	return booted, append(problems, more...)
}

// disksAfter checks what the boots left on the disks.
func (r *Runner) disksAfter(ctx context.Context, s Scenario, attached []vm.Disk, bases []string, res *Result) error {
	for i, d := range attached[:len(bases)] {
		if s.Unchanged {
			same, err := vm.Same(ctx, bases[i], d.File)
			if err != nil {
				return err
			}
			if !same {
				res.Problems = append(res.Problems, "disk "+d.Serial+" was written to")
			}
		}
		if s.Repaired == d.Serial {
			raw := filepath.Join(res.Dir, d.Serial+".img")
			if _, err := host.Run(ctx, "qemu-img", "convert", "-O", "raw", d.File, raw); err != nil {
				return err
			}
			if _, err := host.Run(ctx, "e2fsck", "-f", "-n", raw); err != nil {
				res.Problems = append(res.Problems, "not repaired: "+err.Error())
			}
			os.Remove(raw)
		}
	}
	for _, d := range attached {
		if d.Second != nil {
			continue
		}
		os.Remove(d.File) // large, and of no interest any more
	}
	return nil
}
