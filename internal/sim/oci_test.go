package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestEachFormOfAnImageOfLayers(t *testing.T) {
	for _, cmdline := range []string{
		"root=oci:" + imageURL + "@sha256:" + imageSum,
		"root=oci:" + imageURL + " rd.firstlight.sha256=" + imageSum,
		"root=live:oci:" + imageURL + "@sha256:" + imageSum + " ip=dhcp",
		"root=oci:" + imageURL + " rd.firstlight.unverified",
	} {
		t.Run(cmdline, func(t *testing.T) {
			m, _ := onWeb("rw " + cmdline)
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s\n%s", m.SaidText(), m.Journal)
			}
			if m.Mounted("/run/initramfs/oci") != nil {
				t.Error("the place where it was unpacked is still there")
			}
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
}

func TestWhatIsWrongWithAnImageOfLayersIsSaid(t *testing.T) {
	for cmdline, says := range map[string]string{
		"root=oci:" + imageURL:                                                          "neither a sum nor a key",
		"root=oci:" + imageURL + "@sha256:12":                                           "64 hexadecimal digits",
		"root=oci:tftp://10.0.0.1/x rd.firstlight.unverified":                           "names no image by http or https",
		"root=oci:registry/x rd.firstlight.unverified":                                  "not a URL",
		"root=oci:" + imageURL + " rd.firstlight.ondemand":                              "cannot be read as it is needed",
		"root=oci:" + imageURL + " rd.firstlight.unverified rd.firstlight.keep=LABEL=x": "is unpacked into memory",
		"root=oci:" + imageURL + "@sha256:" + strings.Repeat("ab", 32):                  "is not the image that",
	} {
		t.Run(says, func(t *testing.T) {
			m, _ := onWeb(cmdline + " rd.timeout=30 rd.emergency=poweroff")
			boot(t, m)
			if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), says) {
				t.Errorf("it does not say %q; it said:\n%s", says, m.SaidText())
			}
		})
	}
}

// A password in the URL is shown to nobody.
func TestThePasswordOfAnImageOfLayersIsNotShown(t *testing.T) {
	m, _ := onWeb("root=oci:http://me:secret-word@10.0.0.1/root.sfs@sha256:" + imageSum)
	if err := m.Boot(20 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if m.Started == nil || strings.Contains(m.SaidText()+string(m.Journal), "secret-word") {
		t.Errorf("not started, or it is shown; it said:\n%s", m.SaidText())
	}
}

// Servers of layers that go away, break off or have another image, by seed.
func TestManyServersOfLayers(t *testing.T) {
	started := 0
	from, to := seedsOf(200)
	for seed := from; seed < to; seed++ {
		r := rand.New(rand.NewPCG(seed, 67))
		m, _ := onWeb(fmt.Sprintf("rw root=oci:%s@sha256:%s rd.timeout=90 rd.emergency=poweroff", imageURL, imageSum))
		m.Seed = seed
		w := m.Web
		w.NoRanges, w.Nameless = r.IntN(4) == 0, r.IntN(6) == 0
		w.Rate = 1<<20 + r.Int64N(100<<20)
		for range r.IntN(4) {
			from := time.Duration(r.Int64N(int64(30 * time.Second)))
			w.Away = append(w.Away, [2]time.Duration{from, from + time.Duration(r.Int64N(int64(20*time.Second)))})
			w.Breaks = append(w.Breaks, r.Int64N(w.Size))
		}
		if r.IntN(3) == 0 {
			w.Changes = time.Duration(r.Int64N(int64(20 * time.Second)))
		}
		boot(t, m)
		switch {
		case m.Started != nil:
			started++
		case w.Changes == 0:
			t.Fatalf("seed %d: not started; it said:\n%s", seed, m.SaidText())
		case !strings.Contains(oneLine(m.SaidText()), "is not the image that"):
			t.Fatalf("seed %d: it does not say why; it said:\n%s", seed, m.SaidText())
		}
		m.Close()
	}
	if all := int(to - from); all >= 200 && (started < all/2 || started == all) {
		t.Errorf("of %d boots %d started", all, started)
	}
}
