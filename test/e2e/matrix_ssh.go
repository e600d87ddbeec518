package e2e

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/pem"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// sshKey is a private key of a name in OpenSSH's form, and its public line.
func sshKey(name string) (private, public string) {
	seed := sha256.Sum256([]byte("firstlight test key " + name))
	key := ed25519.NewKeyFromSeed(seed[:])
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		panic(err)
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
}

// sshAddress is that of the machine that is reached.
const sshAddress = "10.7.0.9"

// sshClient is a server guest in which a script runs OpenSSH's client: log KEY
// [OPTIONS] logs in by key, and says how that ended.
func sshClient(script string, said ...string) Server {
	me, _ := sshKey("client")
	other, _ := sshKey("other")
	_, host := sshKey("host")
	head := `chmod 600 /keys/*
log() {
	key=$1
	shift
	while :; do
		ssh -F none -i /keys/$key -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/known -o GlobalKnownHostsFile=/known -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=20 "$@" root@` + sshAddress + ` >/tmp/out.$$ 2>&1
		code=$?
		grep -q 'Connection refused\|No route\|timed out' /tmp/out.$$ || break
		sleep 1
	done
	cat /tmp/out.$$
	echo "exit $code of $key"
}
`
	return Server{NoNFS: true, Programs: []string{"ssh", "busybox"}, Said: said, Files: map[string]string{
		"/keys/client": me, "/keys/other": other, "/known": sshAddress + " " + host + "\n", "/script": head + script,
		// Programs by their usual names.
		"/etc/shells": "/bin/sh\n",
	}, Other: []serverplan.Command{
		{Argv: []string{"busybox", "--install", "-s", "/bin"}},
		{Argv: []string{"busybox", "sh", "/script"}, Stays: true},
	}}
}

// byPassphrase types it at a session.
const byPassphrase = "echo '" + disks.Passphrase + "' | log client -T\n"

// sshScenarios are machines that somebody reaches while they wait.
func sshScenarios() []Scenario {
	one := disks.LUKS1
	_, me := sshKey("client")
	host, _ := sshKey("host")
	const static = " ip=" + sshAddress + "::10.7.0.1:255.255.255.0:box::none"
	machine := func(name, keys, config string, server Server, w Want, do ...Action) Scenario {
		if !w.NoBoot {
			w.Mapped = []string{"cr CRYPT-LUKS1-" + strings.ReplaceAll(one.UUID("crypt"), "-", "") + "-cr"}
		}
		target := small("ext4", "luks")
		target.Modules = []string{"virtio_net"}
		return Scenario{Name: name, For: target, Layouts: on(one), Secret: true,
			Config:      "[ssh]\nauthorized_keys = \"@DIR@/keys\"\nhost_keys = [\"@DIR@/host\"]\n" + config,
			ConfigFiles: map[string]string{"keys": strings.ReplaceAll(keys, "KEY", me) + "\n", "host": host},
			Append:      "ro rd.luks.name=" + one.UUID("crypt") + "=cr root=/dev/mapper/cr" + static,
			Net:         &Net{NICs: []vm.NIC{{}}, Server: server}, Boots: []Boot{{Want: w, Do: do}}}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	blind := func(s Scenario) Scenario { s.NoConsole = true; return s }
	more := func(s Scenario, args string, features ...string) Scenario {
		s.Append += " " + args
		s.Features = features
		return s
	}
	// Two people with terminals, who type nothing; and one who types when asked.
	const idle = "for n in 1 2; do (sleep 1000 | log client -tt) & sleep 3; done\nwait\n"
	const person = `mkfifo /tmp/keys
log client -tt </tmp/keys &
exec 3>/tmp/keys
seen() { while ! cat /tmp/out.* 2>/dev/null | grep -q "$1"; do sleep 1; done; }
seen 'Press Enter'
printf '\r' >&3
seen 'firstlight#'
printf 'echo the shell is $((6*7)); poweroff -f\r' >&3
seen 'is 42' && echo "a shell by ssh"
`
	return []Scenario{
		trixie(machine("ssh-unlock", "KEY", "", sshClient(byPassphrase, "The initramfs is left", "exit 0 of client"),
			Want{Prompts: 1, Console: []Seen{see(`answered at ssh 10\.7\.0\.1`)}, Journal: []string{`login - from=10\.7\.0\.1`}})),

		// Nobody can be asked but by SSH.
		blind(full(trixie(machine("ssh-no-console", "KEY", "", sshClient(byPassphrase, "The initramfs is left", "exit 0 of client"),
			Want{Journal: []string{`login - from=10\.7\.0\.1`}})))),

		full(machine("ssh-wrong-passphrase", `command="cryptroot-unlock",no-port-forwarding KEY`, "port = 2222\n",
			sshClient("echo wrong | log client -T -p 2222\necho '"+disks.Passphrase+"' | log client -T -p 2222\n", "does not open", "exit 1 of client", "exit 0 of client"),
			Want{Prompts: 2})),
		full(machine("ssh-refused", `from="10.0.0.0/8,!10.9.0.0/16" KEY`, "",
			sshClient("log other -T </dev/null\nlog client -T -o RemoteCommand='cat /etc/shadow' </dev/null\nlog client -T -l nobody </dev/null\n"+byPassphrase,
				"Permission denied", "exit 255 of other", "there is no such command", "exit 1 of client", "exit 0 of client"),
			Want{Prompts: 1, Journal: []string{`refused - from=10\.7\.0\.1`}})),
		full(machine("ssh-elsewhere", `from="10.9.0.0/16" KEY`, "", sshClient("log client -T </dev/null\n", "Permission denied", "exit 255 of client"),
			Want{Prompts: 1}, Action{When: promptText, After: 20 * time.Second, Type: disks.Passphrase + "\r"})),
		// Whoever tries too often has to wait, with the right key too.
		full(machine("ssh-rate-limit", "KEY", "per_address = 3\n",
			sshClient("n=0\nwhile test $n -lt 4; do nc -w 5 "+sshAddress+" 22 </dev/null >/tmp/nc 2>&1 && n=$((n+1)) || sleep 1; done\nlog client -T </dev/null\nsleep 65\n"+byPassphrase,
				"exit 255 of client", "exit 0 of client"),
			Want{Prompts: 1, Journal: []string{`too many connections from this address|too.x20many.x20connections.x20from.x20this.x20address`}})),
		// The first answer counts: here the console's, and both sessions are told.
		full(more(machine("ssh-two-sessions-and-console", "KEY", "", sshClient(idle, "answered at ttyS0", "exit 0 of client"),
			Want{Prompts: 1}, Action{When: "has logged in"}, Action{When: "has logged in", After: 5 * time.Second, Type: disks.Passphrase + "\r"}), "rd.info")),
		full(more(machine("ssh-emergency", `command="console" KEY`, "", sshClient(person, "a shell by ssh"), Want{NoBoot: true, Timers: true, Ends: poweredOff}),
			"root=UUID=00000000-0000-4000-8000-000000000000 rd.luks=0 rd.timeout=20 rd.shell", "shell")),
	}
}
