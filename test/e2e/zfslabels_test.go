package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/testtool"
	"firstlight/internal/zfslabel"
	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
)

// What zdb -l says of every device of the pools that zpool has made, the reader of
// labels says too, field by field, and of the uberblocks what zdb -lu does.
func TestZFSLabelsAreReadAsZdbDoes(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_E2E") == "" || os.Getenv("FIRSTLIGHT_FULL") == "" {
		t.Skip("needs a kernel with ZFS to make pools: make test-full")
	}
	testtool.Root(t)
	testtool.Need(t, "qemu-system-x86_64", "sfdisk")
	made, err := disks.Make(t.Context(), disks.ZFS...)
	if err != nil {
		t.Error(err)
	}
	dir, err := debian.ZFSRoot(t.Context(), "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	compared := 0
	for _, l := range disks.ZFS {
		for name, file := range made[l.Name].Files {
			part, ok := zfsPartition(t, file)
			if !ok {
				continue // in an encrypted volume
			}
			out, err := host.Run(t.Context(), filepath.Join(root, "lib64/ld-linux-x86-64.so.2"), "--library-path", filepath.Join(root, "usr/lib/x86_64-linux-gnu"), filepath.Join(root, "usr/sbin/zdb"), "-lu", part)
			if err != nil {
				t.Errorf("%s %s: %v", l.Name, name, err)
				continue
			}
			f, err := os.Open(part)
			if err != nil {
				t.Fatal(err)
			}
			st, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			got, err := zfslabel.Read(f, uint64(st.Size()))
			f.Close()
			os.Remove(part)
			if err != nil {
				t.Errorf("%s %s: %v", l.Name, name, err)
				continue
			}
			want, ours := told(out), zdbWords(got)
			if !slices.Equal(want, ours) {
				t.Errorf("%s %s: zdb says\n%s\nand the reader\n%s", l.Name, name, strings.Join(want, "\n"), strings.Join(ours, "\n"))
			}
			compared += len(want)
		}
	}
	if compared < 200 {
		t.Errorf("only %d lines were compared", compared)
	}
	t.Logf("%d lines compared", compared)
}

// zfsPartition copies the first partition of a disk to a file of its own.
func zfsPartition(t *testing.T, disk string) (string, bool) {
	t.Helper()
	out, err := host.Run(t.Context(), "sfdisk", "-J", disk)
	if err != nil {
		return "", false
	}
	var table struct {
		PartitionTable struct {
			Partitions []struct{ Start, Size int64 }
		}
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil || len(table.PartitionTable.Partitions) == 0 {
		t.Fatal(disk, err)
	}
	p := table.PartitionTable.Partitions[0]
	from, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "part"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, io.NewSectionReader(from, p.Start*512, p.Size*512)); err != nil {
		t.Fatal(err)
	}
	return to.Name(), true
}

// read are the names of zdb's that the reader gives.
var read = map[string]bool{"version": true, "name": true, "state": true, "txg": true, "pool_guid": true, "hostid": true, "hostname": true, "errata": true,
	"top_guid": true, "guid": true, "vdev_children": true, "type": true, "id": true, "nparity": true, "ashift": true, "is_log": true, "path": true}

// told is what zdb -lu says, as far as the reader gives it: the label, the
// features, and the uberblocks, the newest first.
func told(out string) []string {
	var list, ubers []string
	features := false
	txg := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		name, value, pair := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(line, "    features_for_read:"):
			features = true
		case features && strings.HasPrefix(line, "        "):
			list = append(list, "feature "+strings.TrimSpace(line))
		case strings.HasPrefix(line, "\ttxg = "):
			txg = strings.TrimPrefix(line, "\ttxg = ")
		case name == "is_log" && !strings.HasPrefix(line, "        "): // the label says so twice
		case strings.HasPrefix(line, "\ttimestamp = "):
			ubers = append(ubers, "uberblock "+txg+" "+strings.Fields(line)[2])
		case pair && read[name] && strings.Trim(value, "'") != "0" || pair && name == "id":
			features = false
			list = append(list, name+" "+strings.Trim(value, "'"))
		default:
			features = false
		}
	}
	slices.SortFunc(ubers, func(a, b string) int { return group(b) - group(a) })
	return append(list, ubers...)
}

func group(s string) int {
	n, _ := strconv.Atoi(strings.Fields(s)[1])
	return n
}

// zdbWords is a label in zdb's words and order.
func zdbWords(l *zfslabel.Label) []string {
	var list []string
	add := func(name string, v any) {
		if s := fmt.Sprint(v); s != "0" && s != "" && s != "false" || name == "id" {
			list = append(list, name+" "+s)
		}
	}
	for _, x := range []struct {
		name string
		v    any
	}{{"version", l.Version}, {"name", l.Pool}, {"state", uint64(l.State)}, {"txg", l.Txg}, {"pool_guid", l.PoolGUID}, {"errata", l.Errata}, {"hostid", l.HostID},
		{"hostname", l.HostName}, {"top_guid", l.TopGUID}, {"guid", l.GUID}, {"vdev_children", l.Tops}} {
		add(x.name, x.v)
	}
	var tree func(v *zfslabel.Vdev)
	tree = func(v *zfslabel.Vdev) {
		add("type", v.Type)
		add("id", v.ID)
		add("guid", v.GUID)
		add("path", v.Path)
		add("nparity", v.Parity)
		add("ashift", v.Ashift)
		if v.Log {
			add("is_log", 1)
		}
		for i := range v.Children {
			tree(&v.Children[i])
		}
	}
	tree(l.Tree)
	for _, f := range l.Features {
		list = append(list, "feature "+f)
	}
	for _, u := range l.Ubers {
		list = append(list, fmt.Sprintf("uberblock %d %d", u.Txg, u.Time))
	}
	return list
}
