package pid1

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"firstlight/internal/console"
	"firstlight/internal/machine"
)

// What a program that stays says comes line by line, whole, until it ends.
func TestProgramThatStaysIsHeardUntilItEnds(t *testing.T) {
	c := &world{children: reaping(t)}
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

// A program that is asked to end does, with what it has started, and is heard until
// then. One that has ended is left alone.
func TestProgramThatStaysIsEnded(t *testing.T) {
	w := &world{children: reaping(t)}
	if err := w.Start("tang", machine.Program{Path: "/bin/sh", Args: []string{"-c", "echo one; sleep 1000; echo two"}}); err != nil {
		t.Fatal(err)
	}
	if said, err := w.Listen("tang"); err != nil || !slices.Equal(said.Lines, []string{"one"}) {
		t.Fatalf("%+v, %v", said, err)
	}
	if err := w.End("tang"); err != nil {
		t.Fatal(err)
	}
	if said, err := w.Listen("tang"); err != nil || !said.Ended || said.Code != 128+15 || len(said.Lines) > 0 {
		t.Errorf("%+v, %v", said, err)
	}
	if err := w.End("tang"); err != nil {
		t.Error(err)
	}
	if err := w.End("other"); err == nil {
		t.Error("a program was ended that was not started")
	}
}

// A key that a helper has found is in no line, and what is no key is nothing.
func TestSecretsOfHelpersAreApart(t *testing.T) {
	w := &world{children: reaping(t)}
	if err := w.Start("tang", machine.Program{Path: "/bin/sh", Args: []string{"-c", `printf 'one\n\00168756e746572 32\n\001686f7073\ntwo\n'`}}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	secret := ""
	for {
		said, err := w.Listen("tang")
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, said.Lines...)
		if said.Opens {
			secret += string(said.Secret)
		}
		if said.Ended {
			break
		}
	}
	if !slices.Equal(lines, []string{"one", "two"}) || secret != "hops" {
		t.Errorf("lines %q, secret %q", lines, secret)
	}
}

// A helper that asks has its socket, and its answer is that of the question.
func TestHelperAnswersAQuestion(t *testing.T) {
	w := &world{children: reaping(t), Console: console.Open([]string{"/nonexistent"})}
	dir := t.TempDir()
	src := `package main
import ("os";"syscall")
func main() {
	b := make([]byte, 4096)
	n, _ := syscall.Read(3, b)
	if n < 2 || b[0] != 'a' { os.Exit(1) }
	id := b[2:4+int(b[3])]
	m := append([]byte{'A', 0}, id...)
	syscall.Write(3, append(m, 0, 1, 'x', 0, 0, 's', 'e', 'c'))
	syscall.Read(3, b)
}`
	if err := os.WriteFile(dir+"/main.go", []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", dir+"/asks", dir+"/main.go").CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	if err := w.Start("asks", machine.Program{Path: dir + "/asks", Asks: true}); err != nil {
		t.Fatal(err)
	}
	got, err := w.Ask(machine.Prompt{ID: "luks 1", Text: "Passphrase"})
	if err != nil || string(got) != "sec" {
		t.Errorf("%q, %v", got, err)
	}
}
