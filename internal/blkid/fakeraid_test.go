package blkid

import "testing"

// fakeRAIDs are members of the RAIDs of controllers' firmware that no tool of
// Debian writes: their signatures, where blkid looks for them.
var fakeRAIDs = []fixture{
	{"lsi", member(1, 0, "$XIDE$"), []span{{8*mib - 512, 16}}, "lsi_mega_raid_member"},
	{"via", func(testing.TB) *image {
		b := make([]byte, 512)
		b[0], b[1], b[2], b[9] = 0x55, 0xaa, 1, 0x77
		for _, c := range b[:50] {
			b[50] += c
		}
		return raw(8*mib, 8*mib-512, string(b))
	}, []span{{8*mib - 512, 56}}, "via_raid_member"},
	{"silicon", func(testing.TB) *image {
		b := make([]byte, 512)
		copy(b[0x60:], "\x00\x00\x00\x2f")
		b[0x108], b[0x10a], b[0x116] = 3, 2, 1
		sum := uint16(0)
		for i := 0; i < 0x13e; i += 2 {
			sum += le.Uint16(b[i:])
		}
		le.PutUint16(b[0x13e:], -sum)
		return raw(8*mib, 8*mib-512, string(b))
	}, []span{{8*mib - 512, 0x140}, {8*mib - 512 + 0x100, 0x40}}, "silicon_medley_raid_member"},
	{"nvidia", member(2, 0, "NVIDIA  \x1e\x00\x00\x00\x12\x34\x56\x78\x64\x00"), []span{{8*mib - 1024, 24}}, "nvidia_raid_member"},
	{"promise", member(63, 0, "Promise Technology, Inc."), []span{{8*mib - 63*512, 32}}, "promise_fasttrack_raid_member"},
	{"promise-3087", member(3087, 0, "Promise Technology, Inc."), []span{{8*mib - 3087*512, 32}}, "promise_fasttrack_raid_member"},
	{"hpt45x", member(11, 0, "\xf3\x16\x78\x5a"), []span{{8*mib - 11*512, 8}}, "hpt45x_raid_member"},
	{"hpt45x-broken", member(11, 0, "\xfd\x16\x78\x5a"), []span{{8*mib - 11*512, 8}}, "hpt45x_raid_member"},
	{"hpt37x", func(testing.TB) *image { return raw(8*mib, 4640, "\xf0\x16\x78\x5a") }, []span{{4640, 8}}, "hpt37x_raid_member"},
	{"hpt37x-broken", func(testing.TB) *image { return raw(8*mib, 4640, "\xfd\x16\x78\x5a") }, []span{{4640, 8}}, "hpt37x_raid_member"},
	{"adaptec", func(testing.TB) *image {
		b := make([]byte, 512)
		copy(b, "\x37\xfc\x4d\x1e")
		b[63] = 9
		copy(b[256:], "DPTM")
		return raw(8*mib, 8*mib-512, string(b))
	}, []span{{8*mib - 512, 264}}, "adaptec_raid_member"},
	{"jmicron", member(1, 0, "JM\x02\x07\x11\x22"), []span{{8*mib - 512, 8}}, "jmicron_raid_member"},
}

// member is a text in the n-th last sector of a disk of 8 MiB.
func member(n, off int64, text string) func(testing.TB) *image {
	return func(testing.TB) *image { return raw(8*mib, 8*mib-n*512+off, text) }
}

// The partition that ends where the disk ends is not taken for the member that
// the disk is.
func TestFirmwareRAIDIsOfWholeDisks(t *testing.T) {
	for _, f := range fakeRAIDs {
		m := f.image(t)
		if r := probeWith(t, m, Options{Kind: Disk}); r.Type() != f.want {
			t.Errorf("%s on a disk: %q", f.name, r.Type())
		}
		if r := probeWith(t, m, Options{Kind: Partition}); r.Type() != "" {
			t.Errorf("%s on a partition: %q", f.name, r.Type())
		}
	}
}
