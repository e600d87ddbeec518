package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"firstlight/internal/blkid"
	"firstlight/internal/blktext"
	"firstlight/internal/parttable"
)

func probeCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "probe FILE|DEVICE",
		Short: "Say what is on a disk, partition or disk image",
		Long: `Say what is on a block device or in a disk image: file system, RAID member,
encrypted volume, swap, partition table. /init sees the same. The output is
that of blkid -p -o export. With --json partitions are listed as well.

A device with two valid signatures is ambiguous: both are listed, and the exit
code is 3. With nothing known on it the exit code is 4; a mark whose superblock
is damaged or cut off is named with its place.

` + exitText,
		Example: "  firstlight probe /dev/sda2\n  firstlight probe --json root.img | jq .partitions",
		Args:    args(1, 1, "a file or device"),
		RunE:    func(c *cobra.Command, a []string) error { return runProbe(c, a[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// probeResult is what --json prints.
type probeResult struct {
	Device     string            `json:"device"`
	Size       int64             `json:"size"` // bytes
	Properties map[string]string `json:"properties"`
	Ambiguous  bool              `json:"ambiguous"`
	Damaged    string            `json:"damaged,omitempty"` // whose mark is there without a valid superblock, and where
	Signatures []probeSignature  `json:"signatures"`
	Partitions []probePartition  `json:"partitions"`
}

type probeSignature struct {
	Type    string `json:"type"`
	Usage   string `json:"usage"`
	Version string `json:"version,omitempty"`
}

type probePartition struct {
	Number int    `json:"number"`
	Start  int64  `json:"start"` // bytes
	Size   int64  `json:"size"`  // bytes
	Type   string `json:"type"`
	UUID   string `json:"uuid,omitempty"`
	Name   string `json:"name,omitempty"`
}

func runProbe(c *cobra.Command, name string, asJSON bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, opt, err := blockSize(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r, err := blkid.ProbeWith(f, size, opt)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if asJSON {
		err = probeJSON(c.OutOrStdout(), f, name, size, opt, r)
	} else if text := r.Export(); text != "" && !r.Ambiguous {
		_, err = fmt.Fprintf(c.OutOrStdout(), "DEVNAME=%s\n%s", blktext.Export(name), text)
	}
	switch {
	case err != nil:
		return err
	case r.Ambiguous:
		fmt.Fprintf(c.ErrOrStderr(), "firstlight: %s: ambiguous, nothing will use it; it has the signatures of:\n", name)
		for _, s := range r.Signatures {
			fmt.Fprintf(c.ErrOrStderr(), "  %s (%s)\n", s.Type, s.Usage)
		}
		fmt.Fprintf(c.ErrOrStderr(), "  wipefs %s lists where they are; wipefs -b -o OFFSET removes a stale one\n", name)
		return exitError(ExitInvalid)
	case r.Damaged != "":
		fmt.Fprintf(c.ErrOrStderr(), "firstlight: %s: nothing valid is on it; it has the mark of %s, but what belongs to that is damaged or cut off\n", name, r.Damaged)
		return exitError(ExitMissing)
	case len(r.Pairs()) == 0:
		fmt.Fprintf(c.ErrOrStderr(), "firstlight: %s: nothing known is on it\n", name)
		return exitError(ExitMissing)
	}
	return nil
}

// blockSize finds the size of a file or device, and what kind of device it is.
func blockSize(f *os.File) (int64, blkid.Options, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, blkid.Options{}, err
	}
	if st.Mode().IsRegular() {
		return st.Size(), blkid.Options{}, nil
	}
	if st.Mode()&fs.ModeDevice == 0 || st.Mode()&fs.ModeCharDevice != 0 {
		return 0, blkid.Options{}, errors.New("neither a file nor a block device")
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, blkid.Options{}, err
	}
	opt := blkid.Options{Kind: blkid.Disk}
	if n, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET); err == nil {
		opt.SectorSize = n
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err == nil {
		dir := fmt.Sprintf("/sys/dev/block/%d:%d/", unix.Major(s.Rdev), unix.Minor(s.Rdev))
		uuid, _ := os.ReadFile(dir + "dm/uuid")
		if exists(dir+"partition") || bytes.HasPrefix(uuid, []byte("part")) {
			opt.Kind = blkid.Partition
		}
	}
	return size, opt, nil
}

func probeJSON(w io.Writer, f io.ReaderAt, name string, size int64, opt blkid.Options, r *blkid.Result) error {
	out := probeResult{Device: name, Size: size, Properties: map[string]string{}, Ambiguous: r.Ambiguous, Damaged: r.Damaged,
		Signatures: []probeSignature{}, Partitions: []probePartition{}}
	for _, p := range r.Pairs() {
		if _, twice := out.Properties[p.Key]; !twice {
			out.Properties[p.Key] = p.Value
		}
	}
	for _, s := range r.Signatures {
		out.Signatures = append(out.Signatures, probeSignature{s.Type, s.Usage, s.Version})
	}
	if opt.SectorSize == 0 {
		opt.SectorSize = 512
	}
	if r.Get("PTTYPE") != "" {
		t, err := parttable.Read(f, size, opt.SectorSize)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range t.Entries {
			out.Partitions = append(out.Partitions, probePartition{e.Number, e.Start, e.Size, e.Type, e.UUID, e.Name})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
