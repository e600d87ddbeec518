package sshdesk

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"firstlight/internal/askwire"
	"firstlight/internal/sshconf"
)

// log is effects as text.
func log(effects []Effect) string {
	var b strings.Builder
	for _, e := range effects {
		name := ""
		if e.Session != nil {
			name = e.Session.Name
		}
		switch {
		case e.Send != nil:
			fmt.Fprintf(&b, "%c %s %s %s=%s;", e.Send.Kind, e.Send.ID, e.Send.By, e.Send.Text, e.Send.Secret)
		case e.Shell != "":
			fmt.Fprintf(&b, "%s shell %s;", name, e.Shell)
		case e.Close:
			fmt.Fprintf(&b, "%s ends %d;", name, e.Exit)
		default:
			fmt.Fprintf(&b, "%s:%q;", name, e.Show)
		}
	}
	return b.String()
}

func want(t *testing.T, effects []Effect, want string) {
	t.Helper()
	if got := log(effects); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func ask(id string) askwire.Message {
	return askwire.Message{Kind: askwire.Ask, ID: id, Text: "Passphrase"}
}

func TestTwoSessions(t *testing.T) {
	var d Desk
	a := &Session{Name: "a", PTY: true, Mode: sshconf.ModeUnlock}
	b := &Session{Name: "b", PTY: true, Mode: sshconf.ModeConsole}
	want(t, d.Open(a), `a:"Nothing is asked now; what is asked will stand here. Ctrl-D leaves.\n";`)
	want(t, d.Heard(ask("q")), `a:"Passphrase: ";`)
	want(t, d.Open(b), `b:"Passphrase: ";`)
	want(t, d.Typed(a, []byte("x")), `a:"*";`)
	want(t, d.Typed(b, []byte("pw\r")), `b:"*";b:"*";A q b =pw;b:"\n";`)
	// The other is too late, and what it has typed goes nowhere.
	want(t, d.Heard(askwire.Message{Kind: askwire.End, ID: "q", By: "b"}), `a:" [answered at b]\n";`)
	want(t, d.Typed(a, []byte("yz\r")), "")
	want(t, d.Heard(askwire.Message{Kind: askwire.Told, Text: "wrong"}), `a:"wrong\n";b:"wrong\n";`)
	want(t, d.Heard(ask("q")), `a:"Passphrase: ";b:"Passphrase: ";`)
	// Who leaves has not answered.
	want(t, d.Typed(a, []byte("half\x03")), `a:"*";a:"*";a:"*";a:"*";a:"\n";a ends 1;`)
	want(t, d.Heard(askwire.Message{Kind: askwire.End, ID: "q"}), `b:" [no longer asked]\n";`)
	want(t, d.Leave(), `b:"\nThe initramfs is left; this session ends.\n";b ends 0;`)
}

func TestOnlyAConsoleIsAskedForAShell(t *testing.T) {
	var d Desk
	a := &Session{Name: "a", PTY: true, Mode: sshconf.ModeUnlock}
	b := &Session{Name: "b", PTY: true, Mode: sshconf.ModeConsole}
	c := &Session{Name: "c", Mode: sshconf.ModeConsole}
	d.Open(a)
	d.Open(b)
	d.Open(c)
	want(t, d.Heard(ask(askwire.ShellPrompt)), `b:"Passphrase: ";`)
	want(t, d.Typed(a, []byte("\r")), "")
	want(t, d.Typed(b, []byte("\r")), `A emergency b =;b:"\n";`)
	want(t, d.Heard(askwire.Message{Kind: askwire.End, ID: askwire.ShellPrompt, By: "b"}), "")
	want(t, d.Heard(askwire.Message{Kind: askwire.Shell, ID: askwire.ShellPrompt, Text: "/bin/sh"}), `b shell /bin/sh;`)
	want(t, d.Heard(askwire.Message{Kind: askwire.Told, Text: "a disk came"}), `a:"a disk came\n";c:"a disk came\n";`)
	want(t, d.Closed(b), `E   =;`)
	want(t, d.Heard(askwire.Message{Kind: askwire.Shell, ID: askwire.ShellPrompt, Text: "/bin/sh"}), `E   the session that wanted the shell has gone=;`)
}

// A script may have typed all before anything is asked, and has one line for each
// question.
func TestScripts(t *testing.T) {
	var d Desk
	a := &Session{Name: "a"}
	want(t, d.Open(a), "")
	want(t, d.Typed(a, []byte("one\ntwo")), "")
	want(t, d.EOF(a), "")
	want(t, d.Heard(ask("q")), `a:"Passphrase: ";A q a =one;a:"\n";`)
	want(t, d.Heard(askwire.Message{Kind: askwire.End, ID: "q", By: "a"}), "")
	want(t, d.Heard(ask("r")), `a:"Passphrase: ";A r a =two;a:"\n";`)
	want(t, d.Heard(askwire.Message{Kind: askwire.End, ID: "r", By: "a"}), "")
	want(t, d.Heard(ask("s")), `a:"Passphrase: ";a:"\nNo answer was given.\n";a ends 1;`)
	b := &Session{Name: "b"}
	d.Heard(askwire.Message{Kind: askwire.End, ID: "s"})
	want(t, d.Open(b), "")
	want(t, d.EOF(b), `b:"Nothing is asked now, and no answer was given.\n";b ends 1;`)
}

// However people come, type, leave and are told: no question has two answers from
// here, nobody is asked what is not theirs to answer, and who has gone hears nothing.
func TestAnySequenceKeepsTheRules(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		var d Desk
		var open []*Session
		gone := map[*Session]bool{}
		answers, standing, n := 0, "", 0
		look := func(effects []Effect) {
			for _, e := range effects {
				if e.Session != nil && gone[e.Session] && e.Send == nil {
					t.Fatalf("seed %d: %s is shown %s after its end", seed, e.Session.Name, log([]Effect{e}))
				}
				if e.Close {
					gone[e.Session] = true
				}
				if e.Send != nil && e.Send.Kind == askwire.Answer {
					if answers++; answers > 1 || e.Send.ID != standing {
						t.Fatalf("seed %d: answer %d to %q, and %q stands", seed, answers, e.Send.ID, standing)
					}
					if standing == askwire.ShellPrompt && !(e.Session.PTY && e.Session.Mode == sshconf.ModeConsole) {
						t.Fatalf("seed %d: %s wants a shell", seed, e.Session.Name)
					}
				}
			}
		}
		for range 60 {
			var s *Session
			if len(open) > 0 {
				s = open[r.IntN(len(open))]
			}
			switch k := r.IntN(9); {
			case k == 0 && len(open) < 6:
				n++
				s = &Session{Name: fmt.Sprint("s", n), PTY: r.IntN(2) == 0, Mode: [2]sshconf.Mode{sshconf.ModeUnlock, sshconf.ModeConsole}[r.IntN(2)]}
				open = append(open, s)
				look(d.Open(s))
			case k == 1:
				standing, answers = [3]string{"luks 1", "luks 2", askwire.ShellPrompt}[r.IntN(3)], 0
				look(d.Heard(ask(standing)))
			case k == 2 && standing != "":
				id := standing
				standing = ""
				look(d.Heard(askwire.Message{Kind: askwire.End, ID: id, By: [2]string{"", "/dev/ttyS0"}[r.IntN(2)]}))
			case k == 3:
				look(d.Heard(askwire.Message{Kind: askwire.Told, Text: "news"}))
			case k == 4 && s != nil:
				look(d.EOF(s))
			case k == 5 && s != nil && r.IntN(3) == 0:
				look(d.Closed(s))
				gone[s] = true
			case k == 6 && r.IntN(4) == 0:
				look(d.Heard(askwire.Message{Kind: askwire.Shell, ID: askwire.ShellPrompt, Text: "/bin/sh"}))
			case s != nil:
				look(d.Typed(s, []byte([5]string{"pass", "\r", "word\n", "\x04", "\x7f"}[r.IntN(5)])))
			}
		}
		look(d.Leave())
		for _, s := range open {
			if !gone[s] {
				t.Fatalf("seed %d: %s is still there", seed, s.Name)
			}
		}
	}
}
