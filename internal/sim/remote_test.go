package sim_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/jose/josetest"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// clevisSecret is what a volume is bound with.
const clevisSecret = "what tang gives"

// clevisToken is a token of Clevis as it stands in the header.
func clevisToken() string {
	f := strings.Split(josetest.Seal(`{"alg":"ECDH-ES","enc":"A256GCM","clevis":{"pin":"tang","tang":{"url":"http://tang"}}}`), ".")
	return `"0":{"type":"clevis","keyslots":["1"],"jwe":{"protected":"` + f[0] + `","encrypted_key":"","iv":"` + f[2] + `","ciphertext":"` + f[3] + `","tag":"` + f[4] + `"}}`
}

// reached is a machine with an encrypted root and the network, which people and a
// Tang server may open.
func reached(cmdline string, bound bool, features ...string) *sim.Machine {
	l := content.LUKS{Version: 2, UUID: luksUUID, Passphrases: []string{passphrase, clevisSecret}}
	if bound {
		l.Tokens = clevisToken()
	}
	m := onNetwork("root=LABEL=root rd.luks.uuid=" + luksUUID + " " + cmdline)
	m.Plug(sim.Encrypt(l, &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}))
	m.Image.Features = features
	return m
}

func TestVisitorUnlocks(t *testing.T) {
	m := reached("", false, "ssh")
	m.Visitors = []*sim.Visitor{{Name: "ssh 10.0.0.2", From: 3 * time.Minute, Person: sim.Person{Knows: map[string]string{"": passphrase}, After: 10 * time.Second, Wrong: 1}}}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if len(m.AnsweredBy) != 2 || m.AnsweredBy[1] != "ssh 10.0.0.2" {
		t.Errorf("answered by %q", m.AnsweredBy)
	}
}

// A session that goes while its person types is no answer; the console's is.
func TestFirstAnswerCountsAndADisconnectIsNone(t *testing.T) {
	m := reached("", false, "ssh")
	knows := map[string]string{"": passphrase}
	m.Person = &sim.Person{Knows: knows, After: time.Minute}
	m.Visitors = []*sim.Visitor{
		{Name: "gone", From: time.Second, To: 20 * time.Second, Person: sim.Person{Knows: knows, After: 30 * time.Second}},
		{Name: "refuses", Person: sim.Person{Refuses: true}},
		{Name: "late", Person: sim.Person{Knows: knows, After: 2 * time.Minute}},
	}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if len(m.AnsweredBy) != 1 || m.AnsweredBy[0] != "console" || len(m.Prompts) != 1 {
		t.Errorf("answered by %q, asked %d times", m.AnsweredBy, len(m.Prompts))
	}
}

// The passphrase is asked for at once, and the question withdrawn when the server
// has answered.
func TestTangOpensWhileSomebodyIsAsked(t *testing.T) {
	m := reached("", true, "clevis")
	m.Tang = &sim.Tang{Answers: 3 * time.Minute, Secret: map[string]string{"": clevisSecret}}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if len(m.Prompts) != 1 || strings.Contains(m.SaidText(), "cannot be") {
		t.Errorf("asked %d times, said:\n%s", len(m.Prompts), m.SaidText())
	}
	if bytes.Contains(m.Journal, []byte(clevisSecret)) || bytes.Contains(m.Inputs, []byte(clevisSecret)) {
		t.Error("what opens the volume is in a record")
	}
}

// Once the volume is open nobody is asked any more, neither a server that never
// answers nor one that comes with the network.
func TestTangIsAskedNoMoreWhenThePassphraseHasOpened(t *testing.T) {
	for name, m := range map[string]*sim.Machine{"a server": reached("", true, "clevis"), "no network": reached("", true, "clevis")} {
		m.Tang = &sim.Tang{Answers: -1}
		m.Person = &sim.Person{Knows: map[string]string{"": passphrase}, After: time.Minute}
		if name == "no network" {
			m.Network.Cards[0].Carrier = -1
		}
		boot(t, m)
		started(t, m, "/dev/dm-0")
		if want := map[string]int{"a server": 1}[name]; len(m.Ended) != want {
			t.Errorf("%s: %q were ended, not %d", name, m.Ended, want)
		}
		if strings.Contains(string(m.Journal), "problem\tClevis") || strings.Contains(m.SaidText(), "has ended (exit") {
			t.Errorf("%s: that its helper was ended is called a fault:\n%s", name, m.SaidText())
		}
	}
}

// An image with TLS for Tang starts the program that has it.
func TestTangByTLSIsAnotherProgram(t *testing.T) {
	m := reached("", true, "clevis", "clevis-tls")
	m.Tang = &sim.Tang{Answers: time.Second, Secret: map[string]string{"": clevisSecret}}
	m.Record = true
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if !bytes.Contains(m.Journal, []byte("start /usr/lib/firstlight/tang-tls")) {
		t.Errorf("%s", m.Journal)
	}
}

// What a server gives and does not open the volume costs nobody a try.
func TestWrongAnswerOfTangLeavesThePersonAllTries(t *testing.T) {
	m := reached("", true, "clevis")
	m.Tang = &sim.Tang{Answers: time.Second, Secret: map[string]string{"": "something else"}}
	m.Person = &sim.Person{Knows: map[string]string{"": passphrase}, Wrong: 2, After: 20 * time.Second}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if !strings.Contains(m.SaidText(), "does not open it") {
		t.Errorf("it is not said:\n%s", m.SaidText())
	}
}

// Where nobody may be asked the server is waited for.
func TestHeadlessWaitsForTang(t *testing.T) {
	for answers, starts := range map[time.Duration]bool{40 * time.Second: true, -1: false} {
		m := reached("rd.luks.options=headless rd.shell=0 rd.emergency=poweroff", true, "clevis")
		m.Tang = &sim.Tang{Answers: answers, Secret: map[string]string{"": clevisSecret}}
		boot(t, m)
		if len(m.Prompts) != 0 || (m.Started != nil) != starts {
			t.Errorf("after %v: asked %d times, started %v\n%s", answers, len(m.Prompts), m.Started, m.SaidText())
		}
		if !starts && !strings.Contains(m.SaidText(), "Clevis has bound it to") {
			t.Errorf("it is not said what is waited for:\n%s", m.SaidText())
		}
	}
}

func TestBindingThatTheImageCannotUseIsSaid(t *testing.T) {
	m := reached("", true)
	m.Person = &sim.Person{Knows: map[string]string{"": passphrase}}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	found := false
	for _, l := range m.Said {
		found = found || strings.Contains(l.Text, "--feature clevis")
	}
	if !found {
		t.Error("nobody is told of the feature")
	}
}

// People at consoles and sessions who come, type, mistype and go, and a server that
// answers early, late, wrongly, or never, with helpers that crash: whoever can open
// the root does, the first answer counts, and nothing of it is in a record.
func TestManyWaysToReachAMachine(t *testing.T) {
	opened, byServer, bySession := 0, 0, 0
	from, to := seedsOf(1000)
	all := int(to - from)
	for seed := from; seed < to; seed++ {
		m, must := randomReach(rand.New(rand.NewPCG(seed, 11)))
		m.Seed, m.Record = seed, true
		if err := m.Boot(2 * time.Hour); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if must && m.Started == nil {
			t.Fatalf("seed %d: not started\n%s\n%s", seed, m.SaidText(), m.Journal)
		}
		if n := m.Core.Stats().Panics; n != 0 {
			t.Fatalf("seed %d: %d panics\n%s", seed, n, m.Journal)
		}
		for _, secret := range []string{passphrase, clevisSecret} {
			if bytes.Contains(m.Journal, []byte(secret)) || bytes.Contains(m.Inputs, []byte(secret)) {
				t.Fatalf("seed %d: %q is in a record", seed, secret)
			}
		}
		if m.Started != nil {
			opened++
			last := ""
			if n := len(m.AnsweredBy); n > 0 {
				last = m.AnsweredBy[n-1]
			}
			switch {
			case bytes.Contains(m.Journal, []byte("is unlocked by its Tang servers")):
				byServer++
			case strings.HasPrefix(last, "ssh"):
				bySession++
			}
		}
		if seed%10 == 0 {
			replays(t, m)
		}
		m.Close()
	}
	t.Logf("%d of %d opened, %d by a server, %d at a session", opened, all, byServer, bySession)
	if opened == all || byServer < all/20 || bySession < all/20 {
		t.Errorf("%d of %d opened, %d by a server, %d at a session: the family shows nothing", opened, all, byServer, bySession)
	}
}

// randomReach is a machine that somebody may reach; must says that it has to boot.
func randomReach(rng *rand.Rand) (m *sim.Machine, must bool) {
	span := func(most time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(most))) }
	oneIn := func(n int) bool { return rng.IntN(n) == 0 }
	person := func() (p sim.Person, good bool) {
		p = sim.Person{Knows: map[string]string{"": passphrase}, After: span(4 * time.Minute), Wrong: rng.IntN(3)}
		switch rng.IntN(6) {
		case 0:
			p.After = -1
		case 1:
			p.Refuses = true
		case 2:
			p.Wrong = 100
		}
		return p, p.After >= 0 && !p.Refuses && p.Wrong == 0
	}
	bound := !oneIn(3)
	m = reached("rd.shell=0 rd.emergency=poweroff", bound, "ssh", "clevis")
	spoils := false // somebody uses up the tries, or refuses, at a place that counts
	some := false
	if !oneIn(3) {
		p, good := person()
		m.Person = &p
		some, spoils = good, p.Refuses || p.Wrong > 0
	}
	m.Visitors = []*sim.Visitor{}
	for i := range rng.IntN(4) {
		p, good := person()
		v := &sim.Visitor{Name: "ssh " + strconv.Itoa(i), Person: p, From: span(5 * time.Minute)}
		if oneIn(3) {
			v.To = v.From + span(3*time.Minute)
			good = false
		}
		m.Visitors = append(m.Visitors, v)
		some, spoils = some || good, spoils || p.Wrong > 0
	}
	m.Tang = &sim.Tang{Answers: span(5 * time.Minute), Secret: map[string]string{"": clevisSecret}}
	switch rng.IntN(5) {
	case 0:
		m.Tang.Answers = -1
	case 1:
		m.Tang.Secret = map[string]string{"": "of another volume"}
	case 2:
		m.Tang.Ends = "the pin cannot be used"
	default:
		some = some || bound && !spoils
	}
	switch {
	case oneIn(12):
		m.Faults = append(m.Faults, sim.Fault{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/ssh"})
		some = some && m.Person != nil && !spoils && m.Person.After >= 0
	case oneIn(12):
		m.Faults = append(m.Faults, sim.Fault{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/tang"})
		some = false
	case oneIn(12):
		m.Network.Cards[0].Carrier = -1
		some = false
	}
	return m, some && !spoils
}
