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
	if v.Data.IsZero() {
		v.Data = half(v.RootHash)
	}
	if v.Hash.IsZero() {
		v.Hash = half(v.RootHash[len(v.RootHash)-32:])
	}
	mapped, _ := devspec.Parse("/dev/mapper/" + name) // one of two names, either of which is a device's
	if asked.HasValue && *at != mapped {
		p.arg = asked
		p.report(Conflicting, "a root hash is given, so the verified device is mounted, and not this", "")
	}
	*at = mapped
}

// half is the partition with the first 128 bits of a hash as its UUID.
func half(hash string) devspec.Spec {
	uuid := make([]byte, 0, 36)
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			uuid = append(uuid, '-')
		}
		uuid = append(uuid, hash[i])
	}
	return devspec.Spec{Kind: devspec.PartUUID, Value: string(uuid)}
}
