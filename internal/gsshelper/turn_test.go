package gsshelper

import (
	"strings"
	"testing"
)

// There is always one that has tickets, and never one that is asked something is ended.
func TestTurnsOfTwo(t *testing.T) {
	type look struct {
		runs, others bool
		threads      int
		want         Step
	}
	for name, looks := range map[string][]look{
		"nobody comes":             {{true, false, 2, None}, {true, false, 3, None}},
		"the system's one comes":   {{true, false, 2, None}, {true, true, 2, End}, {false, true, 0, None}},
		"it is started again":      {{true, true, 2, End}, {false, false, 0, Start}, {true, true, 2, End}, {false, true, 0, None}},
		"it ends at shutdown":      {{false, true, 0, None}, {false, false, 0, Start}, {true, false, 2, None}},
		"the kernel waits":         {{true, true, 3, Later}, {true, true, 4, Later}, {true, true, 2, End}},
		"the other one goes again": {{true, true, 3, Later}, {true, false, 3, None}, {true, true, 3, Later}},
	} {
		turn := Turn{Idle: 2}
		for i, l := range looks {
			if got := turn.Next(l.runs, l.others, l.threads); got != l.want {
				t.Errorf("%s, look %d: %v, not %v", name, i, got, l.want)
			}
		}
	}
	turn := Turn{Idle: 2}
	for range patience {
		if got := turn.Next(true, true, 3); got != Later {
			t.Fatal(got)
		}
	}
	if got := turn.Next(true, true, 3); got != End {
		t.Errorf("%v: it would never be ended", got)
	}
}

func TestUnitRunsItFromMemory(t *testing.T) {
	text := Unit("/usr/sbin/rpc.gssd", "/run/home", "/pipes")
	for _, line := range []string{"[Service]", "RootDirectory=/run/home", "ExecStart=", "ExecStart=/usr/sbin/rpc.gssd -p /pipes -d /tmp:/real/tmp:/run/user/%%U"} {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}
