package bootcmd

import (
	"strings"

	"firstlight/internal/devspec"
)

// Verity is what the command line says of verified devices, in the words of
// systemd-veritysetup-generator(8).
type Verity struct {
	Enabled   bool // false with rd.systemd.verity=0
	Root, Usr VerityVolume
}

// VerityVolume is one verified device.
type VerityVolume struct {
	// RootHash is roothash= or usrhash= in lower case hexadecimal, "" for none.
	RootHash string
	// Data and Hash are where the data and its hash tree are: as they are named,
	// else the partitions whose UUIDs are the first and the last 128 bits of the
	// root hash.
	Data, Hash devspec.Spec
	// Options is systemd.verity_root_options= or …_usr_options=.
	Options string
}

// Asked says whether there is such a device.
func (v *VerityVolume) Asked() bool { return v.RootHash != "" }

func (p *parser) rootHash(v *VerityVolume) {
	text := strings.ToLower(p.arg.Value)
	if len(text)%2 != 0 || len(text) < 32 || len(text) > 128 || strings.Trim(text, "0123456789abcdef") != "" {
		p.malformed("not a root hash, 16 to 64 bytes in hexadecimal")
		return
	}
	v.RootHash = text
}

// verified settles what follows from a root hash: where the parts are, and that
// it is the verified device that is mounted, whatever else is named.
func (p *parser) verified(v *VerityVolume, name string, at *devspec.Spec, asked Param) {
	if !v.Asked() || !p.c.Verity.Enabled {
		return
	}
	part := func(h string) devspec.Spec {
		return devspec.Spec{Kind: devspec.PartUUID, Value: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]}
	}
	if v.Data.IsZero() {
		v.Data = part(v.RootHash)
	}
	if v.Hash.IsZero() {
		v.Hash = part(v.RootHash[len(v.RootHash)-32:])
	}
	mapped, err := devspec.Parse("/dev/mapper/" + name)
	if err != nil {
		return
	}
	if asked.HasValue && *at != mapped {
		p.arg = asked
		p.report(Conflicting, "a root hash is given, so the verified device /dev/mapper/"+name+" is mounted, and not this", "")
	}
	*at = mapped
}
