package nvmfup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
	"firstlight/internal/nvmf"
)

type edge struct{ log []string }

func (e *edge) Connect(n int, t nvmf.Target) {
	e.log = append(e.log, fmt.Sprint("connect ", n, " ", t.Where()))
}
func (e *edge) Discover(n int, t nvmf.Target) {
	e.log = append(e.log, fmt.Sprint("discover ", n, " ", t.Where()))
}
func (e *edge) Say(r netreport.Report) {
	s := r.Get("condition") + ": " + r.Get("text")
	if try := r.Get("try"); try != "" {
		s += "; " + try
	}
	e.log = append(e.log, s)
}

func (e *edge) asked(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(e.log, want) {
		t.Errorf("asked for\n%s\nwant\n%s", strings.Join(e.log, "\n"), strings.Join(want, "\n"))
	}
	e.log = nil
}

func targets(params ...string) []nvmf.Target {
	return nvmf.Parse(nvmf.Sources{Params: params}).Targets
}

const subsystem = "nqn.2026-01.example:disk"

func TestAllAreConnectedAtOnce(t *testing.T) {
	e := &edge{}
	c := New(e, targets("rd.nvmf.connect=tcp,10.0.0.1,"+subsystem, "rd.nvmf.connect=tcp,10.0.0.2,"+subsystem))
	c.Start(0)
	e.asked(t, "working: is being connected", "connect 0 10.0.0.1:4420", "working: is being connected", "connect 1 10.0.0.2:4420")
	c.Connected(1, 1, "nvme0", nil)
	if e.asked(t, "there: is nvme0"); c.Done() {
		t.Error("done with one of two")
	}
	c.Connected(2, 0, "", ErrThere)
	if e.asked(t, "there: it is connected already"); !c.Done() || c.Next() != diskup.Never {
		t.Error("not done")
	}
}

func TestWhatIsListedIsConnected(t *testing.T) {
	e := &edge{}
	c := New(e, targets("rd.nvmf.discover=tcp,10.0.0.1"))
	c.Start(0)
	c.Discovered(1, 0, nil, nil)
	e.asked(t, "working: is being connected", "discover 0 10.0.0.1:8009", "blocked: lists no subsystem for this host; let the target give a subsystem to that host")
	c.Deadline(c.Next())
	list := targets("rd.nvmf.connect=tcp,10.0.0.1,"+subsystem, "rd.nvmf.discover=tcp,10.0.0.2", "rd.nvmf.discover=tcp,10.0.0.1")
	c.Discovered(2, 0, list, nil)
	e.asked(t, "discover 0 10.0.0.1:8009", "there: lists what there is", "working: is being connected", "connect 1 10.0.0.1:4420", "working: is being connected", "discover 2 10.0.0.2:8009")
	c.Connected(3, 1, "nvme1", nil)
	c.Discovered(3, 2, list, nil)
	if e.asked(t, "there: is nvme1", "there: lists what there is"); !c.Done() {
		t.Error("not done: controllers that list each other go on for ever")
	}
}

func TestReferralsEnd(t *testing.T) {
	e := &edge{}
	c := New(e, targets("rd.nvmf.discover=tcp,10.0.0.1"))
	c.Start(0)
	for n := 0; n < len(c.items); n++ {
		c.Discovered(1, n, targets(fmt.Sprintf("rd.nvmf.discover=tcp,10.0.1.%d", n)), nil)
	}
	if len(c.items) != maxDepth+1 || !c.Done() {
		t.Errorf("%d controllers", len(c.items))
	}
}

func TestWhatDoesNotAnswerIsAskedAgain(t *testing.T) {
	e := &edge{}
	c := New(e, targets("rd.nvmf.connect=tcp,10.0.0.1,"+subsystem))
	c.Start(0)
	e.log = nil
	var pauses []time.Duration
	now := time.Duration(0)
	for range 6 {
		c.Connected(now, 0, "", fmt.Errorf("%w: no route to host", ErrUnreachable))
		pauses = append(pauses, c.Next()-now)
		now = c.Next()
		c.Deadline(now)
	}
	if want := "[250ms 500ms 1s 2s 4s 4s]"; fmt.Sprint(pauses) != want {
		t.Errorf("%v, want %s", pauses, want)
	}
	e.log = e.log[:2]
	e.asked(t, "incomplete: it cannot be reached: no route to host; look whether an NVMe target listens at 10.0.0.1:4420", "connect 0 10.0.0.1:4420")
	for err, want := range map[error]string{ErrRefused: "whether the host", ErrSecret: "look at dhchap_key", ErrDriver: "--feature nvmf", ErrOptions: "dmesg"} {
		if c.Connected(now, 0, "", err); !strings.Contains(e.log[len(e.log)-1], want) {
			t.Errorf("%v: %q", err, e.log)
		}
	}
}
