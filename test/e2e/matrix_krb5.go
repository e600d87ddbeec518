package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// withKerberos are roots on NFS that are had with tickets of Kerberos alone, by
// rpc.gssd and the machine's keytab in the image.
func withKerberos() []Scenario {
	const dir = "/etc/firstlight/krb5/"
	const named = "nfs:" + lan.ServerName + ":" + exported
	daemon := []string{`@rpc\.gssd -f .*`}
	krb := func(name, security, args string, wrong bool, conf string, want Want) Scenario {
		return Scenario{Name: name, Full: true, For: nfsImage(), Features: []string{"nfs-krb5"}, Secret: true, Append: "ro" + args,
			Net:     &Net{NICs: []vm.NIC{{}}, Server: lan.Kerberos(security)},
			Include: []Include{{Path: dir + "krb5.keytab", Data: lan.Keytab(wrong)}, {Path: dir + "krb5.conf", Data: conf}},
			Boots:   []Boot{{Limit: 5 * time.Minute, Want: want}}}
	}
	is := func(source, security string) Want {
		return Want{Root: source + ":" + exported + " nfs4?", RootOptions: []string{"ro", "vers=4.2", "sec=" + security}, Daemons: daemon}
	}
	const off = " rd.timeout=60 rd.emergency=poweroff"
	conf := lan.KerberosConf("")
	lease := krb("nfs-krb5", "krb5", " root=dhcp rootflags=sec=krb5", false, conf, is(`10\.7\.0\.1`, "krb5"))
	lease.Net.Server.DHCP = append(lease.Net.Server.DHCP, "--dhcp-option=option:root-path,"+serverAddress+":"+exported)
	// A server of Linux 6.1 cannot read what is encrypted (docs/network.md).
	sealed := krb("nfs-krb5p", "krb5p", " root="+named+":sec=krb5p", false, conf, is(`server\.firstlight\.test`, "krb5p"))
	sealed.Net.Server.Suite = "trixie"
	// A whole system below an overlay, whose rpc.gssd takes over.
	debian := disks.DebianKerberos(lan.Keytab(false), lan.KerberosConf("kdc = "+serverAddress), "127.0.0.1 localhost\n"+serverAddress+" "+lan.ServerName+"\n", serverAddress)
	system := krb("bookworm-nfs-krb5", "krb5:krb5i", " root="+named+":sec=krb5 rd.overlay", false, conf, Want{Debian: true})
	system.For = &Target{FS: "nfs", Layers: []string{"overlay"}, Modules: []string{"virtio_net"}}
	system.Memory, system.Boots[0].Limit, system.Net.Server.Disk = 1536, 8*time.Minute, &debian
	return []Scenario{
		// Names and the Kerberos server are DNS's affair.
		krb("nfs-krb5i", "krb5i", " root="+named+":vers=4.1,sec=krb5i", false, conf, func() Want {
			w := is(`server\.firstlight\.test`, "krb5i")
			w.RootOptions[1] = "vers=4.1"
			return w
		}()),
		lease,
		sealed,
		system,

		krb("nfs-krb5-wrong-keytab", "krb5i", " root="+named+":sec=krb5i"+off, true, conf,
			Want{NoBoot: true, Console: []Seen{see(`does\s+not\s+accept\s+the\s+key\s+of\s+host/box\.firstlight\.test@FIRSTLIGHT\.TEST`)}}),
		krb("nfs-krb5-no-server", "krb5", " root="+named+":sec=krb5"+off, false, lan.KerberosConf("kdc = 10.7.0.77"),
			Want{NoBoot: true, Console: []Seen{see(`no\s+Kerberos\s+server\s+answers`)}}),
	}
}
