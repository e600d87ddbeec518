package measure

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// systemd-measure has the same values for the same sections, at every point of
// the boot and in every bank.
func TestTheSameValuesAsSystemdMeasure(t *testing.T) {
	const tool = "/usr/lib/systemd/systemd-measure"
	testtool.Need(t, tool)
	dir := t.TempDir()
	image := Image{}
	var args []string
	// Those that systemd 252, of Debian 12, knows; package uki compares the rest.
	for _, name := range []string{".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"} {
		f := filepath.Join(dir, name[1:])
		image[name] = []byte("what is in " + name)
		if err := os.WriteFile(f, image[name], 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--"+name[1:]+"="+f)
	}
	paths := append(Paths(), "sysinit:final")
	for _, p := range paths {
		args = append(args, "--phase="+string(p))
	}
	for _, b := range Banks() {
		args = append(args, "--bank="+b.Name)
	}
	out, err := exec.Command(tool, append([]string{"calculate", "--json=short"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]struct {
		Phase, Hash string
		PCR         int
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range Values(image, Banks(), paths) {
		found := false
		for _, w := range want[v.Bank.Name] {
			if w.Phase == string(v.Path) && w.PCR == Register {
				found = w.Hash == hex.EncodeToString(v.Value)
				n++
			}
		}
		if !found {
			t.Errorf("%s at %s: %x; systemd-measure says %s", v.Bank.Name, v.Path, v.Value, strings.TrimSpace(string(out)))
		}
	}
	if n != len(Banks())*len(paths) {
		t.Errorf("%d values were compared", n)
	}
}
