package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// vdoGroup is a group with a VDO pool and a volume in it, as LVM writes them.
func vdoGroup() []*sim.Disk {
	vg := content.VG{Name: "vg", UUID: "012345abcdEFGHijklMNOPqrstUVWXYZ", Seqno: 9, Extent: 4 << 20,
		PVs: []content.PV{{UUID: fmt.Sprintf("%032d", 1), Size: 128 << 20, Device: "/dev/sda"}},
		LVs: []content.LV{
			{Name: "vpool0_vdata", UUID: fmt.Sprintf("%032d", 2), Hidden: true, Segments: []content.Segment{{Extents: 24, Areas: []content.Area{{Extent: 0}}}}},
			{Name: "vpool0", UUID: fmt.Sprintf("%032d", 3), Type: "vdo-pool", Segments: []content.Segment{{Extents: 24}},
				Made: []string{`data = "vpool0_vdata"`, "header_size = 512", "virtual_extents = 64", "use_compression = 1", "use_deduplication = 1",
					"use_metadata_hints = 1", "minimum_io_size = 4096", "block_map_cache_size_mb = 128", "block_map_era_length = 16380", "use_sparse_index = 0",
					"index_memory_size_mb = 256", "slab_size_mb = 32", "ack_threads = 1", "bio_threads = 4", "bio_rotation = 64", "cpu_threads = 2",
					"hash_zone_threads = 1", "logical_threads = 0", "physical_threads = 1", "max_discard = 1", `write_policy = "auto"`}},
			{Name: "root", UUID: fmt.Sprintf("%032d", 4), Type: "vdo", Segments: []content.Segment{{Extents: 64}}, Made: []string{`vdo_pool = "vpool0"`, "vdo_offset = 0"}},
		}}
	return sim.Volumes(vg, nil)
}

// A volume of a VDO pool is left to LVM's own tool: where the image has it, the
// tool is asked for that volume alone; where not, the feature is named.
func TestVolumeOfAVDOPoolIsLeftToLVM(t *testing.T) {
	for _, has := range []bool{false, true} {
		m := machineWith("root=/dev/vg/root rd.emergency=poweroff rd.timeout=20", vdoGroup()...)
		m.Image.Full, m.Image.Features = true, []string{"lvm"}
		var asked []string
		if has {
			m.Image.Features = append(m.Image.Features, "lvm-tool")
			m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/usr/sbin/lvm": func(_ *sim.Machine, args []string) machine.Exit {
				asked = append(asked, strings.Join(args, " "))
				return machine.Exit{Code: 5, Output: "  no such target"}
			}}
		}
		boot(t, m)
		said := m.SaidText()
		switch {
		case m.Started != nil:
			t.Errorf("started from %v", m.Mounts)
		case !has && (!strings.Contains(said, "volume root is vdo") || !strings.Contains(said, "--feature lvm-tool")):
			t.Errorf("the feature is not named:\n%s", said)
		case has && (len(asked) == 0 || !slices.ContainsFunc(asked, func(a string) bool { return strings.HasPrefix(a, "lvchange -ay") && strings.HasSuffix(a, " vg/root") })):
			t.Errorf("asked for %q\n%s", asked, said)
		case has && !strings.Contains(said, "no such target"):
			t.Errorf("what LVM says is not said:\n%s", said)
		}
	}
}
