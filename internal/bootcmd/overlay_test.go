package bootcmd

import (
	"strings"
	"testing"
	"time"

	"firstlight/internal/devspec"
)

func TestEachDialectOfAnOverlay(t *testing.T) {
	label := devspec.Spec{Kind: devspec.Label, Value: "x"}
	for text, want := range map[string]Overlay{
		"":                                     {},
		"rd.overlay":                           {Kind: OverlayRun, By: "rd.overlay"},
		"rd.overlay=0":                         {},
		"rd.overlay rd.overlay=none":           {},
		"rd.overlay=tmpfs:size=1g,nr_inodes=9": {Kind: OverlayRun, By: "rd.overlay", Tmpfs: "size=1g,nr_inodes=9"},
		"rd.overlay=LABEL=x":                   {Kind: OverlayRun, By: "rd.overlay", Device: label},
		"rd.overlay=LABEL=x:/a/b":              {Kind: OverlayRun, By: "rd.overlay", Device: label, Dir: "/a/b"},
		"rd.overlay=8:1":                       {Kind: OverlayRun, By: "rd.overlay", Device: devspec.Spec{Kind: devspec.Devnum, Major: 8, Minor: 1}},
		"rd.live.overlay=LABEL=x rd.live.overlay.overlayfs rd.overlay.readonly": {Kind: OverlayRun, By: "rd.overlay", Device: label, ReadOnly: true},
		"overlayroot=disabled":                                  {},
		"overlayroot=tmpfs":                                     {Kind: OverlayMedia, By: "overlayroot", Recurse: true},
		"overlayroot=tmpfs:swap=1,recurse=0":                    {Kind: OverlayMedia, By: "overlayroot", Swap: true},
		"overlayroot=device:dev=LABEL=x,timeout=30,dir=a":       {Kind: OverlayMedia, By: "overlayroot", Recurse: true, Device: label, Timeout: 30 * time.Second, Dir: "/a"},
		"overlayroot=LABEL=x":                                   {Kind: OverlayMedia, By: "overlayroot", Recurse: true, Device: label},
		"systemd.volatile":                                      {Kind: OverlayUsr, By: "systemd.volatile"},
		"systemd.volatile=overlay":                              {Kind: OverlaySystemd, By: "systemd.volatile"},
		"systemd.volatile=state":                                {},
		"rd.overlay systemd.volatile=no":                        {Kind: OverlayRun, By: "rd.overlay"},
		"systemd.volatile=yes overlayroot=disabled rd.overlay=": {Kind: OverlayRun, By: "rd.overlay"},
	} {
		c, _ := cmdline(text)
		if c.Overlay != want {
			t.Errorf("%s:\n%+v, want\n%+v", text, c.Overlay, want)
		}
	}
	// What cannot be read or done must not become a root that is written to.
	for _, text := range []string{"overlayroot=crypt:dev=/dev/vdb", "overlayroot=device", "overlayroot=nonsense", "overlayroot=device:dev=nonsense", "rd.overlay=LABEL=x:auto"} {
		if c, _ := cmdline(text); c.Overlay.Cannot == "" {
			t.Errorf("%s: %+v", text, c.Overlay)
		}
	}
	for text, kind := range map[string]ProblemKind{"rd.overlay overlayroot=tmpfs": Conflicting, "systemd.volatile=maybe": Malformed, "loop=root.img": Malformed,
		"loopoffset=3": Malformed} {
		_, problems := cmdline(text)
		if len(problems) != 1 || problems[0].Kind != kind {
			t.Errorf("%s: %v", text, problems)
		}
	}
	c, problems := cmdline("loop=/a/b.img loopfstype=ext4,xfs loopflags=ro,noatime loopoffset=1048576")
	if l := c.Loop; len(problems) > 0 || l.File != "/a/b.img" || strings.Join(l.FSTypes, " ") != "ext4 xfs" || l.Flags != "ro,noatime" || l.Offset != 1<<20 {
		t.Errorf("%+v, %v", l, problems)
	}
}
