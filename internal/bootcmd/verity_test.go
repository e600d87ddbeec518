package bootcmd

import (
	"strings"
	"testing"
)

func TestRootHashSaysWhereEverythingIs(t *testing.T) {
	const hash = "00112233445566778899AABBCCDDEEFF0123456789abcdef0123456789abcdef"
	c, problems := cmdline("roothash=" + hash)
	v := c.Verity.Root
	if len(problems) != 0 || v.RootHash != strings.ToLower(hash) || v.Data.String() != "PARTUUID=00112233-4455-6677-8899-aabbccddeeff" ||
		v.Hash.String() != "PARTUUID=01234567-89ab-cdef-0123-456789abcdef" || c.Root.Device.String() != "/dev/mapper/root" {
		t.Errorf("%+v, root %s, %v", v, c.Root.Device, problems)
	}
	// Nothing else is mounted than what was proved, and that is said.
	c, problems = cmdline("root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff roothash=" + hash)
	if c.Root.Device.String() != "/dev/mapper/root" || len(problems) != 1 || problems[0].Kind != Conflicting {
		t.Errorf("root %s, %v", c.Root.Device, problems)
	}
	c, problems = cmdline("root=/dev/sda1 usrhash=" + hash + " systemd.verity_usr_data=/dev/sda2 systemd.verity_usr_hash=/dev/sda3")
	if u := c.Verity.Usr; c.Root.Device.String() != "/dev/sda1" || c.Usr.Device.String() != "/dev/mapper/usr" || u.Data.String() != "/dev/sda2" ||
		u.Hash.String() != "/dev/sda3" || len(problems) != 0 {
		t.Errorf("%+v, usr %s, %v", u, c.Usr.Device, problems)
	}
	c, _ = cmdline("root=/dev/sda1 rd.systemd.verity=0 roothash=" + hash)
	if c.Root.Device.String() != "/dev/sda1" {
		t.Errorf("switched off: root %s", c.Root.Device)
	}
	for _, bad := range []string{"", "00", "xyz", strings.Repeat("0", 31), strings.Repeat("00", 65)} {
		if c, problems := cmdline("roothash=" + bad); c.Verity.Root.Asked() || len(problems) != 1 {
			t.Errorf("roothash=%s: %+v, %v", bad, c.Verity.Root, problems)
		}
	}
}
