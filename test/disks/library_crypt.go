package disks

import (
	"fmt"
	"strconv"
	"strings"
)

// CryptKind is one way to encrypt.
type CryptKind struct {
	Name    string
	Format  string // arguments of luksFormat; "" for a plain volume
	Open    string // arguments of open
	Options string // in crypttab
	Reenc   bool   // a re-encryption was begun
	More    [][]string
	Below   bool   // there is dm-integrity below it
	On      string // the one it lies on, instead of on a partition of its own
	Rare    bool   // needs more than the small /init
}

// fast makes a key derivation cheap that is not what is looked at.
const (
	fast  = " --pbkdf-force-iterations 1000"
	fast2 = "--type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-metadata-size 16k --luks2-keyslots-size 512k "
	argon = "--type luks2 --luks2-metadata-size 16k --luks2-keyslots-size 512k --pbkdf-force-iterations 4 --pbkdf-memory "
)

// CryptKinds are the ciphers, modes, hashes, key derivations and options of
// cryptsetup, each of which is compared with it.
var CryptKinds = []CryptKind{
	{Name: "l1-aes-xts", Format: "--type luks1 --cipher aes-xts-plain64 --key-size 512 --hash sha256" + fast},
	{Name: "l1-cbc-essiv", Format: "--type luks1 --cipher aes-cbc-essiv:sha256 --key-size 256 --hash sha1" + fast},
	{Name: "l1-cbc-plain", Format: "--type luks1 --cipher aes-cbc-plain --key-size 128 --hash sha512" + fast},
	{Name: "l1-serpent", Format: "--type luks1 --cipher serpent-xts-plain64 --key-size 512 --hash ripemd160" + fast, Rare: true},
	{Name: "l1-twofish", Format: "--type luks1 --cipher twofish-cbc-essiv:sha256 --key-size 256 --hash sha384" + fast, Rare: true},
	{Name: "l2-aes-512", Format: fast2 + "--cipher aes-xts-plain64 --key-size 512 --sector-size 512", Options: "discard", Open: "--allow-discards"},
	{Name: "l2-aes-1024", Format: fast2 + "--cipher aes-xts-plain64 --key-size 256 --sector-size 1024", Options: "no-read-workqueue,no-write-workqueue",
		Open: "--perf-no_read_workqueue --perf-no_write_workqueue"},
	// LVM writes in sectors of 512 and 4096 bytes and in no others.
	{Name: "l2-aes-4096", On: "l2-aes-1024", Format: fast2 + "--cipher aes-xts-plain64 --key-size 512 --sector-size 4096", Options: "same-cpu-crypt,submit-from-crypt-cpus",
		Open: "--perf-same_cpu_crypt --perf-submit_from_crypt_cpus"},
	{Name: "l2-xts-essiv", Format: fast2 + "--cipher aes-xts-essiv:sha256 --key-size 512"},
	{Name: "l2-ctr", Format: fast2 + "--cipher aes-ctr-plain64 --key-size 256", Rare: true},
	{Name: "l2-plain64be", Format: fast2 + "--cipher aes-cbc-plain64be --key-size 256"},
	{Name: "l2-adiantum12", Format: fast2 + "--cipher xchacha12,aes-adiantum-plain64 --key-size 256 --sector-size 4096", Rare: true},
	{Name: "l2-adiantum20", Format: fast2 + "--cipher xchacha20,aes-adiantum-plain64 --key-size 256", Rare: true},
	{Name: "l2-twofish", Format: fast2 + "--cipher twofish-xts-plain64 --key-size 512", Rare: true},
	{Name: "l2-camellia", Format: fast2 + "--cipher camellia-xts-plain64 --key-size 512", Rare: true},
	{Name: "l2-cast6", Format: fast2 + "--cipher cast6-xts-plain64 --key-size 512", Rare: true},
	{Name: "l2-sha3", Format: fast2 + "--hash sha3-256", Rare: true},
	{Name: "l2-blake2b", Format: fast2 + "--hash blake2b-512"},
	{Name: "l2-blake2s", Format: fast2 + "--hash blake2s-256", Rare: true},
	{Name: "l2-argon2i", Format: argon + "32768 --pbkdf argon2i"},
	{Name: "l2-argon2id", Format: argon + "65536 --pbkdf argon2id --pbkdf-parallel 2"},
	{Name: "l2-flags", Format: fast2, More: [][]string{{"cryptsetup", "refresh", "--key-file", "-", "--persistent", "--allow-discards", "--perf-no_read_workqueue", "l2-flags"}}},
	{Name: "l2-null", Format: fast2 + "--cipher cipher_null-ecb --key-size 256"},
	{Name: "l2-keyslot", Format: fast2 + "--keyslot-cipher aes-cbc-essiv:sha256 --keyslot-key-size 256 --key-slot 5"},
	{Name: "l2-reencrypt", Format: "--type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-metadata-size 16k --luks2-keyslots-size 4m --sector-size 512", Reenc: true, Rare: true},
	{Name: "l2-hmac", Format: fast2 + "--cipher aes-xts-random --integrity hmac-sha256 --key-size 512 --sector-size 512", Below: true, Rare: true},
	{Name: "l2-hmac-4096", Format: fast2 + "--cipher aes-xts-plain64 --integrity hmac-sha256 --key-size 512 --sector-size 4096", Below: true, Rare: true},
	{Name: "l2-gcm", Format: fast2 + "--cipher aes-gcm-random --integrity aead --key-size 256", Below: true, Rare: true},
	{Name: "l2-chacha", Format: fast2 + "--cipher chacha20-random --integrity poly1305 --key-size 256", Below: true, Rare: true},
	{Name: "l2-aegis", Format: fast2 + "--cipher aegis128-random --integrity aead --key-size 128", Below: true, Rare: true},
	{Name: "plain-aes", Open: "--cipher aes-xts-plain64 --key-size 512", Options: "cipher=aes-xts-plain64,size=512", Rare: true},
	{Name: "plain-offset", Open: "--cipher aes-cbc-essiv:sha256 --key-size 256 --offset 2048 --skip 7",
		Options: "cipher=aes-cbc-essiv:sha256,size=256,offset=2048,skip=7", Rare: true},
	{Name: "plain-4096", Open: "--cipher aes-xts-plain64 --key-size 256 --sector-size 4096",
		Options: "cipher=aes-xts-plain64,size=256,sector-size=4096", Rare: true},
}

// CryptKey is the key file of all of them; plain volumes take its first bytes.
var CryptKey = strings.Repeat("\x00\xffkey of many\n", 16)

// Crypts has a partition for each of the kinds, and a root that lies on all of
// them, so that it is there only if every one was opened rightly.
var Crypts = func() Layout {
	l := Layout{Name: "crypts", Disks: one(560)}
	gpt := GPT{On: "d0"}
	root := LV{VG: "many", Name: "root"}
	vg := mixedVG{Name: "many"}
	var steps []Step
	covered := map[string]bool{}
	for i, k := range CryptKinds {
		on := k.On
		if on == "" {
			on = "p" + strconv.Itoa(i)
			gpt.Parts = append(gpt.Parts, Part{Name: on, MiB: 16})
		}
		covered[k.On] = true
		steps = append(steps, k.step(l.UUID(k.Name), on))
	}
	for _, k := range CryptKinds {
		if !covered[k.Name] {
			vg.On = append(vg.On, k.Name)
		}
	}
	l.Steps = append([]Step{gpt, Tool{Argv: []string{"@write", "/tmp/crypt.key"}, Stdin: CryptKey}}, steps...)
	l.Steps = append(l.Steps, vg, root, FS{On: "many/root", Type: "ext4", Content: Content{Tree: "tables"}})
	return l
}()

func (k CryptKind) step(uuid, part string) Crypt {
	c := Crypt{Name: k.Name, Key: CryptKey, More: k.More}
	open := strings.Fields("cryptsetup open --key-file - " + k.Open)
	if k.Format == "" {
		open = strings.Fields("cryptsetup open --type plain --key-file /tmp/crypt.key " + k.Open)
	} else {
		c.Format = append(strings.Fields("cryptsetup luksFormat --batch-mode --use-urandom --key-file - --uuid "+uuid+" "+k.Format), "{"+part+"}")
	}
	if k.Reenc {
		c.Before = [][]string{append(strings.Fields("cryptsetup reencrypt --batch-mode --init-only --key-file - --pbkdf pbkdf2 --pbkdf-force-iterations 1000"), "{"+part+"}")}
	}
	if k.Below {
		c.Below = []string{k.Name + "_dif"}
	}
	c.Open = append(open, "{"+part+"}", k.Name)
	return c
}

// CryptTable is the crypttab with which Firstlight opens them.
func CryptTable(keyFile string) string {
	var b strings.Builder
	for i, k := range CryptKinds {
		dev, options := "UUID="+Crypts.UUID(k.Name), "luks"
		if k.Format == "" {
			dev, options = "PARTUUID="+Crypts.PartUUID("p"+strconv.Itoa(i)), "plain"
		}
		if k.Options != "" {
			options += "," + k.Options
		}
		fmt.Fprintf(&b, "%s %s %s %s\n", k.Name, dev, keyFile, options)
	}
	return b.String()
}

// typedTwice is the passphrase as tcplay takes it from what is not a terminal:
// in reads of 255 bytes, of which it uses what is before the first zero.
var typedTwice = strings.Repeat(Passphrase+strings.Repeat("\x00", 255-len(Passphrase)), 2)

// TCRYPT is a TrueCrypt volume, made by tcplay: cryptsetup makes none.
var TCRYPT = Layout{Name: "tcrypt", Disks: one(64), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "part"}}},
	Tool{Argv: []string{"tcplay", "--create", "--device={part}", "--pbkdf-prf=SHA512", "--cipher=AES-256-XTS", "--insecure-erase", "--weak-keys"},
		Stdin: typedTwice + "y\n"},
	Crypt{Name: "tc", Open: []string{"cryptsetup", "open", "--type", "tcrypt", "--disable-veracrypt", "{part}", "tc"}, Key: Passphrase + "\n"},
	FS{On: "tc", Type: "ext4", Content: Content{Tree: "tables"}},
}}
