package blkid

import (
	"testing"

	"firstlight/test/fixtures/lvmmd"
)

// kept are devices of which the ends were kept when the tool of a Debian guest
// made them: it takes a kernel with device-mapper and MD to do so.
func kept(archive, name string, i int) func(testing.TB) *image {
	return func(t testing.TB) *image {
		t.Helper()
		d, ok := lvmmd.Open(t, archive).Device(t, name, i)
		if !ok {
			t.Fatalf("%s has no device %d of %s", archive, i, name)
		}
		m := newImage(int64(d.Size))
		m.put(0, d.Head)
		m.put(m.size-int64(len(d.Tail)), d.Tail)
		for k, pg := range m.pages {
			if zero(pg) {
				delete(m.pages, k)
			}
		}
		return m
	}
}

const (
	members = "testdata/members.tar.zst"
	arrays  = "../mdsuper/testdata/arrays.tar.zst"
	groups  = "../lvmmeta/testdata/groups.tar.zst"
	ram     = 20 * mib // the size of a RAM disk of arrays and groups
)

var keptFixtures = []fixture{
	{"ddf of mdadm", func(t testing.TB) *image {
		m := kept(members, "ddf", 0)(t)
		m.put(0xc000*512, m.get(m.size-512, 512)) // the primary header, which was not kept
		return m
	}, []span{{40*mib - 512, 512}, {40*mib - 192*kib, 64 * kib}}, "ddf_raid_member"},
	{"imsm of mdadm", kept(members, "imsm", 0), []span{{40*mib - 1024, 1024}}, "isw_raid_member"},
	{"integrity of integritysetup", kept(members, "integrity", 0), []span{{0, 128}}, "DM_integrity"},
	{"integrity with sha256", kept(members, "integrity", 1), []span{{0, 128}}, "DM_integrity"},
	{"persistent snapshot", kept(members, "snapshot", 0), []span{{0, 32}}, "DM_snapshot_cow"},
	{"md 0.90 of mdadm", kept(arrays, "raid1-0.90", 0), []span{{ram - 64*kib, 512}}, "linux_raid_member"},
	{"md 1.0 of mdadm", kept(arrays, "raid1-1.0", 1), []span{{ram - 8*kib, 512}}, "linux_raid_member"},
	{"md 1.1 of mdadm", kept(arrays, "raid5-1.1", 2), []span{{0, 512}}, "linux_raid_member"},
	{"md 1.2 of mdadm", kept(arrays, "raid6-1.2", 3), []span{{4 * kib, 512}}, "linux_raid_member"},
	{"lvm2 of pvcreate", kept(groups, "plain", 0), []span{{512, 512}, {4 * kib, 512}}, "LVM2_member"},
	{"bcache backing", tool(20*mib, "make-bcache", "-B", "FILE"), []span{{4 * kib, 256}}, "bcache"},
	{"bcache cache", tool(200*mib, "make-bcache", "-C", "FILE"), []span{{4 * kib, 256}}, "bcache"},
	{"drbd 8.4 of drbdmeta", drbdmeta("v08", ""), []span{{20*mib - 4096, 128}}, "drbd"},
	{"drbd 9 of drbdmeta", drbdmeta("v09", "3"), []span{{20*mib - 4096, 128}}, "drbd"},
	{"vdo of vdoformat", func(testing.TB) *image {
		// The geometry block that vdoformat 8.3 of Debian 13 wrote.
		return raw(8*mib, 0, "dmvdo001\x05\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
			"\x1d\xd3\x90\x9e\x6a\x61\x06\x00\x57\x8b\xe8\x3f\x42\x9a\x45\xd1\xb0\x36\x22\x78\x6a\xbd\x7e\x3a"+
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\xd8\x5c\x0a")
	}, []span{{0, 64}}, "vdo"},
}

func drbdmeta(version, peers string) func(testing.TB) *image {
	args := []string{"drbdmeta", "--force", "0", version, "FILE", "internal", "create-md"}
	if peers != "" {
		args = append(args, peers)
	}
	return tool(20*mib, args...)
}
