package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/luks"
)

// comparePlain compares the table of a plain volume with cryptsetup's, keys
// included: they are made from the passphrase in the same way.
func comparePlain() error {
	const path = "/run/plain"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(path, diskSize); err != nil {
		return err
	}
	dev, detach, err := loop(path)
	if err != nil {
		return err
	}
	defer detach()
	var st unix.Stat_t
	if err := unix.Stat(dev, &st); err != nil {
		return err
	}
	for _, p := range []luks.Plain{
		{Cipher: "aes-xts-plain64", KeySize: 64, Hash: "sha256"},
		{Cipher: "aes-cbc-essiv:sha256", KeySize: 32, Hash: "ripemd160", Offset: 8, Skip: 3},
		{Cipher: "aes-cbc-plain64", KeySize: 16, Hash: "sha512"},
		{Cipher: "aes-xts-plain64", KeySize: 32, Hash: "plain", SectorSize: 4096},
		{Cipher: "aes-cbc-plain", KeySize: 32, Hash: "sha1:16"},
	} {
		const pass = "an open secret"
		args := []string{"cryptsetup", "open", "--type", "plain", "--cipher", p.Cipher, "--key-size", strconv.Itoa(8 * p.KeySize), "--hash", p.Hash,
			"--offset", strconv.FormatUint(p.Offset, 10), "--skip", strconv.FormatUint(p.Skip, 10)}
		if p.SectorSize != 0 {
			args = append(args, "--sector-size", strconv.Itoa(p.SectorSize))
		}
		if _, err := tool(pass+"\n", append(args, dev, "plain")...); err != nil {
			return err
		}
		theirs, err := tool("", "dmsetup", "table", "--showkeys", "plain")
		if err != nil {
			return err
		}
		uuid, err := tool("", "dmsetup", "info", "-c", "--noheadings", "-o", "uuid", "plain")
		if err != nil {
			return err
		}
		if _, err := tool("", "cryptsetup", "close", "plain"); err != nil {
			return err
		}
		key, err := p.Key([]byte(pass), nil)
		if err != nil {
			return err
		}
		table, err := p.Table(luks.MapOptions{Device: fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), DeviceSize: diskSize, Key: key.KeyRef()})
		if err != nil {
			return err
		}
		t := table[0]
		if ours := fmt.Sprintf("%d %d %s %s", t.Start, t.Length, t.Type, t.Params); ours != strings.TrimSpace(theirs) || p.DMUUID("plain") != uuid {
			return fmt.Errorf("%s %s: table %q, cryptsetup's %q; uuid %q, cryptsetup's %q", p.Cipher, p.Hash, ours, theirs, p.DMUUID("plain"), uuid)
		}
	}
	return nil
}
