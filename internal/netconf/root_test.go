package netconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// show is a root in a few words.
func (r Root) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Kind)
	for _, w := range []struct{ what, v string }{
		{"by", r.By}, {"server", r.Server}, {"path", r.Path}, {"options", r.Options}, {"user", r.User}, {"password", r.Password},
		{"export", r.Export}, {"fstype", r.FSType}, {"nbd", r.NBD}, {"url", r.URL}, {"device", r.Device},
	} {
		if w.v != "" {
			b.WriteString(" " + w.what + "=" + w.v)
		}
	}
	if r.Version != 0 || r.Port != 0 {
		fmt.Fprintf(&b, " version=%d port=%d", r.Version, r.Port)
	}
	if r.FromDHCP {
		b.WriteString(" fromdhcp")
	}
	if r.IPv6 {
		b.WriteString(" ipv6")
	}
	if r.Target != nil {
		fmt.Fprintf(&b, " %+v", *r.Target)
	}
	return b.String()
}

func TestEveryDocumentedFormOfARoot(t *testing.T) {
	const v4 = " version=4 port=0"
	for _, test := range []struct{ line, want string }{
		// dracut's.
		{"root=nfs:1.2.3.4:/srv/root", "nfs by=root server=1.2.3.4 path=/srv/root"},
		{"root=nfs4:nas:/srv:ro,sec=sys", "nfs by=root server=nas path=/srv options=ro,sec=sys" + v4},
		{"root=nfs:nas.example.org:/srv,vers=3,nolock", "nfs by=root server=nas.example.org path=/srv options=vers=3,nolock"},
		{"root=nfs:[2001:db8::1]:/srv:vers=4.2", "nfs by=root server=2001:db8::1 path=/srv options=vers=4.2"},
		{"root=[2001:db8::1]:/srv", "nfs by=root server=2001:db8::1 path=/srv"},
		{"root=nfs:/srv", "nfs by=root path=/srv"}, {"root=nfs4:/srv:ro", "nfs by=root path=/srv options=ro" + v4},
		{"root=1.2.3.4:/srv:ro", "nfs by=root server=1.2.3.4 path=/srv options=ro"}, {"root=nas:/srv,ro", "nfs by=root server=nas path=/srv options=ro"},
		{"root=dhcp", "dhcp by=root"}, {"root=dhcp6", "dhcp by=root ipv6"}, {"root=/dev/root netroot=dhcp", "dhcp by=netroot"},
		{"root=dhcp netroot=dhcp", "dhcp by=root"}, {"root=nfs", "nfs by=root fromdhcp"}, {"root=nfs4", "nfs by=root" + v4 + " fromdhcp"},
		// The kernel's.
		{"root=/dev/nfs", "nfs by=root fromdhcp"}, {"root=/dev/nfs4", "nfs by=root" + v4 + " fromdhcp"},
		{"root=/dev/nfs nfsroot=1.2.3.4:/srv/%s,rsize=8192,wsize=8192", "nfs by=nfsroot server=1.2.3.4 path=/srv/%s options=rsize=8192,wsize=8192"},
		{"root=/dev/nfs nfsroot=/srv", "nfs by=nfsroot path=/srv"}, {"root=/dev/nfs nfsroot=client1", "nfs by=nfsroot path=/tftpboot/client1"},
		{"root=/dev/nfs nfsroot=,v3,tcp", "nfs by=nfsroot options=v3,tcp fromdhcp"}, {"root=/dev/nfs nfsroot=", "nfs by=nfsroot fromdhcp"},
		// initramfs-tools', make-initrd's.
		{"root=/dev/sshfs sshfsroot=me@nas:/srv/root sshfsopts=cache=no", "sshfs by=sshfsroot server=nas path=/srv/root user=me"},
		{"root=/dev/sshfs sshfsroot=nas:root", "sshfs by=sshfsroot server=nas path=root user=root"},
		{"root=/dev/sshfs sshfsroot=auto", "sshfs by=sshfsroot fromdhcp"}, {"root=/dev/sshfs", "sshfs by=root fromdhcp"}, {"root=sshfs sshfsroot=", "sshfs by=sshfsroot fromdhcp"},
		{"sshfsroot=me@[2001:db8::1]:2222:/srv", "sshfs by=sshfsroot server=2001:db8::1 path=/srv user=me version=0 port=2222"},
		{"boot=nfs", "nfs by=boot fromdhcp"}, {"boot=nfs nfsroot=auto", "nfs by=nfsroot fromdhcp"},
		{"boot=nfs root=/dev/sda1 nfsroot=1.2.3.4:/srv,vers=4.1", "nfs by=nfsroot server=1.2.3.4 path=/srv options=vers=4.1"},
		{"nfsroot=1.2.3.4:/srv", "nfs by=nfsroot server=1.2.3.4 path=/srv"}, {"root=/dev/nfs nfsroot=auto", "nfs by=nfsroot fromdhcp"},
		{"root=/dev/nfs nfsroot=1.2.3.4:/srv,ro nfsopts=nolock,vers=3", "nfs by=nfsroot server=1.2.3.4 path=/srv options=ro,nolock,vers=3"},
		{"boot=local root=/dev/sda1", ""},
		// iSCSI: RFC 4173, dracut, several disks, the firmware.
		{"root=iscsi:192.168.50.1::::iqn.2009-06.dracut:target0",
			"iscsi by=root server=192.168.50.1 {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface: NetDev: LUN:0 Name:iqn.2009-06.dracut:target0}"},
		{"root=iscsi:[2001:DB8::1]::::iqn.2009-06.dracut:target0",
			"iscsi by=root server=2001:DB8::1 {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface: NetDev: LUN:0 Name:iqn.2009-06.dracut:target0}"},
		{"root=iscsi:u:p:ru:rp@san:6:3261:1:iqn.2009-06.dracut:target0",
			"iscsi by=root server=san {User:u Password:p InUser:ru InPassword:rp Protocol:6 Port:3261 Interface: NetDev: LUN:281474976710656 Name:iqn.2009-06.dracut:target0}"},
		{"root=iscsi:san:::default:eth0:2:eui.0123456789abcdef",
			"iscsi by=root server=san {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface:default NetDev:eth0 LUN:562949953421312 Name:eui.0123456789abcdef}"},
		{"root=iscsi::::4752-3A4F-6b7e-2F99:iqn.a",
			"iscsi by=root {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface: NetDev: LUN:5139234237563416473 Name:iqn.a}"},
		{"root=UUID=12424547 netroot=iscsi:h::::iqn.a:0 netroot=iscsi:h::::iqn.a:1",
			"iscsi by=netroot server=h {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface: NetDev: LUN:0 Name:iqn.a:0}; " +
				"iscsi by=netroot server=h {User: Password: InUser: InPassword: Protocol:6 Port:3260 Interface: NetDev: LUN:0 Name:iqn.a:1}"},
		{"netroot=iscsi rd.iscsi.firmware=1", "iscsi by=netroot"},
		// NBD, CIFS, images.
		{"nbdroot=10.0.0.1,disk1,nbd0", "nbd by=nbdroot server=10.0.0.1 export=disk1 device=nbd0"},
		{"root=/dev/nbd2p1 nbdroot=srv,disk1,nbd0", "nbd by=nbdroot server=srv export=disk1 device=nbd2"},
		{"nbdroot=srv,2000 nbddev=/dev/nbd1", "nbd by=nbdroot server=srv device=nbd1 version=0 port=2000"},
		{"nbdroot=[2001:db8::1]:/srv/disk nbddev=/dev/nbd1", "nbd by=nbdroot server=2001:db8::1 export=/srv/disk device=nbd1"},
		{"nbdroot=[2001:db8::1]:2000/disk", "nbd by=nbdroot server=2001:db8::1 export=disk version=0 port=2000"},
		{"nbdroot=2001:db8::1,disk,nbd0", "nbd by=nbdroot server=2001:db8::1 export=disk device=nbd0"},
		{"nbdroot=srv:2000/disk", "nbd by=nbdroot server=srv export=disk version=0 port=2000"}, {"nbdroot=srv/disk", "nbd by=nbdroot server=srv export=/disk"},
		{"nbdroot=srv:disk nbdport=2001", "nbd by=nbdroot server=srv export=disk version=0 port=2001"}, {"nbdroot=/disk", "nbd by=nbdroot export=/disk"},
		{"nbdroot=dhcp root=/dev/nbd0", "dhcp by=nbdroot device=nbd0"}, {"nbdroot=dhcp,disk,nbd0", "nbd by=nbdroot export=disk device=nbd0"},
		{"netroot=nbd:srv:2000:ext4:ro:persist", "nbd by=netroot server=srv options=ro fstype=ext4 nbd=persist version=0 port=2000"},
		{"root=nbd:1.2.3.4:export1", "nbd by=root server=1.2.3.4 export=export1"}, {"root=nbd:[::2]:e:xfs", "nbd by=root server=::2 export=e fstype=xfs"},
		{"root=cifs://u:p@nas:/share", "cifs by=root server=nas path=/share user=u password=p"},
		{"root=cifs://nas/share/dir", "cifs by=root server=nas path=/share/dir"}, {"root=cifs://u@[2001:db8::1]:/s", "cifs by=root server=2001:db8::1 path=/s user=u"},
		{"root=https://srv/root.squashfs", "url by=root url=https://srv/root.squashfs"},
		{"root=live:http://srv/live.iso", "url by=root url=http://srv/live.iso"}, {"root=tftp://srv/x", "url by=root url=tftp://srv/x"},
		// What is not on the network.
		{"root=/dev/sda1", ""}, {"root=UUID=aa:/x", ""}, {"root=live:/dev/sda", ""}, {"root=live:LABEL=x", ""}, {"root=zfs:/pool", ""},
		{"root=block:/dev/sda", ""}, {"root=virtiofs:tag", ""}, {"root=0801", ""}, {"root=8:1", ""}, {"root=", ""}, {"root", ""}, {"root=gpt-auto", ""},
	} {
		c, problems := Parse(params(test.line))
		var list []string
		for _, r := range c.Roots {
			list = append(list, r.show())
		}
		if got := strings.Join(list, "; "); got != test.want || len(problems) > 0 {
			t.Errorf("%s:\n got %s %q\nwant %s", test.line, got, problems, test.want)
		}
		if c.Need != (test.want != "") {
			t.Errorf("%s: need %t", test.line, c.Need)
		}
	}
}

// Ours, in the spelling of the others.
func TestRootsBySSH(t *testing.T) {
	for text, want := range map[string]string{
		"sshfs:nas:/srv/root":                     "sshfs server=nas path=/srv/root user=root",
		"sshfs:me@10.0.0.1:/srv/a,b:c":            "sshfs server=10.0.0.1 path=/srv/a,b:c user=me",
		"sshfs:me@nas.example.org:2222:/srv/root": "sshfs server=nas.example.org path=/srv/root user=me version=0 port=2222",
		"sshfs:a.b-c_d@[fe80::1%eth0]:/":          "sshfs server=fe80::1%eth0 path=/ user=a.b-c_d",
		"sshfs:[2001:db8::1]:22:root":             "sshfs server=2001:db8::1 path=root user=root version=0 port=22",
		"sshfs:nas:99999:/x":                      "sshfs server=nas path=99999:/x user=root",
	} {
		if r, ok, err := ParseRoot(text); !ok || err != nil || r.show() != want {
			t.Errorf("%s: %s, %t, %v", text, r.show(), ok, err)
		}
		if r, err := ParseRootPath(text); err != nil || r.show() != want {
			t.Errorf("%s in a lease: %s, %v", text, r.show(), err)
		}
	}
	r := Root{Kind: RootSSHFS, FromDHCP: true}
	for _, text := range []string{"me@nas:/srv", "sshfs:me@nas:/srv"} {
		if got, err := r.ParseLease(text); err != nil || got.show() != "sshfs server=nas path=/srv user=me" {
			t.Errorf("%s: %s, %v", text, got.show(), err)
		}
	}
}

func TestNBDRootOfALease(t *testing.T) {
	r := Root{Kind: RootDHCP, By: "nbdroot", Device: "nbd0"}
	for text, want := range map[string]string{
		"10.0.0.1:/srv/disk":    "nbd server=10.0.0.1 export=/srv/disk device=nbd0",
		"10.0.0.1,disk,nbd3":    "nbd server=10.0.0.1 export=disk device=nbd0",
		"nbd:10.0.0.1:disk:xfs": "nbd server=10.0.0.1 export=disk fstype=xfs device=nbd0",
		"/disk":                 "nbd export=/disk device=nbd0",
	} {
		if got, err := r.ParseLease(text); err != nil || got.show() != want {
			t.Errorf("%q: %s, %v", text, got.show(), err)
		}
	}
	for _, text := range []string{"", "dhcp", "a b,c,d", "nbd:x", "$(x):/y"} {
		if got, err := r.ParseLease(text); err == nil && got.Server == "" && got.Export == "" {
			t.Errorf("%q: %s", text, got.show())
		}
	}
}

func TestRootsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"nfs:":                                "does not begin with '/'",
		"sshfs:nas":                           "not USER@SERVER:/DIRECTORY",
		"sshfs:nas:":                          "not USER@SERVER:/DIRECTORY",
		"sshfs::/srv":                         "not USER@SERVER:/DIRECTORY",
		"sshfs:-oProxyCommand=x@nas:/srv":     "not the name of a user",
		"sshfs:a b@nas:/srv":                  "not the name of a user",
		"sshfs:me@-x:/srv":                    "not the name or the address of a server",
		"sshfs:nas:/a b":                      "has a blank",
		"nfs:a b:/x":                          "not the name or the address of a server",
		"nfs:$(x):/x":                         "not the name or the address of a server",
		"nfs:[1.2.3.4]:/x":                    "not an IPv6 address",
		"nfs:[::1:/x":                         "not an IPv6 address",
		"nfs:[::1]x:/x":                       "stands behind",
		"nfs:h:/a b":                          "has a blank",
		"nfs:h:/a\x1b[2J":                     "cannot be seen",
		"nfs:h:/" + strings.Repeat("a", 1100): "longer than 1024",
		"iscsi:h::::disk":                     "is an iqn.",
		"iscsi:h:":                            "is an iqn.",
		"iscsi:h:17:::iqn.a":                  "is not 6 (TCP)",
		"iscsi:h::70000::iqn.a":               "is not a port",
		"iscsi:h:::x:iqn.a":                   "is not a LUN",
		"iscsi:h:::1-2-3-4-5:iqn.a":           "is not a LUN",
		"iscsi:h::::iqn.a;reboot":             "no name has",
		"iscsi:h:::a:b/c:0:iqn.a":             "no name of an interface",
		"nbd::2000":                           "no server",
		"cifs:nas:/x":                         "not cifs://",
		"cifs://nas":                          "not cifs://",
		"http:/x":                             "not a URL",
		"https://":                            "not a URL",
	} {
		r, ok, err := ParseRoot(text)
		if !ok || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %t, %v", text, r, ok, err)
		}
	}
	if n, ok := (&ISCSITarget{LUN: 3 << 48}).Number(); n != 3 || !ok {
		t.Errorf("%d %t", n, ok)
	}
	if _, ok := (&ISCSITarget{LUN: 3<<48 | 1}).Number(); ok {
		t.Error("a LUN of two levels has one number")
	}
}

// The forms that dracut(7) and the kernel document for DHCP option 17.
func TestPathsOfTheRootInALease(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3.4:/srv,ro":      "nfs server=1.2.3.4 path=/srv options=ro",
		"nfs:1.2.3.4:/srv":     "nfs server=1.2.3.4 path=/srv",
		"nfs4:1.2.3.4:/srv:ro": "nfs server=1.2.3.4 path=/srv options=ro version=4 port=0",
		"/srv/%s,vers=3":       "nfs path=/srv/%s options=vers=3",
		"nbd:h:e":              "nbd server=h export=e",
		"https://h/x":          "url url=https://h/x",
		"/dev/sda1":            "nfs path=/dev/sda1", // a path on the server, never a disk here
	} {
		r, err := ParseRootPath(text)
		if err != nil || r.show() != want {
			t.Errorf("%q: %s, %v", text, r.show(), err)
		}
	}
	for _, text := range []string{"", "dhcp", "UUID=1", "nfs", "/dev/nfs", "iscsi:h", "x", "nfs:h:x"} {
		if r, err := ParseRootPath(text); err == nil {
			t.Errorf("%q: %+v", text, r)
		}
	}
	if s := (&Root{Path: "/tftpboot/%s"}).PathFor("10.0.0.5"); s != "/tftpboot/10.0.0.5" {
		t.Error(s)
	}
}

// What comes of any text is bounded and holds nothing that could get out of a
// file or a command; the same text gives the same result.
func FuzzParse(f *testing.F) {
	f.Add("ip=192.168.0.10::192.168.0.1:255.255.255.0:foo:eth0:none:1400:52:54:00:12:34:56 bond=bond0:eth0,eth1:mode=1,miimon=100:9000")
	f.Add("root=iscsi:u:p@[2001:db8::1]::::iqn.a:b netroot=nbd:h:e:ext4:ro nfsroot=1.2.3.4:/srv/%s,ro ifname=a:52:54:00:12:34:56")
	f.Add("rd.route=[2001:DB8:3::/8]:[2001:DB8:2::1]:ens10 vlan=eth0.5:eth0 BOOTIF=01-52-54-00-12-34-56 nameserver=1.1.1.1 ip=eth0:dhcp ip=[::1")
	f.Fuzz(func(t *testing.T, line string) {
		c, problems := Parse(params(line))
		again, p2 := Parse(params(line))
		if !cmp.Equal(c, again, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) ||
			!slices.Equal(problems, p2) {
			t.Fatal("not the same twice")
		}
		clean := func(s string) {
			if s != "" && (!visible(s) || len(s) > 2048) {
				t.Fatalf("%q", s)
			}
		}
		for _, in := range c.Interfaces {
			if in.Match.Name != "" && !validInterface(in.Match.Name) || in.HostName != "" && !validHost(in.HostName) {
				t.Fatalf("%+v", in)
			}
			for _, a := range in.Addrs {
				if !a.IsValid() || a.Bits() == 0 {
					t.Fatalf("%+v", in)
				}
			}
			if in.MTU != 0 && (in.MTU < 68 || in.MTU > 65535) || len(in.Gateways) > 2 {
				t.Fatalf("%+v", in)
			}
		}
		for _, l := range c.Links {
			for _, m := range append([]string{l.Name}, l.Members...) {
				if !validInterface(m) {
					t.Fatalf("%+v", l)
				}
			}
			for _, o := range l.Options {
				clean(o.Name)
				clean(o.Value)
			}
		}
		for _, r := range c.Roots {
			for _, s := range []string{r.Server, r.Path, r.Options, r.URL, r.Export, r.FSType, r.NBD} {
				clean(s)
			}
			if r.Target != nil {
				clean(r.Target.Name)
			}
		}
		for _, word := range strings.Fields(line) {
			if _, v, ok := strings.Cut(word, "="); ok {
				if r, err := ParseRootPath(v); err == nil && (r.Kind == RootDHCP || r.FromDHCP) {
					t.Fatalf("%q: %+v", v, r)
				}
			}
		}
	})
}

func TestTargetsByParametersOfTheirOwn(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"root=UUID=1 rd.iscsi.target.name=iqn.a rd.iscsi.target.ip=10.0.0.1,[2001:db8::1] rd.iscsi.target.port=3261 rd.iscsi.username=u rd.iscsi.password=p rd.iscsi.in-username=iu rd.iscsi.in.password=ip",
			"rd.iscsi.target.name 10.0.0.1:3261 iqn.a u p iu ip; rd.iscsi.target.name 2001:db8::1:3261 iqn.a u p iu ip; "},
		{"iscsi-target-name=iqn.a iscsi_target_ip=san.example root=iscsi", "iscsi-target-name san.example:3260 iqn.a    ; "},
		{"netroot=iscsi:x:y@h::::iqn.a rd.iscsi.username=u rd.iscsi.password=p netroot=iscsi:h::::iqn.b", "netroot h:3260 iqn.a x y  ; netroot h:3260 iqn.b u p  ; "},
		{"rd.iscsi.firmware", "rd.iscsi.firmware firmware; "}, {"iscsi_auto", "iscsi_auto firmware; "}, {"rd.iscsi.firmware=0", ""},
	} {
		conf, problems := Parse(params(c.line))
		if len(problems) > 0 {
			t.Errorf("%s: %v", c.line, problems)
		}
		got := ""
		for _, r := range conf.Roots {
			if x := r.Target; x == nil {
				got += r.By + " firmware; "
			} else {
				got += fmt.Sprintf("%s %s:%d %s %s %s %s %s; ", r.By, r.Server, x.Port, x.Name, x.User, x.Password, x.InUser, x.InPassword)
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.line, got, c.want)
		}
	}
	for line, want := range map[string]string{
		"rd.iscsi.target.name=iqn.a":                           "name or address of the target is missing",
		"rd.iscsi.target.name=disk rd.iscsi.target.ip=1.2.3.4": "not the name of a node",
		"rd.iscsi.target.ip=a;b rd.iscsi.target.name=iqn.a":    "is not the name or the address",
		"rd.iscsi.param=x":                                     "not a setting",
		"rd.iscsi.target.port=0":                               "not a port",
		"rd.iscsi.login_retry_max=x":                           "not a number of tries",
		"rd.iscsi.target.group=x":                              "not the number",
		"rd.iscsi.password=hunter\x7f2":                        "cannot be seen",
	} {
		_, problems := Parse(params(line))
		text := fmt.Sprint(problems)
		if !strings.Contains(text, want) || strings.Contains(text, "hunter") {
			t.Errorf("%s: %s, want %q", line, text, want)
		}
	}
}

func TestFileOfInitramfsTools(t *testing.T) {
	list := ISCSIFile("# comment\nISCSI_TARGET_NAME=iqn.a\nexport ISCSI_TARGET_IP=\"10.0.0.1\"\nISCSI_PASSWORD='se cret'\nISCSI_USERNAME=`id`\nOTHER=1\nISCSI_X\n")
	if got := fmt.Sprint(list); got != "[{iscsi_target_name iqn.a true} {iscsi_target_ip 10.0.0.1 true} {iscsi_password se cret true}]" {
		t.Error(got)
	}
}
