package console

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
	"firstlight/internal/testtool"
)

// screen is what a person sees at one terminal, and the keys under his hands.
type screen struct {
	t    *testing.T
	keys *os.File
	name string
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	// A descriptor that the runtime polls, so that closing it ends the read.
	fd, err := unix.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	master.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "master")
	s := &screen{t: t, keys: master, name: slave.Name(), more: make(chan struct{}, 1)}
	t.Cleanup(func() { master.Close(); slave.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}()
	return s
}

func (s *screen) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// shows waits until the text is on the screen.
func (s *screen) shows(text string) {
	s.t.Helper()
	limit := time.After(10 * time.Second)
	for !strings.Contains(s.seen(), text) {
		select {
		case <-s.more:
		case <-limit:
			s.t.Fatalf("%q is not on the screen:\n%q", text, s.seen())
		}
	}
}

func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

type answer struct {
	text string
	err  error
}

func ask(c *Console, p machine.Prompt) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		b, err := c.Ask(p)
		ch <- answer{string(b), err}
	}()
	return ch
}

func (s *screen) gets(ch <-chan answer) answer {
	s.t.Helper()
	select {
	case a := <-ch:
		return a
	case <-time.After(10 * time.Second):
		s.t.Fatalf("no answer; on the screen:\n%q", s.seen())
		return answer{}
	}
}

func echoes(t *testing.T, name string) bool {
	t.Helper()
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO != 0
}

var question = machine.Prompt{ID: "q", Text: "Passphrase"}

func TestQuestionStandsOnEveryConsoleAndTheFirstEnterAnswers(t *testing.T) {
	a, b := newScreen(t), newScreen(t)
	c := Open([]string{a.name, b.name})
	defer c.Close()
	got := ask(c, question)
	a.shows("Passphrase: ")
	b.shows("Passphrase: ")
	a.types("half a")
	a.shows("******")
	b.types("secret\r")
	if r := b.gets(got); r.text != "secret" || r.err != nil {
		t.Errorf("%+v", r)
	}
	for _, s := range []*screen{a, b} {
		if strings.Contains(s.seen(), "secret") || strings.Contains(s.seen(), "half") {
			t.Errorf("the passphrase is on the screen: %q", s.seen())
		}
		if !echoes(t, s.name) {
			t.Error("the terminal is left without echo")
		}
	}
}

// Of a console and two sessions the first answers for all, and the others are told
// where, whichever it is.
func TestTheOthersAreToldWhereItWasAnswered(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name})
	defer c.Close()
	one, two := place(c), place(c)
	got := ask(c, question)
	s.shows("Passphrase: ")
	<-one.asked
	<-two.asked
	s.types("half")
	s.shows("****")
	if !c.Answer(two, "q", "ssh 2", []byte("secret")) || c.Answer(one, "q", "ssh 1", []byte("late")) {
		t.Error("it was not the first answer that counts")
	}
	if r := s.gets(got); r.text != "secret" || r.err != nil {
		t.Errorf("%+v", r)
	}
	s.shows("[answered at ssh 2]")

	got = ask(c, machine.Prompt{ID: "again", Text: "Passphrase"})
	<-one.asked
	<-two.asked
	s.shows("Passphrase: ")
	s.types("typed\r")
	if r := s.gets(got); r.text != "typed" || r.err != nil {
		t.Errorf("%+v", r)
	}
	if c.Answer(one, "again", "ssh 1", []byte("late")) {
		t.Error("a second answer was taken")
	}
	for _, r := range []*recorder{one, two} {
		r.mu.Lock()
		if want := []string{"ask q", "end q ssh 2", "ask again", "end again " + s.name}; !slices.Equal(r.heard, want) {
			t.Errorf("a session heard %q, not %q", r.heard, want)
		}
		r.mu.Unlock()
	}
	if text := s.seen(); strings.Contains(text, "secret") || strings.Contains(text, "half") {
		t.Errorf("an answer is on the screen: %q", text)
	}
}

func TestMessageIsShownAboveTheQuestion(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name, s.name}) // named twice, used once
	defer c.Close()
	got := ask(c, question)
	s.shows("Passphrase: ")
	s.types("abc")
	s.shows("***")
	c.Print("a disk came\nand another\n")
	s.shows("\r\x1b[Ka disk came\r\r\nand another\r\r\nPassphrase: ***")
	s.types("\x7fd\r")
	if r := s.gets(got); r.text != "abd" {
		t.Errorf("%+v", r)
	}
	if n := strings.Count(s.seen(), "a disk came"); n != 1 {
		t.Errorf("shown %d times", n)
	}
}

func TestWithdrawnQuestionMakesRoomForTheNext(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name})
	defer c.Close()
	first := ask(c, question)
	s.shows("Passphrase: ")
	second := ask(c, machine.Prompt{ID: "r", Text: "Second", Echo: true})
	c.Dismiss("nobody asked this")
	c.Dismiss("q")
	if r := s.gets(first); !errors.Is(r.err, machine.ErrDismissed) {
		t.Errorf("%+v", r)
	}
	s.shows("Second: ")
	s.types("seen\r")
	if r := s.gets(second); r.text != "seen" {
		t.Errorf("%+v", r)
	}
	s.shows("Second: seen")
}

func TestQuestionWithdrawnBeforeItsTurnIsNeverShown(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name})
	defer c.Close()
	first := ask(c, question)
	s.shows("Passphrase: ")
	second := ask(c, machine.Prompt{ID: "r", Text: "Second"})
	for { // until it waits for its turn
		c.mu.Lock()
		there := c.waiting["r"]
		c.mu.Unlock()
		if there {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c.Dismiss("r")
	s.types("x\r")
	s.gets(first)
	if r := s.gets(second); !errors.Is(r.err, machine.ErrDismissed) || strings.Contains(s.seen(), "Second") {
		t.Errorf("%+v, screen %q", r, s.seen())
	}
}

func TestPersonMayRefuse(t *testing.T) {
	for _, key := range []string{"\x04", "\x03", "abc\x03"} {
		s := newScreen(t)
		c := Open([]string{s.name})
		got := ask(c, question)
		s.shows("Passphrase: ")
		s.types(key)
		if r := s.gets(got); !errors.Is(r.err, machine.ErrCancelled) {
			t.Errorf("%q: %+v", key, r)
		}
		c.Close()
	}
}

func TestConsoleThatHangsUpLeavesTheOther(t *testing.T) {
	a, b := newScreen(t), newScreen(t)
	c := Open([]string{a.name, b.name})
	defer c.Close()
	got := ask(c, question)
	a.shows("Passphrase: ")
	b.shows("Passphrase: ")
	a.keys.Close()
	c.Print("still here")
	b.shows("still here")
	b.types("yes\r")
	if r := b.gets(got); r.text != "yes" {
		t.Errorf("%+v", r)
	}
}

func TestLastConsoleThatHangsUpEndsTheQuestion(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name})
	defer c.Close()
	got := ask(c, question)
	s.shows("Passphrase: ")
	s.keys.Close()
	if r := s.gets(got); !errors.Is(r.err, machine.ErrNoConsole) {
		t.Errorf("%+v", r)
	}
	if r := s.gets(ask(c, question)); r.err == nil {
		t.Error("asked at a terminal that is gone")
	}
}

func TestTerminalThatTakesNothingHoldsUpOnce(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	c := Open([]string{slave.Name()})
	defer c.Close()
	begin := time.Now()
	for range 20 { // nobody reads
		c.Print(strings.Repeat("x", 4096))
	}
	if d := time.Since(begin); d > 3*writePatience {
		t.Errorf("20 messages took %v", d)
	}
}

func TestNoConsoleAtAllIsAnErrorAndNotAWait(t *testing.T) {
	c := &Console{waiting: map[string]bool{}, wake: [2]int{-1, -1}}
	c.Print("to nobody")
	if _, err := c.Ask(question); !errors.Is(err, machine.ErrNoConsole) {
		t.Error(err)
	}
	if _, _, err := c.Lend(""); !errors.Is(err, machine.ErrNoConsole) {
		t.Error(err)
	}
	if _, err := c.Ask(question); !errors.Is(err, machine.ErrNoConsole) {
		t.Error("the turn was kept")
	}
}

func TestRestoreGivesTheTerminalBackUnderAQuestion(t *testing.T) {
	s := newScreen(t)
	c := Open([]string{s.name})
	defer c.Close()
	got := ask(c, question)
	s.shows("Passphrase: ")
	if echoes(t, s.name) {
		t.Error("a passphrase would be shown")
	}
	c.Restore()
	if !echoes(t, s.name) {
		t.Error("the real system's login would show nothing")
	}
	c.Dismiss("q")
	s.gets(got)
}

// A shell runs where it is asked for, and where that is not possible at the
// main console rather than nowhere.
func TestTerminalIsLentToAProgram(t *testing.T) {
	first, last, other := newScreen(t), newScreen(t), newScreen(t)
	c := Open([]string{first.name, last.name})
	defer c.Close()
	for name, want := range map[string]*screen{"": last, first.name: first, other.name: other, "/dev/none": last} {
		fd, restore, err := c.Lend(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		text := "for " + name + "."
		unix.Write(int(fd), []byte(text))
		want.shows(text)
		restore()
	}
}

// hangUp is set in the environment of this test's own program when it is to be
// the shell of TestTerminalIsUsableAfterAShell.
const hangUp = "FIRSTLIGHT_TEST_HANG_UP"

// A shell that ends hangs its terminal up for everybody. What is said and asked
// afterwards must get there all the same. The kernel does so at the end of the
// shell by itself, but not of one at a pseudo-terminal.
func TestTerminalIsUsableAfterAShell(t *testing.T) {
	if os.Getenv(hangUp) != "" {
		if _, _, errno := unix.Syscall(unix.SYS_VHANGUP, 0, 0, 0); errno != 0 {
			os.Exit(3)
		}
		os.Exit(0)
	}
	testtool.Root(t)
	for _, ask := range []bool{false, true} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		c := Open([]string{slave.Name()})
		defer c.Close()
		shell := exec.Command(os.Args[0], "-test.run=^TestTerminalIsUsableAfterAShell$")
		shell.Env = []string{hangUp + "=1"}
		shell.Stdin = slave
		shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		// The hang-up may reach the program itself, by a signal.
		if err := shell.Run(); err != nil && !shell.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatal(err)
		}
		slave.Close()
		if !ask {
			c.Print("after the shell")
			shows(t, master, "after the shell")
			continue
		}
		got := make(chan string, 1)
		go func() {
			b, err := c.Ask(question)
			got <- fmt.Sprint(string(b), err)
		}()
		shows(t, master, question.Text)
		if _, err := master.WriteString("typed\r"); err != nil {
			t.Fatal(err)
		}
		if a := <-got; a != "typed<nil>" {
			t.Errorf("the answer is %s", a)
		}
	}
}

// shows reads what comes out of a terminal until the text is there. Meanwhile
// nobody may have it open, which a read says with an error.
func shows(t *testing.T, master *os.File, text string) {
	t.Helper()
	var seen []byte
	buf := make([]byte, 4096)
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		fds := []unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}
		if unix.Poll(fds, 100); fds[0].Revents == 0 {
			continue
		}
		n, err := unix.Read(int(master.Fd()), buf)
		if err != nil && err != unix.EIO {
			t.Fatal(err)
		}
		if seen = append(seen, buf[:max(n, 0)]...); strings.Contains(string(seen), text) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%q is not on the screen: %q", text, seen)
}
