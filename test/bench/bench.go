// Package bench measures Firstlight beside Debian's own initramfs generators
// and beside the floor, on the same kernel, disks and machine, in one run.
//
// Guest times come from the kernel's log: from "Run /init" to the mark that
// the first instructions of the real init leave. They are taken twice, with a
// clock that counts instructions (-icount, which repeats well and hides what
// forks and page faults cost) and with the emulator's wall clock. A peer
// counts as beaten only in both.
package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// Options say what to measure.
type Options struct {
	Runs  int      // of each boot by counted instructions
	Walls int      // of each boot by the wall clock; they run alone
	Build int      // of each image, where the wall clock is; 0 takes the last run's
	Least bool     // look for the least memory that boots the first row
	Add   bool     // add to the figures that are in Out already
	Rows  []string // names of rows; empty: all
	Peers []string // names of peers; empty: all
	Out   string   // directory for images and results
}

// Figure is one cell of the table: one peer on one row.
type Figure struct {
	Peer      string    `json:"peer"`
	Row       string    `json:"row"`
	Bytes     int64     `json:"bytes"`
	Built     []float64 `json:"built_seconds"`            // wall, each run
	BuiltCPU  []float64 `json:"built_cpu_seconds"`        // user and system, each run
	BuiltPeak int64     `json:"built_peak_kib,omitempty"` // of the largest process, the largest of the runs
	Again     []float64 `json:"again_seconds,omitempty"`  // wall, with the cache of the run before
	Icount    []float64 `json:"icount_seconds"`           // "Run /init" to the real init
	Wall      []float64 `json:"wall_seconds"`             // likewise, on the wall clock
	UnpackI   []float64 `json:"icount_unpack_seconds"`
	Unpack    []float64 `json:"unpack_seconds"`
	// Address is "Run /init" to the moment when the kernel has an address that the
	// server leased, of rows whose root is on a server.
	Address  []float64 `json:"address_seconds,omitempty"`
	AddressI []float64 `json:"icount_address_seconds,omitempty"`
	// Asked is from the moment when the kernel has a link up with a carrier to the
	// first packet of DHCP's client.
	Asked  []float64 `json:"asked_seconds,omitempty"`
	AskedI []float64 `json:"icount_asked_seconds,omitempty"`
	// Raid6 is how long the kernel tried which of its RAID6 routines is the
	// quickest, in each counted boot: a fixed time, whoever loads the module.
	Raid6      []float64 `json:"icount_raid6_seconds,omitempty"`
	Problem    string    `json:"problem,omitempty"`
	MemoryMiB  int       `json:"memory_mib,omitempty"` // smallest that boots, row a
	KernelArgs string    `json:"append"`
}

// Run measures and writes results.json and table.txt.
func Run(ctx context.Context, o Options) error {
	k, err := debian.GetKernel(ctx, "bookworm")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var layouts []disks.Layout
	for _, r := range rows {
		if len(o.Rows) > 0 && !slices.Contains(o.Rows, r.name) {
			continue
		}
		if !slices.ContainsFunc(layouts, func(l disks.Layout) bool { return l.Name == r.layout.Name }) {
			layouts = append(layouts, r.layout)
		}
	}
	made, err := disks.Make(ctx, layouts...)
	if err != nil {
		return err
	}
	var figures []Figure
	if o.Add {
		if figures, err = load(o.Out); err != nil {
			return err
		}
	}
	var errs []error
	put := func(f Figure) error {
		if _, at := find(figures, f.Peer, f.Row); at >= 0 {
			figures = slices.Delete(figures, at, at+1)
		}
		figures = append(figures, f)
		slices.SortStableFunc(figures, func(a, b Figure) int {
			place := func(f Figure) int { return slices.IndexFunc(peers, func(p peer) bool { return p.name == f.Peer }) }
			return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Row, b.Row))
		})
		return save(o.Out, figures)
	}
	done := func(f Figure) error {
		if f.Problem != "" {
			errs = append(errs, fmt.Errorf("%s, %s: %s", f.Peer, f.Row, f.Problem))
		}
		fmt.Println(f.line())
		return put(f)
	}
	for _, p := range peers {
		if len(o.Peers) > 0 && !slices.Contains(o.Peers, p.name) {
			continue
		}
		for _, r := range rows {
			if len(o.Rows) > 0 && !slices.Contains(o.Rows, r.name) || p.only != "" && p.only != r.name || r.unless(p.name) || r.remote() {
				continue
			}
			before, _ := find(figures, p.name, r.name)
			f := measure(ctx, o, k, p, r, made[r.layout.Name], before)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := done(f); err != nil {
				return err
			}
		}
	}
	for _, r := range rows {
		if !r.remote() || len(o.Rows) > 0 && !slices.Contains(o.Rows, r.name) {
			continue
		}
		who := slices.DeleteFunc(slices.Clone(peers), func(p peer) bool {
			return len(o.Peers) > 0 && !slices.Contains(o.Peers, p.name) || p.only != "" || r.unless(p.name)
		})
		if err := together(ctx, o, k, who, r, made, figures, put, done); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s\n%s\n%s\n", table(figures), promised(figures), filepath.Join(o.Out, "results.json"))
	return errors.Join(errs...)
}

// find is the figure of a peer on a row, and where it is: -1 if it is not there.
func find(figures []Figure, peer, row string) (Figure, int) {
	at := slices.IndexFunc(figures, func(f Figure) bool { return f.Peer == peer && f.Row == row })
	if at < 0 {
		return Figure{}, at
	}
	return figures[at], at
}

// imageFile is where the image of a peer for a row is.
func imageFile(o Options, p peer, r row) string {
	return filepath.Join(o.Out, p.name+"-"+r.name+".img")
}

// build makes an image as often as its time is taken. What is not asked for stays
// as it was.
func build(ctx context.Context, o Options, k debian.Kernel, p peer, r row, made disks.Made, f Figure) Figure {
	f.Peer, f.Row, f.Problem = p.name, r.name, ""
	k, err := r.kernel(ctx, k)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	f.KernelArgs = strings.ReplaceAll(p.append(r), rootHash, made.RootHash())
	image := imageFile(o, p, r)
	// How long a build takes is measured where the wall clock is, on a quiet
	// host.
	builds := o.Build
	if builds > 0 && o.Walls == 0 && len(f.Built) > 0 {
		builds = 1
	} else if builds > 0 {
		f.Built, f.BuiltCPU, f.BuiltPeak, f.Again = nil, nil, 0, nil
	}
	for range builds {
		c, err := p.build(ctx, k, r, image)
		if err != nil {
			f.Problem = err.Error()
			return f
		}
		if len(f.Built) < builds {
			f.Built, f.BuiltCPU = append(f.Built, c.wall.Seconds()), append(f.BuiltCPU, c.cpu.Seconds())
		}
		f.BuiltPeak = max(f.BuiltPeak, c.peak)
	}
	for len(f.Again) < builds && p.again != nil {
		c, err := p.again(ctx, k, r, image)
		if err != nil {
			f.Problem = err.Error()
			return f
		}
		f.Again, f.BuiltPeak = append(f.Again, c.wall.Seconds()), max(f.BuiltPeak, c.peak)
	}
	st, err := os.Stat(image)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	f.Bytes = st.Size()
	return f
}

// measure builds one image and boots it as often as asked for.
func measure(ctx context.Context, o Options, k debian.Kernel, p peer, r row, made disks.Made, f Figure) Figure {
	f = build(ctx, o, k, p, r, made, f)
	if f.Problem != "" {
		return f
	}
	image, args := imageFile(o, p, r), f.KernelArgs
	k, err := r.kernel(ctx, k)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if o.Runs > 0 {
		f.Icount, f.UnpackI, f.Raid6 = make([]float64, o.Runs), make([]float64, o.Runs), make([]float64, o.Runs)
		// Counted instructions do not depend on the neighbour.
		var g errgroup.Group
		g.SetLimit(2)
		for i := range o.Runs {
			g.Go(func() error {
				t, err := boot(ctx, k, image, args, made, r.paths, true, 1024)
				f.Icount[i], f.UnpackI[i], f.Raid6[i] = t.init, t.unpack, t.raid6
				if err == nil && i == 0 {
					err = keep(image+".records", t.files)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			f.Problem = err.Error()
			return f
		}
	}
	if o.Walls > 0 {
		f.Wall, f.Unpack = nil, nil
	}
	for range o.Walls {
		t, err := boot(ctx, k, image, args, made, r.paths, false, 1024)
		if err != nil {
			f.Problem = err.Error()
			return f
		}
		f.Wall, f.Unpack = append(f.Wall, t.init), append(f.Unpack, t.unpack)
	}
	if r.name == "a" && o.Least {
		f.MemoryMiB = smallest(ctx, k, image, f.KernelArgs, made)
	}
	return f
}

// bootLimit ends a boot that hangs.
const bootLimit = 5 * time.Minute

// spans are parts of a boot in seconds: to the real init, unpacking the image,
// trying RAID6 routines, to an address of the server's network, from a carrier to
// the first question for one.
type spans struct {
	init, unpack, raid6, address, asked float64

	files map[string][]byte // what the machine sent: its kernel's log, the records of the boot
}

// always is on every command line.
const always = "console=ttyS0 quiet panic=-1 no_timer_check ro fltest.kmsg "

// boot boots once; paths says that each disk has two.
func boot(ctx context.Context, k debian.Kernel, image, args string, made disks.Made, paths, icount bool, memory int) (spans, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	dir, err := os.MkdirTemp("", "flbench")
	if err != nil {
		return spans{}, err
	}
	defer os.RemoveAll(dir)
	var attached []vm.Disk
	for _, d := range made.Layout.Disks {
		overlay := filepath.Join(dir, d.Name+".qcow2")
		if err := vm.Overlay(ctx, made.Files[d.Name], overlay); err != nil {
			return spans{}, err
		}
		attached = append(attached, vm.Disk{File: overlay, Serial: d.Name})
	}
	for i, d := range attached {
		if paths {
			attached[i].Bus, attached[i].WWN = vm.VirtioSCSI, disks.WWN(d.Serial)
			attached = append(attached, vm.Disk{Bus: vm.VirtioSCSI, Serial: d.Serial + "+", WWN: disks.WWN(d.Serial), Second: &vm.Second{Of: i, Serial: d.Serial}})
		}
	}
	return run(ctx, vm.Machine{Kernel: k.Image(), Initrd: image, Disks: attached, Icount: icount, Memory: memory, Append: always + args})
}

// run boots a machine to its end, and reads in its kernel's log how long it took.
func run(ctx context.Context, m vm.Machine) (spans, error) {
	v, err := vm.Run(ctx, m)
	if err != nil {
		return spans{}, err
	}
	defer v.Close()
	if err := v.Wait(ctx); err != nil {
		return spans{}, fmt.Errorf("%w\n%s", err, host.Tail(v.Console.Text(), 20))
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		return spans{}, err
	}
	at := moments(report.Files(ms)["kmsg"])
	if at["REAL-INIT"] == 0 || at["Run /init"] == 0 {
		return spans{}, fmt.Errorf("the real init was not reached\n%s", host.Tail(v.Console.Text(), 20))
	}
	files := report.Files(ms)
	t := spans{init: at["REAL-INIT"] - at["Run /init"], unpack: at["Freeing initrd"] - at["Trying to unpack"], raid6: raid6(files["kmsg"]), files: files}
	t.asked, t.address = asked(files["kmsg"]), address(files["kmsg"], at["Run /init"])
	return t, nil
}

// entries are the lines of the kernel's log, "6,339,1234567,-;text" each, with
// their times in seconds.
func entries(kmsg []byte) iter.Seq2[float64, string] {
	return func(yield func(float64, string) bool) {
		for line := range bytes.Lines(kmsg) {
			head, text, ok := strings.Cut(string(line), ";")
			fields := strings.Split(head, ",")
			if !ok || len(fields) < 3 {
				continue
			}
			us, err := strconv.ParseInt(fields[2], 10, 64)
			if err == nil && !yield(float64(us)/1e6, strings.TrimSpace(text)) {
				return
			}
		}
	}
}

// moments finds when the log first has each of the texts, in seconds.
func moments(kmsg []byte) map[string]float64 {
	at := map[string]float64{}
	for when, text := range entries(kmsg) {
		for _, want := range []string{"Run /init", "REAL-INIT", "Trying to unpack", "Freeing initrd"} {
			if strings.HasPrefix(text, want) && at[want] == 0 {
				at[want] = when
			}
		}
	}
	return at
}

// raid6Trial is how long the kernel tries one routine: 16 ticks at 250 a second
// (lib/raid6/algos.c).
const raid6Trial = 0.064

// raid6 is the time that the log shows for the trials of RAID6 routines: it has a
// line after each.
func raid6(kmsg []byte) float64 {
	first, last := 0.0, 0.0
	for when, text := range entries(kmsg) {
		if !strings.HasPrefix(text, "raid6: ") {
			continue
		}
		last = when
		if first == 0 {
			first = last - raid6Trial
		}
	}
	return last - first
}

// smallest is the least memory that boots, in MiB, found in steps of 8.
func smallest(ctx context.Context, k debian.Kernel, image, args string, made disks.Made) int {
	low, high := 7, 64 // in steps: 56 MiB does not boot, 512 does
	for high-low > 1 {
		mid := (low + high) / 2
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := boot(limited, k, image, args, made, false, false, mid*8)
		cancel()
		if err != nil {
			low = mid
		} else {
			high = mid
		}
	}
	return high * 8
}

// load reads the figures of an earlier run.
func load(dir string) ([]Figure, error) {
	b, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var figures []Figure
	if err := json.Unmarshal(b, &figures); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", filepath.Join(dir, "results.json"), err)
	}
	return figures, nil
}

func save(dir string, figures []Figure) error {
	b, err := json.MarshalIndent(figures, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "table.txt"), []byte(table(figures)+"\n"+promised(figures)), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
