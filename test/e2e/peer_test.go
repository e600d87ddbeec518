package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func said(lines ...string) string {
	var b strings.Builder
	b.WriteString("# links\n")
	for i := range fewestLines {
		fmt.Fprintf(&b, "/dev/disk/by-id/%d ../../vda\n", i)
	}
	return b.String() + strings.Join(lines, "\n") + "\n"
}

func TestAnswersThatDiffer(t *testing.T) {
	ours := said("# lvs", "  vg   root  a", "  vg root  a", "# dmsetup status", "vg-root: 0 8 linear", "# mdadm --detail", "Events : 17")
	theirs := said("# lvs", "vg root a", "# dmsetup status", "vg-root: 0 8 striped", "# mdadm --detail", "Events : 21")
	got := differences(ours, theirs, dracut, []string{`mdadm --detail: Events : \d+`})
	want := []string{
		"only after a boot with Firstlight: dmsetup status: vg-root: 0 8 linear",
		"only after a boot with Firstlight: lvs: vg root a", // the second of two
		"only after a boot with dracut: dmsetup status: vg-root: 0 8 striped",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := differences(ours, ours, dracut, nil); len(got) > 0 {
		t.Errorf("the same answers differ: %q", got)
	}
	if got := differences("# lvs\nx\n", "# lvs\nx\n", dracut, nil); len(got) != 2 {
		t.Errorf("tools that said nothing: %q", got)
	}
}

func sector(first byte) []byte { s := make([]byte, sectorSize); s[0], s[9] = first, 7; return s }

func TestEarlyWritesThatDiffer(t *testing.T) {
	e := func(sent []span, changed map[int64][]byte) early {
		return early{sent: map[string][]span{"d0": sent}, changed: map[string]map[int64][]byte{"d0": changed}}
	}
	base := e([]span{{8, 16}}, map[int64][]byte{8: sector(1)})
	for _, c := range []struct {
		name  string
		other early
		masks []Mask
		want  string
	}{
		{"same", e([]span{{8, 16}}, map[int64][]byte{8: sector(1)}), nil, ""},
		{"elsewhere", e([]span{{8, 17}}, map[int64][]byte{8: sector(1)}), nil, "sectors"},
		{"other content", e([]span{{8, 16}}, map[int64][]byte{8: sector(2)}), nil, "bytes 0 to 1 are 01, not 02"},
		{"other content that is allowed", e([]span{{8, 16}}, map[int64][]byte{8: sector(2)}), []Mask{{Disk: "d0", Sector: 8, Bytes: [][2]int{{0, 4}}}}, ""},
		{"other content on another disk", e([]span{{8, 16}}, map[int64][]byte{8: sector(2)}), []Mask{{Disk: "d1", Sector: 8, Bytes: [][2]int{{0, 4}}}}, "bytes 0 to 1"},
		{"elsewhere in what moves", e([]span{{8, 15}, {20, 30}}, map[int64][]byte{8: sector(1), 20: sector(4)}), []Mask{{Disk: "d0", Sector: 15, Rest: true}}, ""},
		{"elsewhere before it", e([]span{{8, 14}}, map[int64][]byte{8: sector(1)}), []Mask{{Disk: "d0", Sector: 15, Rest: true}}, "sectors"},
		{"not changed", e([]span{{8, 16}}, nil), nil, "left it as it was"},
		{"written later", e([]span{{8, 16}}, map[int64][]byte{8: sector(1), 100: sector(3)}), nil, "not before the mount"},
	} {
		got := strings.Join(sameEarly(base, c.other, c.masks), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := joined([]span{{16, 24}, {0, 8}, {8, 12}, {2, 3}}); !slices.Equal(got, []span{{0, 12}, {16, 24}}) {
		t.Error(got)
	}
}
