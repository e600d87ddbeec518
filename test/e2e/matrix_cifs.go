package e2e

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 SMB has nothing else: the hash of a password that smbpasswd keeps

	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// smbPassword is root's on the server. The comma is written twice in an option of
// a mount.
const smbPassword = "hun,ter2"

// samba is a server of the tiny root by SMB, to root with its password.
func samba() Server {
	sum := md4.New()
	for _, u := range utf16.Encode([]rune(smbPassword)) {
		sum.Write([]byte{byte(u), byte(u >> 8)})
	}
	files := map[string]string{
		"/etc/samba/smb.conf": `[global]
server role = standalone server
passdb backend = smbpasswd:/etc/samba/smbpasswd
guest account = nobody
unix extensions = no
disable netbios = yes
load printers = no
[root]
path = ` + exported + `
read only = no
valid users = root
`,
		// smbpasswd(5): no LAN Manager hash, and that of Windows NT.
		"/etc/samba/smbpasswd": fmt.Sprintf("root:0:%s:%s:[U          ]:LCT-00000001:\n", strings.Repeat("X", 32), strings.ToUpper(hex.EncodeToString(sum.Sum(nil)))),
		"/etc/passwd":          "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
		"/etc/group":           "root:x:0:\nnogroup:x:65534:\n",
	}
	for _, d := range []string{"/var/lib/samba/private", "/run/samba/ncalrpc", "/var/cache/samba", "/var/log/samba"} {
		files[d+"/.keep"] = ""
	}
	return Server{NoNFS: true, DHCP: []string{}, Programs: []string{"smbd"}, Files: files, Memory: 640,
		Other: []serverplan.Command{{Argv: []string{"smbd", "--foreground", "--no-process-group", "--debug-stdout"}, Stays: true}}}
}

// cifsScenarios are roots on an SMB server.
func cifsScenarios() []Scenario {
	image, card := &Target{FS: "cifs", Modules: []string{"virtio_net"}}, []vm.NIC{{}}
	root := "//" + serverAddress + "/root"
	late := samba()
	late.Other[0].After, late.Other[0].Ready = int((30 * time.Second).Milliseconds()), true
	return []Scenario{
		{Name: "cifs", For: image, Full: true, Trixie: true, Append: "rw ip=dhcp root=cifs:" + root + " cifsuser=root cifspass=" + smbPassword, Net: &Net{NICs: card, Server: samba()},
			Boots: once(Want{Root: root + " cifs", RootOptions: []string{"rw"}})},
		{Name: "cifs-late-server", For: image, Full: true, Append: "ro ip=dhcp root=cifs://root:" + smbPassword + "@" + serverAddress + ":/root", Net: &Net{NICs: card, Server: late},
			Boots: once(Want{Root: root + " cifs", RootOptions: []string{"ro"}, Timers: true})},
		{Name: "cifs-wrong-password", For: image, Full: true, Append: "ro ip=dhcp rd.timeout=40 rd.emergency=poweroff root=cifs://root:wrong@" + serverAddress + "/root", Net: &Net{NICs: card, Server: samba()},
			Boots: once(Want{NoBoot: true, Console: []Seen{see(`does\s+not\s+accept\s+the\s+user\s+or\s+the\s+password`)}})},
	}
}
