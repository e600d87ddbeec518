package e2e

import (
	"strings"
	"time"

	"firstlight/test/vm"
)

// legacyOpenSSL is a module of OpenSSL that hostapd loads.
const legacyOpenSSL = "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so"

// switchPort is a server behind a port that asks who is there (IEEE 802.1X): hostapd's
// driver for cables, with its own server for EAP-TLS. It gives out addresses only
// once it has let somebody in.
func switchPort(ca, cert, key string) Server {
	// hostapd hears DHCP too, to see who comes.
	dnsmasq := strings.Replace(leases("eth0", "10.7.0."), "dnsmasq ", "dnsmasq --bind-interfaces ", 1)
	return Server{Programs: []string{"hostapd", "sh"}, Said: []string{"STA 52:54:00:07:01:01"},
		Copies: map[string]string{legacyOpenSSL: legacyOpenSSL}, // without which it has no TLS at all
		Files: map[string]string{
			"/etc/ca.pem": ca, "/etc/cert.pem": cert, "/etc/key.pem": key, "/etc/eap.users": "* TLS\n",
			"/etc/hostapd.conf": "interface=eth0\ndriver=wired\nlogger_stdout=-1\nlogger_stdout_level=1\nieee8021x=1\nuse_pae_group_addr=1\neapol_version=2\n" +
				"eap_server=1\neap_user_file=/etc/eap.users\nca_cert=/etc/ca.pem\nserver_cert=/etc/cert.pem\nprivate_key=/etc/key.pem\n",
			// What hostapd writes to a file it writes line by line.
			"/etc/port.sh": "opened=\nhostapd -f /proc/self/fd/1 /etc/hostapd.conf | while read -r line; do\n echo \"$line\" >/dev/console\n" +
				" case $line in *AP-STA-CONNECTED*) test $opened || " + dnsmasq + " opened=1 ;; esac\ndone\n",
		}, Other: commands("sh /etc/port.sh &")}
}

// on8021X are roots behind a port that lets in only who proves who it is.
func on8021X() []Scenario {
	ca, cert, client, key := certificates()
	_, _, stranger, other := certificates()
	server := switchPort(ca, cert, key)
	port := func(name, client, key, args string, want Want) Scenario {
		const dir = "/etc/wpa_supplicant/"
		return Scenario{Name: name, Full: true, For: nfsImage(), Features: []string{"wired-8021x"}, Secret: true, Append: "ro root=dhcp" + args,
			Net: &Net{NICs: []vm.NIC{{}}, Server: server},
			Include: []Include{{Path: dir + "ca.pem", Data: ca}, {Path: dir + "client.pem", Data: client}, {Path: dir + "client.key", Data: key},
				{Path: dir + "wpa_supplicant-wired-enp0s1.conf", Data: "ap_scan=0\neapol_version=2\nnetwork={\nkey_mgmt=IEEE8021X\neap=TLS\nidentity=\"machine\"\nca_cert=\"" + dir + "ca.pem\"\nclient_cert=\"" +
					dir + "client.pem\"\nprivate_key=\"" + dir + "client.key\"\neapol_flags=0\n}\n"}},
			Boots: []Boot{{Limit: 5 * time.Minute, Want: want}}}
	}
	return []Scenario{
		port("nfs-8021x", client, key, "", Want{Root: `10\.7\.0\.1:` + exported + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}, Daemons: []string{`@wpa_supplicant -i enp0s1 .*`}}),
		port("nfs-8021x-refused", stranger, other, " rd.timeout=40 rd.emergency=poweroff", Want{NoBoot: true, Console: []Seen{see(`enp0s1:\s+carrier\s+since\s+[0-9.]+\s+s,\s+DHCP:\s+no\s+answer\s+after`)}}),
	}
}
