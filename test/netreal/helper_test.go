package netreal

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/netreport"
)

// helper runs the program that an image has for the network, until a report of it
// begins as said, and then ends it as the boot does. It gives all reports.
func helper(t *testing.T, params, until string) []netreport.Report {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "network")
	build := exec.Command("go", "build", "-o", exe, "./cmd/network")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(exe)
	cmd.Stdin = strings.NewReader(params + "\nnet.ifnames=0\n")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	var list []netreport.Report
	var text bytes.Buffer
	buf := make([]byte, 4096)
	found := false
	for {
		n, err := out.Read(buf)
		text.Write(buf[:n])
		if !found && bytes.Contains(text.Bytes(), []byte(until)) {
			found = true
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	if !found {
		t.Fatalf("no %q in\n%s", until, &text)
	}
	for line := range strings.Lines(text.String()) {
		r, ok := netreport.ParseReport(strings.TrimSuffix(line, "\n"))
		if !ok {
			t.Fatalf("not a report: %q", line)
		}
		list = append(list, r)
	}
	return list
}

// addresses are those of the interface that are not of the link.
func addresses(t *testing.T, i *net.Interface) (list []string) {
	t.Helper()
	all, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p := netip.MustParsePrefix(a.String()); !p.Addr().IsLinkLocalUnicast() {
			list = append(list, p.String())
		}
	}
	slices.Sort(list)
	return list
}

// down is the cable as a boot finds it: not set up, and with the kernel's own
// settings.
func down(t *testing.T) {
	t.Helper()
	run(t, "ip", "link", "set", "near", "down")
	for name, value := range map[string]string{"accept_dad": "1", "accept_ra": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/near/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The program, the kernel and the field's servers together: addresses and routes
// are there when it has ended, and the kernel's usual times are back.
func TestTheProgramOfTheImage(t *testing.T) {
	if !inNamespace(t, "dnsmasq") {
		return
	}
	ownRun(t) // it writes to /run and /etc/resolv.conf
	const made = "fd00:9::5054:ff:fe12:3456/64"
	for _, x := range []struct {
		name, options, params, until string
		want                         func([]string) bool
	}{
		{"a router", v6Options + " --dhcp-range=fd00:9::,ra-only,64,5m", "ip=near:auto6\nroot=nfs:[fd00:9::1]:/srv", "root near kind=nfs server=fd00:9::1",
			func(a []string) bool { return slices.Equal(a, []string{made}) }},
		{"DHCPv6", v6Options + " --dhcp-range=fd00:9::50,fd00:9::60,64,5m", "ip=near:dhcp6\nroot=nfs:[fd00:9::1]:/srv", "root near kind=nfs server=fd00:9::1",
			func(a []string) bool { return len(a) == 1 && strings.HasSuffix(a[0], "/128") }},
		{"both families", v6Options + dhcp4Options + " --dhcp-range=fd00:9::,ra-only,64,5m", "ip=near:dhcp\nroot=nfs:10.9.0.1:/srv", "root near kind=nfs server=10.9.0.1",
			func(a []string) bool { return len(a) >= 1 && strings.HasPrefix(a[0], "10.9.0.") }},
		{"written", "", "ip=[fd00:9::9]:::64::near:none\nroot=nfs:[fd00:9::1]:/srv", "root near kind=nfs", func(a []string) bool { return slices.Equal(a, []string{"fd00:9::9/64"}) }},
		{"another machine has it", "", "ip=[fd00:9::1]:::64::near:none\nrd.neednet", "conflict near addr=fd00:9::1", func(a []string) bool { return len(a) == 0 }},
	} {
		t.Run(x.name, func(t *testing.T) {
			i := dnsmasq(t, x.options)
			defer run(t, "ip", "link", "del", "near")
			down(t)
			list := helper(t, x.params, x.until)
			if got := addresses(t, i); !x.want(got) {
				t.Errorf("%v after\n%v", got, list)
			}
			for name, want := range map[string]string{"conf/near/dad_transmits": "1", "conf/near/accept_ra": "0", "neigh/near/retrans_time_ms": "1000"} {
				if b, err := os.ReadFile("/proc/sys/net/ipv6/" + name); err != nil || strings.TrimSpace(string(b)) != want {
					t.Errorf("%s is %q, %v", name, b, err)
				}
			}
		})
	}
}
