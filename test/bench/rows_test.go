package bench

import (
	"strings"
	"testing"
)

func TestRowsSayWhatEachPeerIsTold(t *testing.T) {
	for _, r := range rows {
		for _, p := range peers {
			if r.unless(p.name) || p.only != "" && p.only != r.name {
				continue
			}
			args := p.append(r)
			if !strings.Contains(args, "root=") || strings.Contains(args, "  ") || strings.TrimSpace(args) != args {
				t.Errorf("%s on %s is told %q", p.name, r.what, args)
			}
			if r.has("luks") && !strings.HasPrefix(p.name, "irt") && !strings.Contains(args, r.layout.UUID("crypt")) {
				t.Errorf("%s on %s is not told of the encrypted device: %q", p.name, r.what, args)
			}
		}
	}
}

const trials = "6,500,1900000,-;raid6: avx2x4   gen() 12000 MB/s\n6,501,1964000,-;raid6: avx2x2   gen() 11000 MB/s\n4,502,1970000,-;xor: automatically using avx\n" +
	"6,503,2028000,-;raid6: using algorithm avx2x4 gen() 12000 MB/s\n"

func TestTimeOfTheKernelsTrials(t *testing.T) {
	if got := raid6([]byte(trials)); got < 0.191 || got > 0.193 {
		t.Errorf("%v s", got)
	}
	if got := raid6([]byte("6,1,2,-;Run /init as init process\n")); got != 0 {
		t.Errorf("%v s without a trial", got)
	}
}
