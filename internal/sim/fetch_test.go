package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/sim"
)

const imageURL = "http://10.0.0.1/root.sfs"

// onWeb is a machine whose root is an image that a server has.
func onWeb(cmdline string) (m *sim.Machine, inside *sim.Disk) {
	m = onNetwork(cmdline)
	inside = volatileRoot()
	inside.Content = sim.Ext4(usrUUID, "inside")
	other := volatileRoot()
	other.Content = sim.Ext4(usrUUID, "other")
	m.Images = map[string]*sim.Disk{"image": inside, "other": other}
	m.Web = &sim.Web{Files: map[string]string{imageURL: "image"}, Size: 200 << 20, Rate: 20 << 20, Other: "other"}
	return m, inside
}

func TestEachFormOfAnImageOnAServer(t *testing.T) {
	const sum = " rd.firstlight.sha256=" + imageSum
	for _, c := range []struct{ cmdline, lower string }{
		{"root=live:" + imageURL + sum, "/run/rootfsbase"},
		{"root=" + imageURL + sum, "/run/rootfsbase"},
		{"root=live:" + imageURL + sum + " ip=10.0.0.9::10.0.0.1:255.255.255.0::eth0:none", "/run/rootfsbase"},
		{"boot=live fetch=" + imageURL + sum, "/run/live/rootfs/filesystem.squashfs"},
		{"boot=live httpfs=" + imageURL + sum + " ip=dhcp", "/run/live/rootfs/filesystem.squashfs"},
		{"boot=casper url=" + imageURL + sum, "/run/live/rootfs/filesystem.squashfs"},
		{"root=dhcp rd.firstlight.unverified", "/run/rootfsbase"},
		{"archiso_http_srv=http://10.0.0.1/ archisobasedir=a" + sum, "/run/rootfsbase"},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			m, inside := onWeb("ro " + c.cmdline)
			m.Record = true
			if strings.Contains(c.cmdline, "root=dhcp") {
				m.Network.Server.Root = imageURL
			}
			m.Web.Files["http://10.0.0.1/a/x86_64/airootfs.sfs"] = "image"
			m.Web.Files["http://10.0.0.1/a/aarch64/airootfs.sfs"] = "image"
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s\n%s", m.SaidText(), m.Journal)
			}
			if m.Below(c.lower) != inside {
				t.Errorf("the root below is not on %s: %+v", c.lower, m.Mounts)
			}
			replays(t, m)
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
}

// A download that takes longer than the root's deadline goes on as long as
// something comes; a server that is away for longer ends the boot with words.
func TestADownloadIsNotEndedByTheDeadline(t *testing.T) {
	m, _ := onWeb("root=live:" + imageURL + " rd.timeout=30 rd.firstlight.sha256=" + imageSum)
	m.Web.Rate = 1 << 20
	boot(t, m)
	if m.Started == nil {
		t.Fatalf("not started; it said:\n%s", m.SaidText())
	}
	m, _ = onWeb("root=live:" + imageURL + " rd.timeout=30 rd.emergency=poweroff rd.firstlight.sha256=" + imageSum)
	m.Web.Away = [][2]time.Duration{{5 * time.Second, time.Hour}}
	boot(t, m)
	if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), "does not answer; it is asked for the rest") {
		t.Errorf("it said:\n%s", m.SaidText())
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestWhatIsRefusedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		cmdline, says string
		change        func(*sim.Machine)
	}{
		{"root=live:" + imageURL, "neither a sum nor a key", nil},
		{"root=live:" + imageURL + " rd.firstlight.sha256=" + strings.Repeat("ab", 32), "is not the image that rd.firstlight.sha256= asks for", nil},
		{"root=live:" + imageURL + " rd.firstlight.unverified rd.minmem=1000", "can be had", nil},
		{"root=live:ftp://10.0.0.1/root.sfs", "by FTP, which Firstlight does not speak", nil},
		{"root=live:" + imageURL + " rd.firstlight.unverified", "which is not HTTP", func(m *sim.Machine) { m.Web.Moved = map[string]string{imageURL: "ftp://x/y"} }},
		{"root=live:" + imageURL + "x rd.firstlight.unverified", "answers 404 (Not Found)", nil},
		{"root=live:" + imageURL + " rd.firstlight.unverified", "build the image with --feature http-root", func(m *sim.Machine) { m.Web = nil }},
	} {
		t.Run(c.says, func(t *testing.T) {
			m, _ := onWeb(c.cmdline + " rd.timeout=30 rd.emergency=poweroff")
			if c.change != nil {
				c.change(m)
			}
			boot(t, m)
			if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), c.says) {
				t.Errorf("it does not say %q; it said:\n%s", c.says, m.SaidText())
			}
		})
	}
}

// Servers that go away, break off, change the file or know no ranges, by seed: the
// root is never anything but the image whose sum was asked for, and is there
// wherever the server has it.
func TestManyBadWebServers(t *testing.T) {
	started, refused, resumed := 0, 0, 0
	from, to := seedsOf(300)
	for seed := from; seed < to; seed++ {
		r := rand.New(rand.NewPCG(seed, 6))
		m, inside := onWeb(fmt.Sprintf("root=live:%s rd.firstlight.sha256=%s rd.timeout=90 rd.emergency=poweroff", imageURL, imageSum))
		m.Seed = seed
		w := m.Web
		w.NoRanges, w.Silent, w.Nameless = r.IntN(4) == 0, r.IntN(6) == 0, r.IntN(6) == 0
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
		case m.Started != nil && m.Below("/run/rootfsbase") != inside:
			t.Fatalf("seed %d: another root than that of the sum", seed)
		case m.Started != nil:
			started++
		case w.Changes == 0:
			t.Fatalf("seed %d: not started; it said:\n%s", seed, m.SaidText())
		case !strings.Contains(oneLine(m.SaidText()), "is not the image that"):
			t.Fatalf("seed %d: it does not say why; it said:\n%s", seed, m.SaidText())
		default:
			refused++
		}
		if slices.ContainsFunc(w.Asked, func(n int64) bool { return n > 0 }) {
			resumed++
		}
		m.Close()
	}
	all := int(to - from)
	if all >= 300 && (started < all/2 || refused < all/20 || resumed < all/4) {
		t.Errorf("of %d boots %d started, %d were refused, %d resumed", all, started, refused, resumed)
	}
	t.Logf("of %d boots %d started, %d were refused, %d resumed", all, started, refused, resumed)
}

// The sums that the image has count as those of the command line do.
func TestTheSumsOfTheImage(t *testing.T) {
	m, inside := onWeb("root=live:" + imageURL)
	m.Files = map[string]string{fetch.SumsFile: imageSum + "  root.sfs\n"}
	boot(t, m)
	if m.Started == nil || m.Below("/run/rootfsbase") != inside {
		t.Errorf("not started; it said:\n%s", m.SaidText())
	}
}

// The medium may be a directory of an NFS server.
func TestALiveMediumOnNFS(t *testing.T) {
	for _, c := range []struct{ cmdline, file, medium, lower string }{
		{"root=nfs:10.0.0.1:/srv/root rd.live.image", "/LiveOS/squashfs.img", "/run/initramfs/live", "/run/rootfsbase"},
		{"boot=live netboot=nfs nfsroot=10.0.0.1:/srv/root", "/live/filesystem.squashfs", "/run/live/medium", "/run/live/rootfs/filesystem.squashfs"},
		{"boot=casper netboot=nfs nfsroot=10.0.0.1:/srv/root ip=dhcp", "/casper/filesystem.squashfs", "/run/live/medium", "/run/live/rootfs/filesystem.squashfs"},
		{"boot=live netboot nfsroot=10.0.0.1:/srv/root toram", "/live/filesystem.squashfs", "", "/run/live/rootfs/filesystem.squashfs"},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			m, inside := onWeb("ro " + c.cmdline)
			m.Network.NFS[0].Files = map[string]string{c.file: "image"}
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s\n%s", m.SaidText(), m.Journal)
			}
			if d := m.Below(c.lower); d != inside && c.medium != "" || d == nil {
				t.Errorf("the root below is not on %s: %+v", c.lower, m.Mounts)
			}
			if c.medium != "" && m.Mounted(c.medium) == nil {
				t.Errorf("the medium is not on %s: %+v", c.medium, m.Mounts)
			}
		})
	}
}
