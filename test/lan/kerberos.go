package lan

import (
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"firstlight/test/guest/serverplan"
)

// Names of Kerberos: the realm, the machine that serves, and the one that boots.
const (
	Realm         = "FIRSTLIGHT.TEST"
	ServerName    = "server.firstlight.test"
	machineName   = "host/box.firstlight.test"
	machineSecret = "of the machine"
	// UserName is somebody whom the server knows as well, by UserSecret.
	UserName   = "alice"
	UserSecret = "of alice"
)

// libraries are where Debian has the modules that are loaded by name.
const libraries = "/usr/lib/x86_64-linux-gnu/"

// Kerberos is a server whose root is had with tickets of Kerberos alone: Debian's NFS
// server, its rpc.svcgssd, MIT's KDC, and a name server that says where they are. Its
// root is that machine's whose key Keytab has.
func Kerberos(security string) Server {
	copies := map[string]string{}
	for _, f := range []string{"krb5/plugins/kdb/db2.so", "libverto-libev.so.1", "libev.so.4", "libnfsidmap/static.so", "libnfsidmap/nsswitch.so"} {
		copies[libraries+f] = libraries + f
	}
	// libverto looks where it is itself.
	copies[strings.TrimPrefix(libraries, "/usr")+"libverto-libev.so.1"] = libraries + "libverto-libev.so.1"
	return Server{
		DHCP:   []string{"--dhcp-option=option:dns-server," + Address},
		Export: "sec=" + security, Memory: 768,
		Programs: []string{"sh", "mkdir", "krb5kdc", "kdb5_util", "kadmin.local", "rpc.svcgssd"},
		Modules:  []string{"rpcsec_gss_krb5", "auth_rpcgss", "cts", "cbc", "hmac", "sha1_generic", "aes_generic"},
		Copies:   copies,
		Files: map[string]string{
			"/etc/krb5.conf":         KerberosConf("kdc = "+Address) + "[logging]\ndefault = STDERR\n",
			"/etc/krb5kdc/kdc.conf":  "[kdcdefaults]\nkdc_ports = 88\nkdc_tcp_ports = 88\n[realms]\n" + Realm + " = {\ndatabase_name = /var/lib/krb5kdc/principal\nkey_stash_file = /var/lib/krb5kdc/stash\nsupported_enctypes = aes256-cts-hmac-sha1-96:normal\n}\n",
			"/etc/krb5kdc/kadm5.acl": "\n",
			"/etc/hosts":             "127.0.0.1 localhost\n" + Address + " " + ServerName + " server\n",
			"/etc/idmapd.conf": "[General]\nDomain = firstlight.test\nLocal-Realms = " + Realm + "\n[Translation]\nMethod = nsswitch\nGSS-Methods = static,nsswitch\n" +
				"[Static]\n" + machineName + "@" + Realm + " = root\n",
			"/etc/kerberos.sh": "set -e\nmkdir -p /var/lib/krb5kdc /var/tmp\nkdb5_util -P master create -s -r " + Realm + "\n" +
				"kadmin.local addprinc -pw '" + machineSecret + "' " + machineName + "\nkadmin.local addprinc -pw '" + UserSecret + "' " + UserName + "\nkadmin.local addprinc -randkey nfs/" + ServerName + "\nkadmin.local ktadd nfs/" + ServerName + "\n",
		},
		Other: []serverplan.Command{{Stays: true, Argv: []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--user=root", "--group=root", "--conf-file=/dev/null", "--interface=eth0",
			"--bind-interfaces", "--log-facility=-", "--no-resolv", "--no-hosts", "--local=/firstlight.test/", "--host-record=" + ServerName + "," + Address, "--srv-host=_kerberos._udp.firstlight.test," + ServerName + ",88"}}},
		Before: []serverplan.Command{{Argv: []string{"sh", "/etc/kerberos.sh"}}, {Argv: []string{"krb5kdc", "-n"}, Stays: true}, {Argv: []string{"rpc.svcgssd", "-f", "-n"}, Stays: true}},
	}
}

// KerberosConf is a krb5.conf; realm are lines for the realm, "" for what DNS says.
func KerberosConf(realm string) string {
	text := "[libdefaults]\ndefault_realm = " + Realm + "\n"
	if realm != "" {
		text += "[realms]\n" + Realm + " = {\n" + realm + "\n}\n"
	}
	return text + "[domain_realm]\n.firstlight.test = " + Realm + "\n"
}

// Keytab is a keytab with the key of the machine that boots. wrong makes it one of
// another password.
func Keytab(wrong bool) string {
	secret := machineSecret
	if wrong {
		secret = "another"
	}
	parts := strings.Split(machineName, "/")
	var e []byte
	counted := func(b string) { e = append(binary.BigEndian.AppendUint16(e, uint16(len(b))), b...) }
	e = binary.BigEndian.AppendUint16(e, uint16(len(parts)))
	counted(Realm)
	for _, p := range parts {
		counted(p)
	}
	e = binary.BigEndian.AppendUint32(e, 3)          // a service of a host
	e = binary.BigEndian.AppendUint32(e, 1700000000) // when it was written
	e = append(e, 1)                                 // the key's number
	e = binary.BigEndian.AppendUint16(e, 18)         // aes256-cts-hmac-sha1-96
	counted(string(keyOf(secret, Realm+strings.Join(parts, ""))))
	return string(append(binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(len(e))), e...))
}

// keyOf makes an AES-256 key of a password (RFC 3962, section 4).
func keyOf(password, salt string) []byte {
	seed, err := pbkdf2.Key(sha1.New, password, []byte(salt), 4096, 32)
	if err != nil {
		panic(err) // any password makes a key
	}
	c, err := aes.NewCipher(seed)
	if err != nil {
		panic(err)
	}
	folded, err := hex.DecodeString("6b65726265726f737b9b5b2b93132b93") // "kerberos" in 128 bits (RFC 3961, A.1)
	if err != nil {
		panic(err)
	}
	key := make([]byte, 32)
	c.Encrypt(key, folded)
	c.Encrypt(key[16:], key[:16])
	return key
}
