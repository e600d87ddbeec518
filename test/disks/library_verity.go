package disks

// Types of partitions in the Discoverable Partitions Specification, on x86-64.
const (
	rootType   = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	verityType = "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5"
)

// verified is an erofs that a hash tree proves; more steps come before it is
// opened with options.
func verified(name string, format, open []string, more ...Step) Layout {
	const hash = "/tmp/verity.hash"
	steps := []Step{
		GPT{On: "d0", Parts: []Part{{Name: "data", MiB: 32, Type: rootType}, {Name: "tree", MiB: 16, Type: verityType}, {Name: "fec"}}},
		FS{On: "data", Type: "erofs", Content: Content{Tree: "tables"}},
		Tool{Argv: append(append([]string{"veritysetup", "format", "--root-hash-file", hash, "--uuid", UUID(name, "verity")}, format...), "{data}", "{tree}")},
		Tool{Argv: []string{"@halves", "{d0}", "1", "2", hash}},
	}
	steps = append(steps, Crypt{Name: "root", Open: append(append([]string{"veritysetup", "open", "--root-hash-file", hash}, open...), "{data}", "root", "{tree}")})
	return Layout{Name: name, Disks: one(64), Steps: append(steps, more...)}
}

// Verity is found by its root hash alone; VerityFEC has a hash tree that does not
// begin where its partition does, and error correction; in VerityCorrupt the
// first block of the filesystem was changed afterwards.
var (
	Verity    = verified("verity", nil, nil)
	VerityFEC = verified("verity-fec", []string{"--hash-offset", "1048576", "--fec-device", "{fec}", "--fec-roots", "4", "--hash", "sha512", "--salt", "-"},
		[]string{"--hash-offset", "1048576", "--fec-device", "{fec}", "--fec-roots", "4", "--ignore-zero-blocks", "--check-at-most-once"})
	VerityCorrupt = verified("verity-corrupt", nil, nil, Poke{On: "data", Offset: 1024 + 40, Hex: "ff"})
)

// IntegrityKey is the key file of the second of Integrity's devices.
const IntegrityKey = "0123456789abcdef0123456789abcdef"

// Integrity is a root over two devices of dm-integrity, the one with checksums
// and a bitmap, the other with an HMAC.
var Integrity = Layout{Name: "integrity", Disks: one(128), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "i0", MiB: 48}, {Name: "i1"}}},
	Tool{Argv: []string{"@write", "/tmp/integrity.key"}, Stdin: IntegrityKey},
	Crypt{Name: "int-sum", Format: []string{"integritysetup", "format", "--batch-mode", "--integrity", "crc32c", "--sector-size", "512", "{i0}"},
		Open: []string{"integritysetup", "open", "--integrity", "crc32c", "--integrity-bitmap-mode", "{i0}", "int-sum"}},
	Crypt{Name: "int-mac", Format: []string{"integritysetup", "format", "--batch-mode", "--integrity", "hmac-sha256", "--tag-size", "32", "--integrity-key-file", "/tmp/integrity.key",
		"--integrity-key-size", "32", "--sector-size", "512", "{i1}"},
		Open: []string{"integritysetup", "open", "--integrity", "hmac-sha256", "--integrity-key-file", "/tmp/integrity.key", "--integrity-key-size", "32",
			"--journal-watermark", "40", "{i1}", "int-mac"}},
	VG{Name: "ints", On: []string{"int-sum", "int-mac"}},
	LV{VG: "ints", Name: "root"},
	FS{On: "ints/root", Type: "ext4", Content: Content{Tree: "tables"}},
}}
