package sim_test

import (
	"strings"
	"testing"
)

// Credentials that the stub found are where systemd of the real system looks, and
// keep nobody from others that the firmware or the command line has; extensions are
// not used, and that is said.
func TestCredentialsOfTheStub(t *testing.T) {
	const received, store = "/run/credentials/@encrypted/", "/run/credstore.encrypted/"
	two := map[string]string{"/.extra/credentials/a.cred": "SECRET one", "/.extra/global_credentials/a.cred": "SECRET all", "/.extra/global_credentials/b.cred": "SECRET two"}
	for name, tt := range map[string]struct {
		files map[string]string
		want  map[string]string // what is written
		env   string
		says  string
	}{
		"two":              {two, map[string]string{received + "a": "SECRET one", received + "b": "SECRET two"}, "/run/credentials/@encrypted", ""},
		"none":             {nil, map[string]string{received + "a": "", store + "a": ""}, "", ""},
		"names":            {map[string]string{"/.extra/credentials/a b.cred": "x", "/.extra/credentials/c": "y"}, map[string]string{received + "a b": "", received + "c": ""}, "", "no name of a credential"},
		"the command line": {with(two, "/proc/cmdline", "a systemd.set_credential=x:y"), map[string]string{store + "a": "SECRET one", store + "b": "SECRET two", received + "a": ""}, "", ""},
		"none are wanted":  {with(two, "/proc/cmdline", "systemd.import_credentials=no"), map[string]string{store + "a": "SECRET one", received + "a": ""}, "", ""},
		"the firmware":     {with(two, "/sys/firmware/dmi/tables/DMI", "\x0b\x05\x00\x00\x01io.systemd.credential:x=y\x00\x00"), map[string]string{store + "a": "SECRET one", received + "a": ""}, "", ""},
		"QEMU":             {with(two, "/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/x/raw", "y"), map[string]string{store + "a": "SECRET one", received + "a": ""}, "", ""},
		"extensions":       {map[string]string{"/.extra/sysext/more.raw": "x", "/.extra/global_confext/conf.raw": "x"}, map[string]string{"/run/extensions/more.raw": ""}, "", "not used: more.raw"},
	} {
		t.Run(name, func(t *testing.T) {
			m := measuredBoot(tt.files, nil)
			m.Record = true
			boot(t, m)
			started(t, m, "/dev/vda")
			for p, text := range tt.want {
				if got := m.Written(p); got != text {
					t.Errorf("%s is %q, not %q", p, got, text)
				}
			}
			if got := m.Env["ENCRYPTED_CREDENTIALS_DIRECTORY"]; got != tt.env {
				t.Errorf("the variable is %q", got)
			}
			said := ""
			for _, l := range m.Said {
				said += l.Text + "\n"
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("it said:\n%s", said)
			}
			if strings.Contains(string(m.Journal)+string(m.Inputs), "SECRET") {
				t.Error("the journal has the content")
			}
		})
	}
}

func with(files map[string]string, path, text string) map[string]string {
	out := map[string]string{path: text}
	for p, t := range files {
		out[p] = t
	}
	return out
}
