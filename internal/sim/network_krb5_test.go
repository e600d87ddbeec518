package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

// withTickets is a machine whose root's server wants Kerberos.
func withTickets(cmdline, security string) *sim.Machine {
	m := onNetwork(cmdline)
	m.Image.Features = append(m.Image.Features, "nfs", "nfs-krb5")
	m.Network.NFS[0].Security = security
	m.Network.Kerberos = &sim.Kerberos{Starts: 50 * time.Millisecond}
	return m
}

// rpc.gssd runs before the kernel is asked to mount, and the root is had in the first
// try.
func TestRootWithKerberos(t *testing.T) {
	for _, c := range []struct{ cmdline, security string }{
		{"ro root=nfs:nfs.example:/srv/root:sec=krb5p", "krb5p"}, {"ro root=dhcp rootflags=sec=krb5", "krb5"},
		{"root=/dev/nfs nfsroot=10.0.0.1:/srv/root,vers=4.1,sec=krb5i:sys", "krb5i:sys"},
	} {
		m := withTickets(c.cmdline, c.security)
		m.Record = true
		boot(t, m)
		onServer(t, m, "sec="+c.security)
		replays(t, m)
		if strings.Contains(m.SaidText(), "no ticket") {
			t.Errorf("%s: the root was tried before rpc.gssd ran", c.cmdline)
		}
	}
}

// What Kerberos lacks is said.
func TestKerberosThatDoesNotComeIsExplained(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(m *sim.Machine)
		lines []string
	}{
		{"another key", func(m *sim.Machine) {
			m.Network.Kerberos.Refused = "WARNING: Preauthentication failed while getting initial ticket for principal 'host/box@R' using keytab 'FILE:/etc/krb5.keytab'"
		}, []string{"the Kerberos server does not accept the key of host/box@R", "make the keytab anew"}},
		{"no keytab", func(m *sim.Machine) { m.Network.Kerberos.NoKeytab = true }, []string{"the image has no /etc/krb5.keytab", "has ended (exit 1)"}},
		{"the feature is missing", func(m *sim.Machine) { m.Image.Features = []string{"nfs"} }, []string{"asks for Kerberos (sec=krb5p), which this image has not", "--feature nfs-krb5"}},
		{"the server wants another kind", func(m *sim.Machine) { m.Network.NFS[0].Security = "krb5i" }, []string{"export /srv/root with sec=krb5p on 10.0.0.1"}},
		{"the helper crashes", func(m *sim.Machine) {
			m.Network.Kerberos.Starts = time.Hour
		}, []string{"waits for rpc.gssd"}},
	} {
		m := withTickets("root=nfs:nfs.example:/srv/root:sec=krb5p rd.emergency=poweroff", "krb5p")
		c.make(m)
		boot(t, m)
		text := strings.Join(strings.Fields(m.SaidText()), " ")
		if m.Started != nil {
			t.Errorf("%s: started", c.name)
		}
		for _, l := range c.lines {
			if !strings.Contains(text, l) {
				t.Errorf("%s: no %q in\n%s", c.name, l, m.SaidText())
			}
		}
	}
}

// Tickets that come late, a server that is away, a daemon that is slow: the machine has
// its root in the end, or says what it lacks.
func TestManyMachinesWithKerberos(t *testing.T) {
	netFamily{stream: 88, usual: 300, least: 95, root: []string{"10.0.0.1:/srv/root", "nfs.example:/srv/root"},
		why: []string{"Kerberos", "rpc.gssd"},
		make: func(rng *rand.Rand) (*sim.Machine, int) {
			security := []string{"krb5", "krb5i", "krb5p"}[rng.IntN(3)]
			m := withTickets("root=nfs:nfs.example:/srv/root:sec="+security+" rd.timeout=60 rd.emergency=poweroff", security)
			k := m.Network.Kerberos
			k.Starts = time.Duration(rng.Int64N(int64(3 * time.Second)))
			can := always
			if rng.IntN(3) == 0 {
				at := time.Duration(rng.Int64N(int64(10 * time.Second)))
				m.Network.NFS[0].Away = [][2]time.Duration{{at, at + 5*time.Second}}
			}
			switch rng.IntN(4) {
			case 0:
				k.Refused, k.Until = "WARNING: Cannot contact any KDC for realm 'R' while getting initial ticket for principal 'host/box@R'", time.Duration(rng.Int64N(int64(20*time.Second)))
			case 1:
				k.Refused, can = "WARNING: Clock skew too great while getting initial ticket for principal 'host/box@R'", never
			}
			return m, can
		}}.boot(t)
}
