package bench

import (
	"fmt"
	"slices"
	"strings"
)

// median is the middle of a list, 0 of an empty one.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread is the distance between the ends of a list.
func spread(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Max(v) - slices.Min(v)
}

func (f Figure) line() string {
	if f.Problem != "" {
		first, _, _ := strings.Cut(f.Problem, "\n")
		return fmt.Sprintf("%-14s %s  did not work: %s", f.Peer, f.Row, first)
	}
	memory := ""
	if f.MemoryMiB > 0 {
		memory = fmt.Sprintf("  boots in %d MiB", f.MemoryMiB)
	}
	if len(f.Address)+len(f.AddressI) > 0 {
		memory = fmt.Sprintf("  address %.3f s ±%.3f %8.3f s ±%.3f, asked %.1f / %.1f ms after the carrier", median(f.AddressI), spread(f.AddressI)/2,
			median(f.Address), spread(f.Address)/2, 1000*median(f.AskedI), 1000*median(f.Asked))
	}
	return fmt.Sprintf("%-14s %s %8.2f MB %7.2f s %7.2f s %7.2f s %8.3f s ±%.3f %8.3f s ±%.3f %7.2f s%s", f.Peer, f.Row, float64(f.Bytes)/1e6,
		median(f.Built), median(f.BuiltCPU), median(f.Again), median(f.Icount), spread(f.Icount)/2, median(f.Wall), spread(f.Wall)/2, median(f.UnpackI), memory)
}

// ratio is a median in units of the floor's, "-" for what was not measured.
func ratio(v []float64, floor float64) string {
	if len(v) == 0 || floor == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", median(v)/floor)
}

// table is all figures, and after them the guest times in units of the
// floor's for row a.
func table(figures []Figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %s %11s %9s %9s %9s %17s %17s %9s\n", "", "", "image", "built", "CPU", "again", "boot, icount", "boot, wall", "unpack")
	var floorI, floorW float64
	var names []string
	cells := map[string]Figure{}
	for _, f := range figures {
		b.WriteString(f.line() + "\n")
		if f.Peer == "floor" && f.Row == "a" {
			floorI, floorW = median(f.Icount), median(f.Wall)
		}
		if !slices.Contains(names, f.Peer) {
			names = append(names, f.Peer)
		}
		cells[f.Peer+f.Row] = f
	}
	if floorI == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\nin units of the floor's time for a, icount / wall\n%-14s", "")
	for _, r := range localRows {
		fmt.Fprintf(&b, " %14s", r.name)
	}
	for _, n := range names {
		fmt.Fprintf(&b, "\n%-14s", n)
		for _, r := range localRows {
			f, ok := cells[n+r.name]
			if !ok || f.Problem != "" {
				fmt.Fprintf(&b, " %14s", "-")
				continue
			}
			fmt.Fprintf(&b, " %6s / %5s", ratio(f.Icount, floorI), ratio(f.Wall, floorW))
		}
	}
	return b.String() + "\n"
}
