package e2e

import (
	"fmt"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// tangServer is a server guest with Debian's tang at ports, each with the keys in
// /db, after a time. hidden says that those are old ones and there are newer; other
// that they are another server's.
func tangServer(after time.Duration, hidden, other bool, ports ...int) Server {
	s := Server{NoNFS: true, Programs: []string{"socat", "/usr/libexec/tangd", "/usr/libexec/tangd-keygen", "jose", "busybox"}, Files: map[string]string{}}
	for name, text := range disks.TangKeys() {
		if hidden {
			name = "." + name
		}
		if !other {
			s.Files["/db/"+name] = text
		}
	}
	do := func(argv ...string) { s.Other = append(s.Other, serverplan.Command{Argv: argv}) }
	do("busybox", "--install", "-s", "/bin")
	do("mkdir", "-p", "/db")
	if hidden || other {
		do("busybox", "sh", "/keygen")
		// tangd-keygen gives its files to a user that this guest has not.
		s.Files["/keygen"] = `cd /db
for alg in ES512 ECMR; do
	jose jwk gen -i "{\"alg\":\"$alg\"}" -o new.jwk
	mv new.jwk "./$(jose jwk thp -a S256 -i new.jwk).jwk"
done
`
	}
	for i, p := range ports {
		c := serverplan.Command{Argv: []string{"socat", fmt.Sprintf("TCP-LISTEN:%d,fork,reuseaddr", p), "EXEC:/bin/tangd /db"}, Stays: true}
		if after > 0 && i == 0 {
			c.After, c.Ready = int(after.Milliseconds()), true
		}
		s.Other = append(s.Other, c)
	}
	return s
}

// clevisScenarios are volumes that servers open.
func clevisScenarios() []Scenario {
	const static = " ip=10.7.0.9::10.7.0.1:255.255.255.0:box::none"
	machine := func(name string, l disks.Layout, server Server, w Want, do ...Action) Scenario {
		w.Mapped = []string{"cr CRYPT-LUKS2-" + strings.ReplaceAll(l.UUID("crypt"), "-", "") + "-cr"}
		// The passphrase is asked for at once, and the server is asked meanwhile.
		w.Prompts = 1
		target := small("ext4", "luks", "clevis")
		target.Modules = []string{"virtio_net"}
		return Scenario{Name: name, For: target, Layouts: on(l),
			Append: "ro rd.luks.name=" + l.UUID("crypt") + "=cr root=/dev/mapper/cr" + static,
			Net:    &Net{NICs: []vm.NIC{{}}, Server: server}, Boots: []Boot{{Want: w, Do: do}}}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	trixieFull := func(s Scenario) Scenario { s.TrixieFull = true; return s }
	answered := Want{Journal: []string{`answered - url=http://10\.7\.0\.1:7500`}}
	failed := func(text string) Want {
		return Want{Journal: []string{strings.ReplaceAll(text, " ", `.{1,6}`)}, Timers: true}
	}
	typed := Action{When: promptText, After: 25 * time.Second, Type: disks.Passphrase + "\r"}
	return []Scenario{
		trixieFull(machine("clevis-tang", disks.ClevisTang, tangServer(0, false, false, 7500), answered)),
		full(trixie(machine("clevis-sss-two-of-three", disks.ClevisSSS, tangServer(0, false, false, 7500, 7501), Want{Journal: []string{`failed - url=http://10\.7\.0\.1:7502`, `answered - url=http://10\.7\.0\.1:7501`}}))),
		full(machine("clevis-late-server", disks.ClevisTang, tangServer(40*time.Second, false, false, 7500), Want{Timers: true, Journal: answered.Journal})),
		full(machine("clevis-rotated-keys", disks.ClevisTang, tangServer(0, true, false, 7500), answered)),
		full(machine("clevis-wrong-server", disks.ClevisTang, tangServer(0, false, true, 7500), failed("it is another server"), typed)),
		full(machine("clevis-passphrase-first", disks.ClevisTang, Server{NoNFS: true}, failed("failed - url"), typed)),
	}
}
