package sshfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/netreport"
	"firstlight/internal/testtool"
)

func nas() Target {
	return Target{User: "root", Server: "10.7.0.1", Name: "nas.example", Path: "/srv/root", Options: []string{"cache=no", "ciphers=aes128-ctr"}, Data: "max_read=65536", Flags: 1}
}

func TestTargetIsReadAsItIsWritten(t *testing.T) {
	for _, want := range []Target{nas(), {User: "me", Server: "fe80::1%eth0", Port: 2222, Path: "root"}} {
		got, err := Parse(want.String())
		if err != nil || got.String() != want.String() {
			t.Errorf("%v: %q, want %q", err, got.String(), want.String())
		}
	}
	for _, text := range []string{"", "user=a\npath=b\n", "x\n", "port=99999\n", "flags=-1\n", "color=red\n"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is a target", text)
		}
	}
}

func TestArgumentsOfSSHFS(t *testing.T) {
	a := nas()
	want := []string{"@sshfs", "-f", "-F", "/etc/firstlight/sshfs/ssh.conf", "-o", "reconnect", "-o", "ssh_command=@connect 10.7.0.1 22", "-o", "auto_cache", "-o", "entry_timeout=20", "-o", "attr_timeout=20", "-o", "cache=no", "-o", "ciphers=aes128-ctr",
		"root@nas.example:/srv/root", "/dev/fd/3"}
	if got := a.Args(3, false); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	b := Target{User: "me", Server: "2001:db8::1", Port: 2222, Path: "root"}
	if got := b.Args(3, true); !slices.Equal(got[4:], []string{"-o", "reconnect", "-o", "ssh_command=@connect 2001:db8::1 2222", "-o", "auto_cache", "-o", "entry_timeout=20", "-o", "attr_timeout=20", "-o", "no_contain_symlinks", "me@[2001:db8::1]:root", "/dev/fd/3"}) {
		t.Errorf("%q", got)
	}
}

// Whatever the settings of the image say, a server counts only if its key is known, and
// nobody is asked: so says ssh itself of the configuration that it gets.
func TestSettingsCannotMakeSSHBelieve(t *testing.T) {
	testtool.Need(t, "ssh")
	dir := t.TempDir()
	loose := "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nPasswordAuthentication yes\nBatchMode no\nKnownHostsCommand /bin/true\nVerifyHostKeyDNS yes\nHostName 192.0.2.7\nPort 7\n" +
		"IdentityAgent SSH_AUTH_SOCK\nCiphers aes128-ctr\nServerAliveInterval 3\nHost other\nStrictHostKeyChecking accept-new\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(loose), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target Target
		name   string
		want   []string
	}{
		{nas(), "nas.example", []string{"hostname 10.7.0.1", "port 22", "hostkeyalias nas.example"}},
		{Target{User: "me", Server: "fe80::1%eth0", Port: 2222, Path: "/x"}, "fe80::1%eth0", []string{"hostname fe80::1%eth0", "port 2222", "hostkeyalias [fe80::1%eth0]:2222"}},
	} {
		text := strings.ReplaceAll(c.target.Config([]string{Keys + "/0"}, true), Settings, filepath.Join(dir, "config"))
		conf := filepath.Join(dir, "ssh.conf")
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ssh", "-G", "-F", conf, c.target.User+"@"+c.name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, text)
		}
		for _, line := range append(c.want, "stricthostkeychecking true", "userknownhostsfile "+KnownHosts, "globalknownhostsfile "+KnownHosts, "batchmode yes", "passwordauthentication no",
			"kbdinteractiveauthentication no", "verifyhostkeydns false", "updatehostkeys false", "identityagent none", "identitiesonly yes", "ciphers aes128-ctr",
			"serveraliveinterval 3", "serveralivecountmax 8", "identityfile "+Keys+"/0", "preferredauthentications publickey") {
			if !strings.Contains("\n"+string(out), "\n"+line+"\n") {
				t.Errorf("%s: no %q in\n%s", c.name, line, out)
			}
		}
		if strings.Contains(string(out), "/bin/true") {
			t.Errorf("%s: a command of the settings says which keys are known", c.name)
		}
	}
}

func TestOptionsOfARootBySSH(t *testing.T) {
	for _, c := range []struct{ list, args, data string }{
		{"", "", ""},
		{"allow_other,reconnect,cache=no,Compression=yes,max_read=65536,ServerAliveInterval=5,idmap=user", "cache=no Compression=yes ServerAliveInterval=5 idmap=user", "max_read=65536"},
		{"StrictHostKeyChecking=yes,BatchMode=yes,delay_connect,workaround=rename:buflimit,dcache_timeout=5", "workaround=rename:buflimit dcache_timeout=5", ""},
		{"max_read=4096", "", "max_read=4096"},
	} {
		args, data, err := Options(c.list)
		if err != nil || strings.Join(args, " ") != c.args || data != c.data {
			t.Errorf("%s: %q %q %v", c.list, args, data, err)
		}
	}
	for _, list := range []string{"StrictHostKeyChecking=no", "stricthostkeychecking=accept-new", "UserKnownHostsFile=/dev/null", "ssh_command=ssh -oStrictHostKeyChecking=no", "ssh_command=x",
		"password_stdin", "directport=7", "slave", "passive", "vsock=2:7", "ProxyCommand=x", "ProxyJump=a", "IdentityFile=/x", "IdentityAgent=/x", "PKCS11Provider=/x", "HostName=other", "HostKeyAlias=other",
		"PasswordAuthentication=yes", "BatchMode=no", "LocalCommand=x", "VerifyHostKeyDNS=yes", "GlobalKnownHostsFile=/x", "port=22", "Port=22", "nonsense", "blksize=512", "cache=a b", "cache=a\nflags=0", `cache=\,`, "contain_symlinks", "uidfile=/x", "ControlPath=/x"} {
		if args, data, err := Options("cache=no," + list); err == nil {
			t.Errorf("%s is taken: %q %q", list, args, data)
		}
	}
}

// Who reads the screen is told what to do, for everything that goes wrong with a server;
// and that it has ended does not take the place of why.
func TestWhatSSHSaysIsExplained(t *testing.T) {
	ends := []string{"Connection closed by 10.7.0.1 port 22", "remote host has disconnected", "read: Connection reset by peer"}
	for _, c := range []struct {
		lines     []string
		text, try string
	}{
		{[]string{"@@@@@@@@@@", "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @", "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!", "Host key verification failed."},
			"nas.example has another host key than the one in the image's known_hosts", "ssh-keyscan nas.example"},
		{[]string{"No ED25519 host key is known for nas.example and you have requested strict checking.", "Host key verification failed."}, "no host key of nas.example", "rebuild the image"},
		{[]string{"root@10.7.0.1: Permission denied (publickey)."}, "nas.example does not let root in with the image's key", "authorized_keys of root on nas.example"},
		{[]string{`Load key "/etc/firstlight/sshfs/keys/0": error in libcrypto`, "root@10.7.0.1: Permission denied (publickey)."}, "cannot be read", "ssh-keygen -p"},
		{[]string{"root@nas.example:/srv/root: No such file or directory"}, "nas.example has no directory /srv/root", "look at the path"},
		{[]string{"root@nas.example:/srv/root: Permission denied"}, "root may not look into /srv/root on nas.example", "mode of the directory"},
		{[]string{"root@nas.example:/srv/root: Not a directory"}, "is no directory", ""},
		{[]string{"ssh: connect to host 10.7.0.1 port 22: Connection refused"}, "no SSH server answers at port 22 of nas.example", "sshd runs"},
		{[]string{"ssh: connect to host 10.7.0.1 port 22: Connection timed out"}, "nas.example does not answer", "firewall"},
		{[]string{"Unable to negotiate with 10.7.0.1 port 22: no matching host key type found. Their offer: ssh-dss"}, "no method of encryption in common", "HostKeyAlgorithms"},
		{[]string{"subsystem request failed on channel 0"}, "gives no files by SFTP", "Subsystem sftp"},
		{[]string{"Timeout, server 10.7.0.1 not responding."}, "does not answer any more", ""},
		{[]string{"/x: line 3: Bad configuration option: nonsense", "/x: terminating, 1 bad configuration options"}, "does not take the settings", "config in [sshfs]"},
	} {
		e := Ear{Target: nas()}
		var last netreport.Report
		for i, line := range append(slices.Clone(c.lines), ends...) {
			r, ok := e.Hear(line + "\n")
			if !ok {
				t.Fatalf("%q is nothing", line)
			}
			if r.State == netreport.StateDisk && (i < len(c.lines) || e.why) {
				last = r
			}
		}
		if last.Get("condition") != "incomplete" || !strings.Contains(last.Get("text"), c.text) || !strings.Contains(last.Get("try"), c.try) {
			t.Errorf("%q: %s", c.lines, last)
		}
		if _, ok := e.Ended("exit 1"); ok {
			t.Errorf("%q: the end is said in its place", c.lines)
		}
		// It is served in the end, and then the connection breaks.
		if r := e.There(); r.Get("condition") != "there" {
			t.Error(r)
		}
		if r, _ := e.Hear("remote host has disconnected"); r.Get("text") != "the connection to nas.example has ended, and is made again" {
			t.Error(r)
		}
	}
	e := Ear{Target: nas()}
	if r, ok := e.Hear("debug1: something"); !ok || r.State != netreport.StateNote {
		t.Error(r)
	}
	if _, ok := e.Hear(" \n"); ok {
		t.Error("an empty line is reported")
	}
	if r, ok := e.Ended("exit 1"); !ok || !strings.Contains(r.Get("text"), "exit 1") {
		t.Error(r)
	}
	if r, _ := e.Hear(strings.Repeat("x", 10000)); len(r.String()) > netreport.MaxLine {
		t.Error("a long line makes a report that nobody reads")
	}
}

func FuzzHear(f *testing.F) {
	f.Add("root@nas.example:/srv/root: No such file or directory")
	f.Add("Permission denied (publickey).")
	f.Fuzz(func(t *testing.T, line string) {
		e := Ear{Target: nas()}
		r, ok := e.Hear(line)
		if !ok {
			return
		}
		if _, ok := netreport.ParseReport(r.String()); !ok {
			t.Fatalf("%q makes %q, which is no report", line, r)
		}
	})
}

func FuzzOptions(f *testing.F) {
	f.Add("cache=no,max_read=1,ssh_command=x")
	f.Fuzz(func(t *testing.T, list string) {
		args, data, err := Options(list)
		if err != nil {
			return
		}
		for _, a := range append(args, strings.Split(data, ",")...) {
			if strings.ContainsAny(a, ", \n\\\"'") {
				t.Fatalf("%q gives %q", list, a)
			}
		}
	})
}
