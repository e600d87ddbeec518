package prove

// kept looks for texts that may not be found, all of them at once: a bit for
// the beginning of each says where it is worth to look closer.
type kept struct {
	texts []string
	begin [1 << kbits / 64]uint64
}

const (
	kbits = 12
	least = 4 // the shortest beginning that is looked for
)

func beginning(b0, b1, b2, b3 byte) uint32 {
	return (uint32(b0) | uint32(b1)<<8 | uint32(b2)<<16 | uint32(b3)<<24) * 0x9e3779b1 >> (32 - kbits)
}

func newKept(texts []string) *kept {
	k := &kept{texts: texts}
	for _, s := range texts {
		if len(s) < least {
			panic("prove: the secret " + s + " is too short to be looked for")
		}
		h := beginning(s[0], s[1], s[2], s[3])
		k.begin[h/64] |= 1 << (h % 64)
	}
	return k
}

// in calls found with each of the texts that is in b, once for each place.
func (k *kept) in(b []byte, found func(string)) {
	if len(k.texts) == 0 {
		return
	}
	for i := 0; i+least <= len(b); i++ {
		h := beginning(b[i], b[i+1], b[i+2], b[i+3])
		if k.begin[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, s := range k.texts {
			if len(b)-i >= len(s) && string(b[i:i+len(s)]) == s {
				found(s)
			}
		}
	}
}
