package e2e

import (
	"strings"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// layered are roots in images of the Open Container Initiative, made by umoci, that a
// server has.
func layered() []Scenario {
	const (
		dir  = netbootDir + "/image"
		file = netbootDir + "/packed.tar"
		url  = "http://" + serverAddress
		off  = " rd.timeout=30 rd.emergency=poweroff"
	)
	server := func(argv ...string) Server {
		return Server{NoNFS: true, DHCP: []string{}, Built: []string{"./test/guest/httpd"}, Packed: map[string]string{dir: "oci", file: "oci.tar"}, Signed: []string{dir},
			Other: []serverplan.Command{{Argv: append([]string{"httpd"}, argv...), Stays: true}}}
	}
	root := Want{Root: "live tmpfs|fetched tmpfs", RootDir: "/root", Journal: []string{`unpacked the image into memory`}}
	image := func(name, args string, s Server, w Want) Scenario {
		// A disk is always there, so that it shows that it is not the root.
		return Scenario{Name: name, Full: true, For: fetchImage(), Features: []string{"oci"}, Layouts: on(disks.LiveDisc), Append: args, Memory: 768, Unchanged: true,
			Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: once(w)}
	}
	later := func(w Want) Want { w.Timers = true; return w }
	directory := image("oci-layout", "rw root=oci:"+url+"/image@sha256:"+sumOf+dir, server(), root)
	directory.Trixie = true
	signed := image("oci-signed", "rw root=oci:"+url+"/image", server(), root)
	signed.Include = []Include{{"/etc/firstlight/fetch/tests.pub", lan.PublicKey()}}
	return []Scenario{
		directory, signed,
		image("oci-archive", "rw root=oci:"+url+"/packed.tar rd.firstlight.sha256="+sumOf+file, server(), root),
		image("oci-restart", "rw root=oci:"+url+"/image@sha256:"+sumOf+dir, server("-cut", "400000", "-away", "3s"), later(root)),
		image("oci-other-digest", "rw root=oci:"+url+"/image@sha256:"+strings.Repeat("ab", 32)+off, server(),
			Want{NoBoot: true, Console: []Seen{see(`no\s+image\s+with\s+the\s+digest`)}}),
		image("oci-unverified-refused", "rw root=oci:"+url+"/image"+off, server(), Want{NoBoot: true, Console: []Seen{see(`neither\s+a\s+sum\s+nor\s+a\s+key`)}}),
	}
}
