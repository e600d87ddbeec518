package bootcmd

import (
	"testing"
	"time"

	"firstlight/internal/timespan"
)

func TestRare(t *testing.T) {
	for _, tt := range []struct {
		text, prefix string
		want         Rare
		problems     int
	}{
		{"", "", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}}, 0},
		{"rd.bcache=0 raid-member-delay=0", "", Rare{Bcache: Bcache{false, Degraded{Wait: timespan.Forever}}}, 0},
		{"rd.bcache.degraded=3,ro", "", Rare{Bcache: Bcache{true, Degraded{3 * time.Second, DegradedReadOnly}}}, 0},
		{"-- rd.bcache=0", "", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}}, 0},
		{"rd.bcache.degraded=soon", "rd.bcache", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}}, 1},
		{"rd.bcache.degraded=soon", "rd.multipath", Rare{Bcache: Bcache{true, Degraded{Wait: 15 * time.Second}}}, 0},
	} {
		c, _ := cmdline(tt.text)
		got, problems := ReadRare(c, tt.prefix)
		if got != tt.want || len(problems) != tt.problems {
			t.Errorf("%q: %+v, %v", tt.text, got, problems)
		}
	}
}
