package snapshot

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSubvolumeKeyIsWhatTheOptionsAskFor(t *testing.T) {
	for options, want := range map[string]string{
		"": "", "noatime": "", "subvol=@root": "/@root", "noatime,subvol=/@root/,compress=zstd": "/@root", "subvolid=256": "subvolid=256",
		"subvol=a,subvol=b": "/b",
	} {
		if got := SubvolumeKey(options); got != want {
			t.Errorf("%q: %q, not %q", options, got, want)
		}
	}
}

// A boot may mount another subvolume than the one that is mounted: those that
// a command line names, and the default one, are looked at aside.
func TestSubvolumesThatAreNotMountedAreLookedAt(t *testing.T) {
	o := machine(t)
	root := string(o.Root)
	const mounts = "1 0 0:30 /@root / ro - btrfs /dev/vda rw,subvol=/@root\n2 1 0:30 /@home /home rw - btrfs /dev/vda rw,subvol=/@home\n"
	if err := os.WriteFile(filepath.Join(root, "/proc/self/mountinfo"), []byte(mounts), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "aside/sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "aside/sbin/init"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Cmdlines = []string{"rootflags=noatime,subvol=@old", "rootflags=subvol=@root", `rootflags="subvol=@broken"`}
	var asked []string
	open := 0
	o.Aside = func(fstype, source string, options ...string) (string, func(), error) {
		asked = append(asked, fstype+" "+source+" "+strings.Join(options, ","))
		switch options[0] {
		case "":
			open++
			return "/aside", func() { open-- }, nil
		case "subvol=/@old":
			return "", nil, fmt.Errorf("mount: %w", fs.ErrNotExist)
		}
		return "", nil, fs.ErrPermission
	}
	s, err := Take(o)
	if err != nil {
		t.Fatal(err)
	}
	// The filesystem itself is mounted for writing, the mount of it is not.
	if want := []string{"btrfs /dev/vda ", "btrfs /dev/vda subvol=/@broken", "btrfs /dev/vda subvol=/@old"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	if len(s.Aside) != 2 || open != 0 {
		t.Fatalf("%+v, %d left open", s.Aside, open)
	}
	def, old := s.Aside[0], s.Aside[1]
	if def.Root != "" || def.Entries["/sbin/init"].Mode != 0o100755 || def.Entries["/etc/init"].Mode != 0 {
		t.Errorf("the default subvolume: %+v", def)
	}
	if old.Root != "/@old" || old.Entries != nil {
		t.Errorf("one that is not there: %+v", old)
	}
	if len(s.Notes) == 0 {
		t.Error("nothing says that one could not be looked at")
	}
	var b bytes.Buffer
	if err := Write(&b, s); err != nil {
		t.Fatal(err)
	}
	if again, err := Read(&b); err != nil || !reflect.DeepEqual(again.Aside, s.Aside) {
		t.Errorf("read back: %v", err)
	}
}
