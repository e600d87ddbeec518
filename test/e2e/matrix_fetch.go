package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// fetchImage is an image for a root that a server has as a file.
func fetchImage() *Target {
	return &Target{FS: "squashfs", Layers: []string{"live"}, Modules: []string{"virtio_net"}}
}

// authority is a certificate for the server, and with its key, as PEM; it is its
// own authority.
func authority() (cert, both string) {
	key := ed25519.NewKeyFromSeed([]byte("firstlight's key of a test's TLS"))
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server of the tests"}, IPAddresses: []net.IP{net.ParseIP(serverAddress)},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	b, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b}))
	return cert, cert + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// fetched are roots in images that a server has by HTTP, HTTPS and TFTP.
func fetched() []Scenario {
	const (
		www    = netbootDir
		image  = www + "/root.sfs"
		iso    = www + "/live.iso"
		off    = " rd.timeout=30 rd.emergency=poweroff"
		static = " ip=10.7.0.9::10.7.0.1:255.255.255.0:box:enp0s1:none"
		by     = " rd.firstlight.sha256=" + sumOf
		over   = "LiveOS_rootfs overlay"
		url    = "http://" + serverAddress
	)
	root := Want{Root: over, Mounts: []string{"/run/initramfs/fetched fetched tmpfs .*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}}
	later := func(w Want) Want { w.Timers = true; return w }
	server := func(argv ...string) Server {
		return Server{NoNFS: true, DHCP: []string{}, Built: []string{"./test/guest/httpd"}, Packed: map[string]string{image: "squashfs"},
			Other: []serverplan.Command{{Argv: append([]string{"httpd"}, argv...), Stays: true}}}
	}
	fetch := func(name, args string, s Server, w Want) Scenario {
		// A disk is always there, so that it shows that it is not the root.
		return Scenario{Name: name, For: fetchImage(), Features: []string{"http-root"}, Layouts: on(disks.LiveDisc), Append: args, Memory: 768, Unchanged: true,
			Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	trixieFull := func(s Scenario) Scenario { s.TrixieFull = true; return s }
	with := func(s Scenario, inc ...Include) Scenario { s.Include = inc; return s }
	key := Include{"/etc/firstlight/fetch/tests.pub", lan.PublicKey()}

	busybox := server()
	busybox.Built, busybox.Programs = nil, []string{"busybox"}
	busybox.Other = []serverplan.Command{{Argv: []string{"busybox", "httpd", "-f", "-h", www}, Stays: true}}
	signed := server()
	signed.Signed = []string{image}
	late := server()
	late.Other[0].After, late.Other[0].Ready = 30000, true
	cert, both := authority()
	secure := server("-listen", ":443", "-cert", "/etc/server.pem")
	secure.Files = map[string]string{"/etc/server.pem": both}
	elsewhere := server("-listen", ":8080", "-redirect", url)
	elsewhere.Other = append(elsewhere.Other, serverplan.Command{Argv: []string{"httpd"}, Stays: true})
	tftp := server()
	tftp.Built, tftp.Other, tftp.DHCP = nil, nil, []string{"--enable-tftp", "--tftp-root=" + www}
	disc := server()
	disc.Packed = map[string]string{iso: "iso"}
	leased := server()
	leased.DHCP = []string{"--dhcp-option=option:root-path," + url + "/root.sfs"}

	// A card's ROM gets a script by TFTP, and kernel and initramfs by HTTP.
	pxe := server()
	pxe.DHCP, pxe.Signed = []string{"--enable-tftp", "--tftp-root=" + www, "--dhcp-boot=boot.ipxe"}, []string{image}
	pxe.Memory = 768
	rom := with(fetch("netboot-ipxe", "ro root=live:"+url+"/root.sfs ip=dhcp", pxe, root), key)
	rom.Packed, rom.Net.Netboot, rom.Net.NICs = true, true, []vm.NIC{{Boots: true}}
	// UEFI fetches one file with all in it, by TFTP or HTTP, and starts it only with
	// the key that it knows.
	uefi := func(name string, dhcp ...string) Scenario {
		s := server()
		s.DHCP, s.Signed, s.Memory = dhcp, []string{image}, 768
		boot := with(fetch(name, "ro root=live:"+url+"/root.sfs ip=dhcp", s, root), key)
		boot.Full, boot.Packed, boot.UEFI, boot.Unified, boot.Trixie = true, true, true, &Unified{}, true
		boot.Net.Netboot, boot.Net.NICs = true, []vm.NIC{{Boots: true}}
		return boot
	}

	return []Scenario{
		full(rom),
		uefi("netboot-uefi-tftp", "--enable-tftp", "--tftp-root="+www, "--dhcp-boot=boot.efi"),
		uefi("netboot-uefi-http", "--dhcp-vendorclass=set:httpboot,HTTPClient", "--dhcp-option-force=tag:httpboot,option:vendor-class,HTTPClient",
			"--dhcp-boot=tag:httpboot,"+url+"/boot.efi"),
		trixie(fetch("http-squashfs", "ro root=live:"+url+"/root.sfs"+by+image, busybox, root)),
		// The server goes in the middle and comes again: the rest is asked for.
		trixieFull(fetch("http-resumed", "ro root="+url+"/root.sfs"+by+image, server("-cut", "500000", "-away", "3s"),
			func() Want {
				w := later(root)
				w.Journal = []string{`\tfetch\t.*asks.*\toffset=[1-9][0-9]{4,}`}
				return w
			}())),
		trixieFull(fetch("http-wrong-sum", "ro root=live:"+url+"/root.sfs rd.firstlight.sha256="+strings.Repeat("ab", 32)+off, server(),
			Want{NoBoot: true, Console: []Seen{see(`is\s+not\s+the\s+image\s+that\s+rd\.firstlight\.sha256=`)}})),

		full(fetch("http-unverified-refused", "ro root=live:"+url+"/root.sfs"+off, server(),
			Want{NoBoot: true, Console: []Seen{see(`neither\s+a\s+sum\s+nor\s+a\s+key`), see(`rd\.firstlight\.unverified`)}})),
		full(fetch("http-unverified", "ro root=live:"+url+"/root.sfs rd.firstlight.unverified", server(), func() Want {
			w := root
			w.Console = []Seen{see(`is\s+not\s+verified`)}
			return w
		}())),
		full(with(fetch("http-minisign", "ro root=live:"+url+"/root.sfs", signed, root), key)),
		full(with(fetch("http-not-signed", "ro root=live:"+url+"/root.sfs rd.timeout=20 rd.emergency=poweroff", server(),
			Want{NoBoot: true, Console: []Seen{see(`answers\s+404`)}}), key)),
		full(trixie(with(fetch("https-own-authority", "ro root=live:https://"+serverAddress+"/root.sfs"+by+image, secure, root), Include{"/etc/firstlight/fetch/ours.crt", cert}))),
		full(fetch("https-unknown-authority", "ro root=live:https://"+serverAddress+"/root.sfs"+by+image+off, secure,
			Want{NoBoot: true, Console: []Seen{see(`authority\s+that\s+this\s+image\s+does\s+not\s+know|no\s+certificates\s+of\s+authorities`)}})),
		full(fetch("https-not-verified", "ro root=live:https://"+serverAddress+"/root.sfs rd.noverifyssl"+by+image, secure, root)),
		full(fetch("http-redirected", "ro root=live:"+url+":8080/root.sfs"+by+image+static, elsewhere, root)),
		full(fetch("http-late-server", "ro root=live:"+url+"/root.sfs"+by+image+static, late, later(root))),
		full(fetch("http-iso", "ro root=live:"+url+"/live.iso"+by+iso, disc, Want{Root: over,
			Mounts: []string{"/run/initramfs/live /dev/loop0 iso9660 ro,.*", "/run/rootfsbase /dev/loop1 squashfs ro,.*"}})),
		full(fetch("http-live-boot", "boot=live fetch="+url+"/root.sfs"+by+image, server(), Want{Root: "overlay overlay"})),
		full(with(fetch("http-root-path", "ro root=dhcp", func() Server { s := leased; s.Signed = []string{image}; return s }(), root), key)),
		full(trixie(fetch("tftp-squashfs", "ro root=live:tftp://"+serverAddress+"/root.sfs"+by+image, tftp, root))),
	}
}
