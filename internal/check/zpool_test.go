package check

import (
	"strings"
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
)

// What ZFS's tools said when the snapshot was taken, they say in the boot: a pool is
// imported by the labels of its devices, its keys are not loaded, and a dataset shows
// what it showed.
func TestToolsOfZFSAreModelled(t *testing.T) {
	s := taken(t, "zfs")
	if !strings.Contains(s.ZFS[snapshot.ZFSDatasets], "pcrypt/ROOT/fl\tfilesystem\t/\tnoauto\tpcrypt/ROOT/fl\tavailable\tprompt\tpassphrase") {
		t.Fatalf("%q", s.ZFS)
	}
	w := &world{snap: s, zpool: "pcrypt", zopen: map[string]bool{}}
	list := []string{"list", "-H", "-p", "-t", "filesystem", "-r", "-o", "name,mountpoint,keystatus", "pcrypt/ROOT"}
	if got := w.datasets("pcrypt/ROOT", list).Output; got != "pcrypt/ROOT\tnone\t-\npcrypt/ROOT/fl\t/\tunavailable\n" {
		t.Errorf("%q", got)
	}
	mount := []string{"-o", "zfsutil", "pcrypt/ROOT/fl", "/sysroot"}
	if x := w.mountDataset(mount); x.Code == 0 {
		t.Error("a dataset that is locked is mounted")
	}
	if x := w.loadKey("pcrypt/ROOT/fl", machine.Program{Args: []string{"load-key", "-L", "prompt", "pcrypt/ROOT/fl"}, Input: []byte(typedSecret + "\n")}); x.Code != 0 {
		t.Error(x.Output)
	}
	if got := w.datasets("pcrypt/ROOT", list).Output; !strings.HasSuffix(got, "\tavailable\n") {
		t.Errorf("%q", got)
	}
	if got := w.bootfs("pcrypt").Output; got != "-\n" || len(w.unknown) > 0 {
		t.Errorf("%q, %q", got, w.unknown)
	}
	if x := w.datasets("pcrypt/none", list); x.Code == 0 {
		t.Error("a dataset that is not there is listed")
	}
	w.zpool = "other"
	if x := w.datasets("other/x", list); x.Code == 0 || len(w.unknown) != 1 {
		t.Errorf("%q", w.unknown)
	}
}
