package nbdup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/nbd"
	"firstlight/internal/netreport"
)

// edge writes down what the core asks for.
type edge struct {
	log     []string
	attach  error
	replace error
}

func (e *edge) Dial(id int) { e.log = append(e.log, fmt.Sprint("dial ", id)) }
func (e *edge) Drop(id int) { e.log = append(e.log, fmt.Sprint("drop ", id)) }
func (e *edge) Attach(i nbd.Info, ids []int) (int, error) {
	e.log = append(e.log, fmt.Sprint("attach ", i.Size, " ", i.Flags, " ", ids))
	return 3, e.attach
}
func (e *edge) Replace(id int) error {
	e.log = append(e.log, fmt.Sprint("replace ", id))
	return e.replace
}
func (e *edge) Say(r netreport.Report) {
	s := r.Get("condition") + ": " + r.Get("text")
	if try := r.Get("try"); try != "" {
		s += "; " + try
	}
	e.log = append(e.log, s)
}

// asked is what was asked since the last time, one a line.
func (e *edge) asked(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(e.log, want) {
		t.Errorf("asked for\n%s\nwant\n%s", strings.Join(e.log, "\n"), strings.Join(want, "\n"))
	}
	e.log = nil
}

func target(t *testing.T, options string) Target {
	t.Helper()
	x, unknown, err := Parse("root eth0 kind=nbd server=10.0.0.1 export=root fstype=ext4 options=noatime nbd=" + options + "\n")
	if err != nil || unknown != nil {
		t.Fatal(err, unknown)
	}
	return x
}

var export = nbd.Info{Size: 1 << 20, Flags: nbd.FlagHas | nbd.FlagMultiConn}

func TestAnExportBecomesADevice(t *testing.T) {
	e := &edge{}
	c := New(e, target(t, ""))
	c.Start(0)
	e.asked(t, "working: is being connected", "dial 1")
	c.Dialed(time.Second, 1, export, nil)
	e.asked(t, "attach 1048576 257 [1]", "there: is /dev/nbd3")
	if c.Next() != diskup.Never {
		t.Error("something is still waited for")
	}
}

func TestSeveralConnectionsAreUsedWhereTheServerLetsThem(t *testing.T) {
	e := &edge{}
	c := New(e, target(t, "-C,3,readonly"))
	c.Start(0)
	c.Dialed(1, 1, export, nil)
	c.Dialed(2, 2, export, nil)
	c.Dialed(3, 3, export, nil)
	e.asked(t, "working: is being connected", "dial 1", "dial 2", "dial 3", "attach 1048576 259 [1 2 3]", "there: is /dev/nbd3")

	c = New(e, target(t, "-C,3"))
	c.Start(0)
	c.Dialed(1, 1, export, nil)
	c.Dialed(2, 2, nbd.Info{}, &ConnectError{syscall.ECONNREFUSED})
	e.asked(t, "working: is being connected", "dial 1", "dial 2", "attach 1048576 257 [1]", "there: is /dev/nbd3")

	alone := export
	alone.Flags = nbd.FlagHas
	c = New(e, target(t, "connections=3"))
	c.Start(0)
	c.Dialed(1, 1, alone, nil)
	e.asked(t, "working: is being connected", "dial 1", "attach 1048576 1 [1]", "there: is /dev/nbd3")
}

func TestAServerThatIsNotThereIsAskedAgain(t *testing.T) {
	e := &edge{}
	c := New(e, target(t, ""))
	c.Start(0)
	e.log = nil
	pauses, now := []time.Duration{}, time.Duration(0)
	for id := 1; id < 8; id++ {
		c.Dialed(now, id, nbd.Info{}, &ConnectError{syscall.ECONNREFUSED})
		pauses = append(pauses, c.Next()-now)
		c.Deadline(now) // too early
		now = c.Next()
		c.Deadline(now)
	}
	if want := "[250ms 500ms 1s 2s 4s 4s 4s]"; fmt.Sprint(pauses) != want {
		t.Errorf("%v, want %s", pauses, want)
	}
	e.asked(t, "incomplete: it cannot be reached: connection refused; look whether an NBD server listens at 10.0.0.1:10809", "dial 2", "dial 3", "dial 4", "dial 5", "dial 6", "dial 7", "dial 8")
}

func TestABrokenConnectionIsReplaced(t *testing.T) {
	e := &edge{}
	c := New(e, target(t, ""))
	c.Start(0)
	c.Dialed(0, 1, export, nil)
	e.log = nil
	c.Dead(10*time.Second, 7) // another's
	e.asked(t)
	c.Dead(10*time.Second, 3)
	e.asked(t, "incomplete: the server has ended a connection, another one is made", "dial 2")
	c.Dialed(11*time.Second, 2, nbd.Info{}, &ConnectError{syscall.ECONNREFUSED})
	c.Dead(11*time.Second, 3) // of another connection, while it is waited for
	e.asked(t, "incomplete: it cannot be reached: connection refused; look whether an NBD server listens at 10.0.0.1:10809",
		"incomplete: the server has ended a connection, another one is made")
	c.Deadline(c.Next())
	c.Dialed(12*time.Second, 3, export, nil)
	c.Dialed(13*time.Second, 4, export, nil)
	e.asked(t, "dial 3", "replace 3", "dial 4", "replace 4", "there: is /dev/nbd3")
	e.replace = ErrWhole
	c.Lost(20 * time.Second)
	c.Dialed(21*time.Second, 5, export, nil)
	e.asked(t, "incomplete: the server has ended a connection, another one is made", "dial 5", "replace 5", "drop 5", "there: is /dev/nbd3")
}

// What has another size, or cannot be written any more, is not the disk that the
// machine has mounted.
func TestAnotherExportIsNotTakenForTheOne(t *testing.T) {
	for _, other := range []nbd.Info{{Size: 2 << 20, Flags: export.Flags}, {Size: export.Size, Flags: export.Flags | nbd.FlagReadOnly}, {Size: 512, Flags: export.Flags}} {
		e := &edge{}
		c := New(e, target(t, ""))
		c.Start(0)
		c.Dialed(0, 1, export, nil)
		c.Dead(1, 3)
		e.log = nil
		c.Dialed(2, 2, other, nil)
		if len(e.log) != 2 || e.log[0] != "drop 2" || !strings.Contains(e.log[1], "another export by that name") || c.Next() == diskup.Never {
			t.Errorf("%+v: %q", other, e.log)
		}
	}
}

func TestWhatTheKernelRefusesIsTriedAgain(t *testing.T) {
	e := &edge{attach: errors.New("nbd3 is in use already")}
	c := New(e, target(t, ""))
	c.Start(0)
	c.Dialed(0, 1, export, nil)
	e.asked(t, "working: is being connected", "dial 1", "attach 1048576 257 [1]", "drop 1", "incomplete: nbd3 is in use already")
	e.attach = nil
	c.Deadline(c.Next())
	c.Dialed(1, 2, export, nil)
	e.asked(t, "dial 2", "attach 1048576 257 [2]", "there: is /dev/nbd3")
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&nbd.RefusedError{Code: nbd.CodeUnknown, Export: "root", Exports: []string{"a", "b"}}, "blocked: the server has not the export root; name one that it has: a, b"},
		{&nbd.RefusedError{Code: nbd.CodePolicy, Export: "root"}, "blocked: the server does not give this machine the export root; look at who may use"},
		{&nbd.RefusedError{Code: nbd.CodeTLSRequired}, "add tls to the options"},
		{&nbd.RefusedError{Code: nbd.CodeShutdown}, "incomplete: the server is shutting down"},
		{nbd.ErrNoServer, "is something else's"},
		{nbd.ErrHangsUp, "it may want another certificate of this machine; put a certificate"},
		{nbd.ErrNoTLS, "give the server a certificate"},
		{nbd.ErrClosed, "look at the names of the exports"},
		{&TLSError{errors.New("unknown authority")}, "the server's has to be for 10.0.0.1"},
	} {
		e := &edge{}
		x := New(e, target(t, ""))
		x.Start(0)
		e.log = nil
		x.Dialed(0, 1, nbd.Info{}, c.err)
		if len(e.log) != 1 || !strings.Contains(e.log[0], c.want) {
			t.Errorf("%v: %q", c.err, e.log)
		}
	}
}

func TestOptionsOfNBDClient(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "{1 0 86400 false false    /etc/firstlight/nbd/ca.pem} []",
		"persist,swap,systemd-mark":        "{1 0 86400 false false    /etc/firstlight/nbd/ca.pem} []",
		"-C 4 -t 30 -R":                    "{4 30 86400 true false    /etc/firstlight/nbd/ca.pem} []",
		"connections=4,timeout=30":         "{4 30 86400 false false    /etc/firstlight/nbd/ca.pem} []",
		"-x":                               "{1 0 86400 false true    /etc/firstlight/nbd/ca.pem} []",
		"-tlshostname h,-certfile /c -A a": "{1 0 86400 false true h /c  a} []",
		"dead-timeout=60,K=/k":             "{1 0 60 false true   /k /etc/firstlight/nbd/ca.pem} []",
		"-C 99,quick,-t":                   "{1 0 86400 false false    /etc/firstlight/nbd/ca.pem} [-C quick -t]",
	} {
		o, unknown := ParseOptions(text)
		if got := fmt.Sprint(o, " ", unknown); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	x, _, err := Parse("root eth0 kind=nbd source=nbd:srv:2000:xfs:ro server=10.0.0.9 name=srv port=2000 fstype=xfs options=ro\n")
	if err != nil || x.String() != "(default) of 10.0.0.9:2000" || x.FSType != "xfs" || x.Mount != "ro" || x.Verify() != "srv" || x.Index != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	x, _, err = Parse("root eth0 kind=nbd server=10.0.0.1 export=disk device=nbd2 n=1\n")
	if err != nil || x.Index != 2 || x.Export != "disk" || x.Port != nbd.Port {
		t.Errorf("%+v, %v", x, err)
	}
	for _, text := range []string{"", "root eth0 kind=nbd\n", "root eth0 kind=nfs server=10.0.0.1\n", "disk eth0 kind=nbd server=10.0.0.1\n", "root eth0 kind=nbd server=10.0.0.1 port=0\n",
		"root eth0 kind=nbd server=10.0.0.1 port=65536\n", "root eth0 kind=nbd server=10.0.0.1 device=nbdx\n", "root eth0 kind=nbd server=10.0.0.1\nroot"} {
		if x, _, err := Parse(text); err == nil {
			t.Errorf("%q: %+v", text, x)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root eth0 kind=nbd server=10.0.0.1 export=x fstype=ext4 options=ro nbd=-C,4\n")
	f.Add("root eth0 kind=nbd source=nbd:srv:2000:xfs:ro server=10.0.0.9 port=2000 device=nbd3 n=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		x, _, err := Parse(text)
		if err == nil && (!x.Server.IsValid() || x.Port == 0 || x.Connections < 1 || x.Connections > maxConnections) {
			t.Errorf("%+v", x)
		}
	})
}
