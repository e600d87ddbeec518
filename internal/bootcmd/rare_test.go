package bootcmd

import (
	"testing"
	"time"

	"firstlight/internal/timespan"
)

func TestRare(t *testing.T) {
	pool := ZFS{Enabled: true, Degraded: Degraded{Wait: 15 * time.Second}}
	with := func(f func(z *ZFS)) Rare {
		z := pool
		f(&z)
		return Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}, ZFS: z}
	}
	for _, tt := range []struct {
		text, prefix string
		want         Rare
		problems     int
	}{
		{"", "", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}, ZFS: pool}, 0},
		{"rd.bcache=0 raid-member-delay=0", "", Rare{Bcache: Bcache{false, Degraded{Wait: timespan.Forever}}, ZFS: ZFS{Enabled: true, Degraded: Degraded{Wait: timespan.Forever}}}, 0},
		{"rd.bcache.degraded=3,ro", "", Rare{Bcache: Bcache{true, Degraded{3 * time.Second, DegradedReadOnly}}, ZFS: pool}, 0},
		{"-- rd.bcache=0", "", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}, ZFS: pool}, 0},
		{"rd.bcache.degraded=soon", "rd.bcache", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}, ZFS: pool}, 1},
		{"rd.bcache.degraded=soon", "rd.multipath", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}, ZFS: pool}, 0},
		{"rd.zfs=0 rd.zfs.degraded=7,ro", "", with(func(z *ZFS) {
			z.Enabled, z.Degraded = false, Degraded{7 * time.Second, DegradedReadOnly}
		}), 0},
		{"zfs_force=1 spl_hostid=0x00bab10c rpool=tank bootfs=tank/a", "", with(func(z *ZFS) {
			z.Force, z.HostID, z.Pool, z.Dataset = true, "bab10c", "tank", "tank/a"
		}), 0},
		{"zfs.force=yes spl.spl_hostid=12234 rollback=on bootfs.snapshot=s", "", with(func(z *ZFS) {
			z.Force, z.HostID, z.Rollback, z.Snapshot, z.SnapshotAs = true, "2fca", true, true, "s"
		}), 0},
		{"bootfs.rollback=before zfsforce", "", with(func(z *ZFS) { z.Force, z.Rollback, z.RollbackTo = true, true, "before" }), 0},
		{"spl_hostid=123456789 rd.zfs.degraded=soon", "", with(func(*ZFS) {}), 2},
	} {
		c, _ := cmdline(tt.text)
		got, problems := ReadRare(c, tt.prefix)
		if got != tt.want || len(problems) != tt.problems {
			t.Errorf("%q: %+v, %v", tt.text, got, problems)
		}
	}
}
