package e2e

import (
	"slices"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// cachedImages are roots in images of a web server that are kept on a disk from boot
// to boot.
func cachedImages() []Scenario {
	const (
		image = netbootDir + "/root.sfs"
		url   = "http://" + serverAddress
		by    = " rd.firstlight.sha256=" + sumOf + image
		keep  = " rd.firstlight.keep=LABEL=fl-root:/var/images"
		// Nobody is in this network.
		nowhere = "ip=10.99.0.9::10.99.0.1:255.255.255.0:box:enp0s1:none"
	)
	plain := disks.Plain
	server := func(argv ...string) Server {
		return Server{NoNFS: true, DHCP: []string{}, Built: []string{"./test/guest/httpd"}, Packed: map[string]string{image: "squashfs"}, Signed: []string{image},
			Other: []serverplan.Command{{Argv: append([]string{"httpd"}, argv...), Stays: true}}}
	}
	root := Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/initramfs/kept /dev/vda2 ext4 ro,.*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}}
	says := func(w Want, texts ...string) Want {
		for _, t := range texts {
			w.Journal = append(slices.Clip(w.Journal), t)
		}
		return w
	}
	later := func(w Want) Want { w.Timers = true; return w }
	fetched := says(root, `fetched root\.sfs to /dev/vda2`)
	found := says(root, `found root\.sfs on /dev/vda2`)
	// The kernel has the disk written to, since the command line asks for that.
	kept := func(name, args string, s Server, boots ...Boot) Scenario {
		return Scenario{Name: name, Full: true, For: fetchImage(), Features: []string{"http-cache"}, Layouts: on(plain), Append: args, Memory: 512, Writes: []string{"d0 .*"},
			Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: boots}
	}
	first := kept("http-cache", "ro root=live:"+url+"/root.sfs"+by+keep, server(),
		Boot{Append: "ip=dhcp", Want: fetched}, Boot{Append: nowhere, Want: found})
	first.Trixie = true
	cut := kept("http-cache-power-cut", "ro root=live:"+url+"/root.sfs"+by+keep, server("-cut", "500000", "-away", "40s"),
		Boot{Append: "ip=dhcp", Do: []Action{{When: `asked for the rest`}, {Quit: true}}, Want: Want{NoBoot: true}},
		Boot{Append: "ip=dhcp", Want: func() Want {
			w := later(fetched)
			return says(w, `\tfetch\t.*asks.*\toffset=[1-9][0-9]{4,}`)
		}()})
	signed := kept("http-cache-newer", "ro root=live:"+url+"/root.sfs"+keep+",newer=15", server(),
		Boot{Append: "ip=dhcp", Want: later(fetched)}, Boot{Append: "ip=dhcp", Want: says(later(found), `it is what the server has`)}, Boot{Append: nowhere, Want: later(found)})
	signed.Include = []Include{{"/etc/firstlight/fetch/tests.pub", lan.PublicKey()}}
	full := kept("http-cache-no-room", "ro root=live:"+url+"/root.sfs"+by+" rd.firstlight.keep=LABEL=FULL rd.timeout=60 rd.emergency=poweroff", server(),
		Boot{Append: "ip=dhcp", Want: Want{NoBoot: true, Console: []Seen{see(`can\s+be\s+had`), see(`a\s+twentieth\s+of\s+which`)}}, Limit: 10 * time.Minute})
	full.Layouts, full.Writes = on(disks.Small), []string{"s0 .*"}
	return []Scenario{first, cut, signed, full}
}
