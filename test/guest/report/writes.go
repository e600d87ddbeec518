package report

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Traced are the words of the kernel command line by which the kernel records
// every request that a disk was sent, from its start on: the oldest records are
// kept, and the clock is that of Firstlight's journal.
const Traced = "trace_event=block:block_rq_issue trace_clock=mono trace_options=nooverwrite"

// SwapOffset begins the note of the page with which a swap file begins on its
// device.
const SwapOffset = "swap offset "

// Requests are what the disks were sent, as the kernel has recorded it.
type Requests struct {
	// Reads is how many requests read a disk, by its serial number.
	Reads map[string]int `json:"reads"`
	// Writes are those that change what is on a disk, in order.
	Writes []Write `json:"writes"`
	// Micros is the time of the last record, of whatever kind.
	Micros int64 `json:"micros"`
}

// Write is one request that changes what is on a disk.
type Write struct {
	Micros  int64  `json:"micros"` // since the kernel's start
	Disk    string `json:"disk"`   // serial number; the kernel's name where there is none
	Kind    string `json:"kind"`   // the kernel's letters: WS, WFS, D …
	Sector  int64  `json:"sector"` // of 512 bytes
	Sectors int64  `json:"sectors"`
	By      string `json:"by"` // the thread that sent it
}

// String is "d0 WS 8+8 by md0_raid1 at 2.100000".
func (w Write) String() string {
	return fmt.Sprintf("%s %s %d+%d by %s at %d.%06d", w.Disk, w.Kind, w.Sector, w.Sectors, w.By, w.Micros/1e6, w.Micros%1e6)
}

// maxWrites bounds a report: what matters comes at the beginning.
const maxWrites = 2000

// ReadRequests reads what the kernel has recorded; nil if it was not told to.
func ReadRequests() *Requests {
	const dir = "/sys/kernel/tracing"
	file := dir + "/trace"
	if _, err := os.Stat(file); err != nil {
		if unix.Mount("tracefs", dir, "tracefs", 0, "") != nil {
			return nil
		}
		defer unix.Unmount(dir, 0)
	}
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return nil
	}
	disks := map[string]string{}
	return ParseRequests(text, func(dev string) string {
		if _, ok := disks[dev]; !ok {
			disks[dev] = disk(dev)
		}
		return disks[dev]
	})
}

// ParseRequests reads the text of the kernel's record. disk is the name of the
// disk with a number ("254,0"), or "" for what is none.
func ParseRequests(text []byte, disk func(dev string) string) *Requests {
	r := &Requests{Reads: map[string]int{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		//   kworker/0:1H-58  [000] .....  2.103456: block_rq_issue: 254,0 WS 4096 () 2048 + 8 none,0,0 [kworker/0:1H]
		before, rest, ok := strings.Cut(lines.Text(), ": block_rq_issue: ")
		at, f := strings.Fields(before), strings.Fields(rest)
		if !ok || len(at) == 0 || len(f) < 7 {
			continue
		}
		name := disk(f[0])
		if name == "" {
			continue
		}
		seconds, _ := strconv.ParseFloat(at[len(at)-1], 64)
		w := Write{Micros: int64(seconds * 1e6), Disk: name, Kind: f[1], By: strings.Trim(f[len(f)-1], "[]")}
		for i := range f {
			if f[i] == "+" && i > 0 && i+1 < len(f) {
				w.Sector, _ = strconv.ParseInt(f[i-1], 10, 64)
				w.Sectors, _ = strconv.ParseInt(f[i+1], 10, 64)
				break
			}
		}
		r.Micros = w.Micros
		switch {
		case strings.HasPrefix(w.Kind, "R"):
			r.Reads[name]++
		// A write, a discard or an erasure; N is what has no letter, such as
		// writing zeroes. A flush has no sectors.
		case w.Sectors > 0 && strings.ContainsAny(w.Kind, "WDEN") && len(r.Writes) < maxWrites:
			r.Writes = append(r.Writes, w)
		}
	}
	return r
}

// disk is the serial number of a disk, as the harness chose it, or else the
// kernel's name of it. What is made of other devices or of memory is no disk.
func disk(dev string) string {
	dir, err := filepath.EvalSymlinks("/sys/dev/block/" + strings.ReplaceAll(dev, ",", ":"))
	if err != nil || strings.HasPrefix(dir, "/sys/devices/virtual/") && !strings.Contains(dir, "/nvme") && !strings.Contains(dir, "/nbd") {
		return ""
	}
	for _, f := range []string{"/serial", "/device/serial"} {
		if b, err := os.ReadFile(dir + f); err == nil {
			if s := strings.TrimSpace(string(b)); s != "" {
				return s
			}
		}
	}
	// Page 0x80 of a SCSI disk: a header of four bytes, then the number.
	if b, err := os.ReadFile(dir + "/device/vpd_pg80"); err == nil && len(b) > 4 {
		return strings.TrimSpace(string(b[4:]))
	}
	return filepath.Base(dir)
}
