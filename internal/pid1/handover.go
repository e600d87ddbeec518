package pid1

import (
	"strings"

	"firstlight/internal/fmt"
)

// handOver leaves what the real system needs of this boot in /run, and the
// terminals as they were.
func (l *loop) handOver() {
	st := l.core.Stats()
	var b strings.Builder
	for _, f := range []struct {
		name string
		n    int
	}{{"events", st.Events}, {"runs", st.Runs}, {"operations", st.Operations}, {"deadlines_set", st.Set},
		{"timers_fired", st.Fired}, {"deadlines_cancelled", st.Cancelled}, {"panics", st.Panics},
		{"uevents_dropped", l.socket.Dropped()}} {
		fmt.Fprintf(&b, "%s=%d\n", f.name, f.n)
	}
	fmt.Fprintf(&b, "switch_root_usec=%d\n", now().Microseconds())
	writeSummary(b.String() + "image=" + optional("/etc/firstlight/id"))
	writeDatabase(l.core.World().Devices)
	l.record()
	// The sockets and files close themselves at exec; closing them here would
	// only startle those who wait on them.
	l.out.console.Restore()
}
