package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/feature"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
)

const machineID = "0123456789abcdef0123456789abcdef"

// identityOf builds what an image would say of a system with these files.
func identityOf(t *testing.T, files map[string]string) (string, []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &builder{o: Options{Sysroot: sysroot.Root(dir)}, report: &Report{Features: []feature.Chosen{{Feature: &feature.Feature{Name: "lvm"}}}}}
	return b.lvmIdentity(), b.report.Notes
}

func TestSystemIDIsTheOneThatLVMConfSays(t *testing.T) {
	source := func(s string) string { return "# a comment\nglobal {\n\tsystem_id_source = \"" + s + "\" # so\n}\n" }
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
		note  string
	}{
		{"no configuration", nil, "", ""},
		{"Debian's, in which all is a comment", map[string]string{"etc/lvm/lvm.conf": "global {\n\t# system_id_source = \"none\"\n}\nlocal {\n}\n"}, "", ""},
		{"none", map[string]string{"etc/lvm/lvm.conf": source("none"), "etc/lvm/lvmlocal.conf": "local { system_id = \"x\" }"}, "", ""},
		{"lvmlocal", map[string]string{"etc/lvm/lvm.conf": source("lvmlocal"), "etc/lvm/lvmlocal.conf": "local {\n system_id = \"host 1\"\n extra_system_ids = [ \"b\", \"c d\" ]\n}\n"},
			"system_id=host1\nextra_system_ids=b cd\n", ""},
		{"extra ones without one of its own", map[string]string{"etc/lvm/lvmlocal.conf": "local/extra_system_ids = \"b\""}, "extra_system_ids=b\n", ""},
		{"uname", map[string]string{"etc/lvm/lvm.conf": source("uname"), "etc/hostname": "birch\n"}, "system_id=birch\n", ""},
		{"a path in place of a section, in lvmlocal.conf", map[string]string{"etc/lvm/lvm.conf": source("none"), "etc/lvm/lvmlocal.conf": "global/system_id_source = \"uname\"\n", "etc/hostname": "birch\n"},
			"system_id=birch\n", ""},
		{"machineid", map[string]string{"etc/lvm/lvm.conf": source("machineid"), "etc/machine-id": machineID + "\n"}, "system_id=" + machineID + "\n", ""},
		{"file", map[string]string{"etc/lvm/lvm.conf": "global {\nsystem_id_source=\"file\"\nsystem_id_file=\"/etc/lvm/id\"\n}", "etc/lvm/id": "# who\n\n  oak \nelm\n"}, "system_id=oak\n", ""},
		{"file that is not named", map[string]string{"etc/lvm/lvm.conf": source("file")}, "", "system_id_file is not set"},
		{"uname without a name", map[string]string{"etc/lvm/lvm.conf": source("uname")}, "", "/etc/hostname"},
		{"localhost", map[string]string{"etc/lvm/lvm.conf": source("uname"), "etc/hostname": "localhost.localdomain\n"}, "", "is no system ID"},
		{"unknown source", map[string]string{"etc/lvm/lvm.conf": source("dmi")}, "", `"dmi" is not known`},
		{"a devices file", map[string]string{"etc/lvm/lvm.conf": "devices {\n use_devicesfile = 1\n}\n",
			"etc/lvm/devices/system.devices": "VERSION=1.1.1\nIDTYPE=devname IDNAME=/dev/vda DEVNAME=/dev/vda PVID=bSRVHrTnZlY6VJVyL25sJZJXsYrIqS9s\n"},
			"lvm_devices=bSRVHrTnZlY6VJVyL25sJZJXsYrIqS9s\n", ""},
		{"a devices file that is not in use", map[string]string{"etc/lvm/devices/system.devices": "IDTYPE=devname PVID=bSRVHrTnZlY6VJVyL25sJZJXsYrIqS9s\n"}, "", ""},
		{"no devices file", map[string]string{"etc/lvm/lvm.conf": "devices/use_devicesfile = 1\n"}, "", ""},
		{"broken", map[string]string{"etc/lvm/lvm.conf": "global {\n"}, "", `/etc/lvm/lvm.conf: metadata text:1:1: section "global" is not closed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, notes := identityOf(t, tt.files)
			if all := strings.Join(notes, "\n"); got != tt.want || (tt.note == "") != (all == "") || !strings.Contains(all, tt.note) {
				t.Errorf("got %q and notes %q", got, all)
			}
		})
	}
}

// The oracle is LVM itself, asked with the same settings about this machine.
func TestSystemIDIsWhatLVMSaysOfThisMachine(t *testing.T) {
	testtool.Need(t, "lvm")
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		t.Skip(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, conf := range []string{
		`global { system_id_source = "machineid" }`, `global { system_id_source = "appmachineid" }`, `global { system_id_source = "uname" }`,
		`global { system_id_source = "lvmlocal" } local { system_id = "-ab c@d+e._localhost" }`,
		`global { system_id_source = "lvmlocal" } local { system_id = "` + strings.Repeat("long", 60) + `" }`,
		`global { system_id_source = "none" }`,
	} {
		cmd := exec.Command(testtool.Path("lvm"), "systemid", "--config", conf)
		cmd.Env = append(os.Environ(), "LVM_SUPPRESS_FD_WARNINGS=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("lvm systemid: %v", err)
		}
		_, want, ok := strings.Cut(strings.TrimRight(string(out), "\n"), "system ID: ")
		if !ok {
			t.Fatalf("lvm says %q", out)
		}
		if want != "" {
			want = "system_id=" + want + "\n"
		}
		got, notes := identityOf(t, map[string]string{"etc/lvm/lvm.conf": conf, "etc/machine-id": string(id), "etc/hostname": name})
		if got != want {
			t.Errorf("%s: got %q, LVM says %q; %v", conf, got, want, notes)
		}
	}
}
