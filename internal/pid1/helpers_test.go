package pid1

import (
	"slices"
	"testing"

	"firstlight/internal/machine"
)

// What a program that stays says comes line by line, whole, until it ends.
func TestProgramThatStaysIsHeardUntilItEnds(t *testing.T) {
	c := reaping(t)
	err := c.Start("net", machine.Program{Path: "/bin/sh", Args: []string{"-c", "read a; echo one $a; printf two; printf '\\nthr'; echo ee; exit 3"}, Input: []byte("typed\n")})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for {
		said, err := c.Listen("net")
		if err != nil || len(said.Lines) == 0 && !said.Ended {
			t.Fatalf("%+v, %v", said, err)
		}
		lines = append(lines, said.Lines...)
		if said.Ended {
			if said.Code != 3 {
				t.Errorf("exit %d", said.Code)
			}
			break
		}
	}
	if !slices.Equal(lines, []string{"one typed", "two", "three"}) {
		t.Errorf("%q", lines)
	}
	if _, err := c.Listen("other"); err == nil {
		t.Error("a program was heard that was not started")
	}
	if err := c.Start("net", machine.Program{Path: "/nonexistent"}); err == nil {
		t.Error("a program was started that is not there")
	}
}
