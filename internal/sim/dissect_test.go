package sim_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
	"firstlight/internal/testtool"
	"firstlight/test/signing"
)

const (
	sigType  = "41092b05-9fc8-4523-994f-2def0408b176"
	treeUUID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	sigUUID  = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
)

// der looks like a signature; whether it is one the simulated kernel does not ask.
var der = append([]byte{0x30, 0x82, 0x00, 0x60, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}, make([]byte, 0x60-11)...)

// dissected is a disk with a root, its hash tree, and the signature of a root hash.
func dissected(t *testing.T, root string) (disk *sim.Disk, data *sim.Disk) {
	t.Helper()
	return dissectedBy(t, root, der)
}

func dissectedBy(t *testing.T, root string, der []byte) (disk *sim.Disk, data *sim.Disk) {
	t.Helper()
	testtool.Need(t, "veritysetup")
	made, err := verified()
	if err != nil {
		t.Fatal(err)
	}
	if root == "" {
		root = made.root
	}
	data = &sim.Disk{Content: made.data, Files: debian()}
	tree := &sim.Disk{Content: made.tree}
	sig := &sim.Disk{Content: append([]byte(`{"rootHash":"`+root+`","signature":"`+base64.StdEncoding.EncodeToString(der)+`"}`), make([]byte, 4096)...)}
	slots := []slot{{typ: rootType, uuid: rootUUID, name: "os_1", holds: data}, {typ: verityType, uuid: treeUUID, name: "os_1", holds: tree}, {typ: sigType, uuid: sigUUID, name: "os_1", holds: sig}}
	const size, each = 256 << 20, 16 << 20
	disk = &sim.Disk{Size: size}
	var parts []content.Partition
	for i, s := range slots {
		at, long := int64(1<<20+i*each), int64(each)
		if s.holds == data {
			long = int64(len(made.data)) // the tree is of so much
		}
		parts = append(parts, content.Partition{Start: at, Size: long, Type: s.typ, UUID: s.uuid, Name: s.name, Flags: s.flags})
		s.holds.Size = long
		disk.Holds = append(disk.Holds, sim.Extent{At: at, Disk: s.holds})
	}
	disk.Put(content.GPT(swapUUID, size, parts)...)
	return disk, data
}

func dissectMachine(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := full("rd.timeout=60 rd.shell=0 rd.emergency=poweroff "+cmdline, disks...)
	m.Image.Features = []string{"verity", "gpt-auto"}
	made, _ := verified()
	m.Signed = map[string]string{made.root: string(der)}
	return m
}

func TestARootThatASignatureSpeaksFor(t *testing.T) {
	for name, tt := range map[string]struct {
		cmdline, root string
		change        func(m *sim.Machine)
		node, says    string
	}{
		"signed":                {"root=dissect", "", nil, "/dev/dm-0", ""},
		"forced":                {"root=dissect-force", "", nil, "/dev/dm-0", ""},
		"not asked for":         {"root=gpt-auto", "", nil, "/dev/vda1", ""},
		"switched off":          {"root=dissect systemd.verity=0", "", nil, "/dev/vda1", ""},
		"the kernel has no key": {"root=dissect", "", func(m *sim.Machine) { m.Signed = nil }, "", "no key of whoever has signed"},
		"the signature is another": {"root=dissect", "", func(m *sim.Machine) {
			for hash := range m.Signed {
				m.Signed[hash] = "another"
			}
		}, "", "not one of this root hash"},
		"another root hash": {"root=dissect", strings.Repeat("5a", 32), nil, "", "the root hash is not that"},
		"no keyring":        {"root=dissect", "", func(m *sim.Machine) { m.NoKeyring = true }, "", "cannot check such a signature"},
		"the small init":    {"root=dissect", "", func(m *sim.Machine) { m.Image.Full = false }, "", "names no local block device"},
	} {
		t.Run(name, func(t *testing.T) {
			disk, data := dissected(t, tt.root)
			m := dissectMachine(tt.cmdline, disk)
			if tt.change != nil {
				tt.change(m)
			}
			boot(t, m)
			said := m.SaidText()
			if tt.node != "" {
				started(t, m, tt.node)
			} else if m.Started != nil {
				t.Errorf("it started on %v", m.Mounts)
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("it did not say %q but:\n%s", tt.says, said)
			}
			if tt.node != "/dev/vda1" && data.Written != "" {
				t.Errorf("the root was written to by %s", data.Written)
			}
		})
	}
}

// Whatever fails: the root is the verified one, or none.
func TestDissectFamily(t *testing.T) {
	var data *sim.Disk
	var refused bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		var disk *sim.Disk
		disk, data = dissected(t, "")
		m := dissectMachine("root=dissect", disk)
		if refused = rng.IntN(3) == 0; refused {
			m.Signed = nil
		}
		return m
	}, func(m *sim.Machine) string {
		for _, mt := range m.Mounts {
			if mt.Target == handler.SysRoot && (refused || !strings.HasPrefix(mt.Source, "/dev/dm-")) {
				return mt.Source + " was mounted"
			}
		}
		switch {
		case data.Written != "":
			return "the root was written to by " + data.Written
		case calm(m) && !refused && m.Started == nil:
			return "nothing was started:\n" + m.SaidText()
		}
		return ""
	})
}

// Where the kernel has no key of who has signed, the image's certificates may say
// that the signature is right.
func TestACertificateOfTheImageSpeaksForTheRoot(t *testing.T) {
	testtool.Need(t, "veritysetup")
	made, err := verified()
	if err != nil {
		t.Fatal(err)
	}
	good, err := signing.Sign(made.root)
	if err != nil {
		t.Fatal(err)
	}
	other, err := signing.Sign(strings.Repeat("5a", 32))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := signing.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	armoured := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	at := func(text []byte) []machine.Certificate {
		return []machine.Certificate{{File: "/etc/verity.d/a.crt", Text: text}}
	}
	for name, tt := range map[string]struct {
		cmdline   string
		signature []byte
		certs     []machine.Certificate
		change    func(m *sim.Machine)
		starts    bool
		says      string
	}{
		"signed by who it is of":     {"root=dissect", good, at(armoured), nil, true, ""},
		"in DER":                     {"root=dissect", good, at(cert), nil, true, ""},
		"after another one":          {"root=dissect", good, at(append([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), armoured...)), nil, true, ""},
		"the root hash is given":     {"roothash=" + made.root + " systemd.verity_root_data=/dev/vda1 systemd.verity_root_hash=/dev/vda2 systemd.verity_root_options=root-hash-signature=base64:" + base64.StdEncoding.EncodeToString(good), good, at(armoured), nil, true, ""},
		"a signature of another":     {"root=dissect", other, at(armoured), nil, false, "no key of whoever has signed"},
		"no certificate":             {"root=dissect", good, nil, nil, false, "no certificates in /etc/verity.d"},
		"not one":                    {"root=dissect", good, at([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), nil, false, "no key of whoever has signed"},
		"they do not count":          {"root=dissect systemd.allow_userspace_verity=0", good, at(armoured), nil, false, "do not count"},
		"the kernel takes no other":  {"root=dissect dm_verity.require_signatures=1", good, at(armoured), func(m *sim.Machine) { m.RequireSigned = true }, false, "no key of whoever has signed"},
		"the kernel has no keyrings": {"root=dissect", good, at(armoured), func(m *sim.Machine) { m.NoKeyring = true }, false, "cannot check such a signature"},
	} {
		t.Run(name, func(t *testing.T) {
			disk, data := dissectedBy(t, made.root, tt.signature)
			m := dissectMachine(tt.cmdline, disk)
			m.Signed, m.Certified, m.Verify = nil, tt.certs, verify
			if tt.change != nil {
				tt.change(m)
			}
			boot(t, m)
			said := m.SaidText()
			if tt.starts {
				started(t, m, "/dev/dm-0")
			} else if m.Started != nil || !strings.Contains(said, tt.says) {
				t.Errorf("started %v; it did not say %q but:\n%s", m.Started != nil, tt.says, said)
			}
			if data.Written != "" {
				t.Errorf("the root was written to by %s", data.Written)
			}
		})
	}
}

// verify is what the kernel does with the key of a certificate.
func verify(certificate []byte, encoding, hash string, sum, signature []byte) error {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return unix.EBADMSG
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok || encoding != "pkcs1" || hash != "sha256" || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) != nil {
		return unix.EKEYREJECTED
	}
	return nil
}
