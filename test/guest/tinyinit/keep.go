package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// keep does what an init system does at a boot: it mounts what shows the
// persistent store, the firmware's variables and the EFI system partition, and
// keeps the records. It returns what firstlight trace says then.
func keep() []byte {
	var out []byte
	for _, m := range []struct{ what, dir, typ string }{
		{"pstore", "/sys/fs/pstore", "pstore"}, {"efivarfs", "/sys/firmware/efi/efivars", "efivarfs"}, {"/dev/vda1", "/efi", "vfat"},
	} {
		if m.typ == "vfat" {
			os.Mkdir(m.dir, 0o755)
		}
		if _, err := os.Stat(m.dir); err != nil {
			continue
		}
		if err := unix.Mount(m.what, m.dir, m.typ, 0, ""); err != nil {
			out = fmt.Appendf(out, "mount %s: %v\n", m.what, err)
		}
	}
	out = append(out, notes("found")...)
	return append(append(out, traced()...), notes("left")...)
}

// notes lists the files in which boots that failed have left something.
func notes(word string) (out []byte) {
	for _, dir := range []string{"/sys/fs/pstore", "/sys/firmware/efi/efivars", "/efi"} {
		names, _ := os.ReadDir(dir)
		for _, n := range names {
			b, err := os.ReadFile(dir + "/" + n.Name())
			if err == nil && bytes.Contains(b, []byte("firstlight-failure")) {
				out = fmt.Appendf(out, "# %s %s/%s, %d bytes\n", word, dir, n.Name(), len(b))
			}
		}
	}
	return out
}

// traced keeps the records and returns what is said of them.
func traced() (out []byte) {
	for _, args := range [][]string{{"keep"}, {"keep"}, {"list"}, {"list", "--json"}, {"show", "--boot", "1", "--width", "100"}, {"why", "root", "--boot", "1"}} {
		out = fmt.Appendf(out, "# trace %q\n", args)
		text, err := exec.Command("/usr/bin/firstlight", append([]string{"trace"}, args...)...).CombinedOutput()
		out = append(out, text...)
		if err != nil {
			out = fmt.Appendf(out, "# %v\n", err)
		}
	}
	return out
}
