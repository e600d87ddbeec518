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

const linkUp = "6,1,1000000,-;Run /init as init process\n4,2,1100000,-;fladdress: (__inet_insert_ifa+0x0/0x2a0) a=0x100007f\n" +
	"4,3,1100001,-;flcarrier: (dev_activate+0x0/0x1f0) dev=\"lo\"\n4,4,1500000,-;flcarrier: (dev_activate+0x0/0x1f0) dev=\"enp0s1\"\n" +
	"4,5,1501000,-;flsent: (sock_alloc_send_pskb+0x0/0x2f0) f=1\n4,5,1502500,-;flsent: (sock_alloc_send_pskb+0x0/0x2f0) f=17\n4,6,1600000,-;flsent: (sock_alloc_send_pskb+0x0/0x2f0) f=17\n" +
	"4,7,1750000,-;fladdress: (__inet_insert_ifa+0x0/0x2a0) a=0x4500070a\n"

func TestTimeOfAnAddressIsNotThatOfTheLoopback(t *testing.T) {
	if got := address([]byte(linkUp), 1); got < 0.749 || got > 0.751 {
		t.Errorf("an address after %v s", got)
	}
	if got := asked([]byte(linkUp)); got < 0.0024 || got > 0.0026 {
		t.Errorf("asked %v s after the carrier", got)
	}
	if address([]byte(trials), 0) != 0 || asked([]byte(trials)) != 0 {
		t.Error("a time of what is not there")
	}
}
