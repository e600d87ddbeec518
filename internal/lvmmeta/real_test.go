package lvmmeta

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	fixtures "firstlight/test/fixtures/lvmmd"
)

// groups opens the volume groups that LVM made in a Debian guest.
func groups(t testing.TB) fixtures.Cases { return fixtures.Open(t, "testdata/groups.tar.zst") }

// seen reads the PVs of a case; devices are named as in the guest.
func seen(t testing.TB, c fixtures.Cases, name string) []Seen {
	t.Helper()
	var list []Seen
	for i := 0; ; i++ {
		d, ok := c.Device(t, name, i)
		if !ok {
			return list
		}
		pv, err := ReadPV(d, d.Size)
		if err != nil {
			t.Fatalf("%s: ram%d: %v", name, i, err)
		}
		list = append(list, Seen{Device: fmt.Sprintf("/dev/ram%d", i), PV: pv, Size: d.Size / SectorSize})
	}
}

// rows are the columns of a report of LVM; its warnings are left out.
func rows(b []byte) [][]string {
	var list [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), "|"); len(f) > 3 {
			list = append(list, f)
		}
	}
	return list
}

func guestDev(dev string) string { return "1:" + strings.TrimPrefix(dev, "/dev/ram") }

func TestMetadataTextIsTheOneThatLVMDumps(t *testing.T) {
	cases := groups(t)
	checked := 0
	for _, name := range cases.Names() {
		for i := 0; ; i++ {
			d, ok := cases.Device(t, name, i)
			if !ok {
				break
			}
			dump := cases[name][fmt.Sprintf("%d.text", i)]
			_, text, ok := bytes.Cut(dump, []byte("---\n"))
			if !ok {
				continue
			}
			// The dump ends with a line of its own.
			text, _, _ = bytes.Cut(text, []byte("\n  ---"))
			want, err := ParseText(text)
			if err != nil {
				t.Fatalf("%s/%d: LVM's dump: %v", name, i, err)
			}
			pv, err := ReadPV(d, d.Size)
			if err != nil {
				t.Fatalf("%s/%d: %v", name, i, err)
			}
			if pv.VG == nil {
				t.Fatalf("%s/%d: no metadata found, LVM found some", name, i)
			}
			if pv.VG.ID != want.ID || pv.VG.Seqno != want.Seqno || len(pv.VG.LVs) != len(want.LVs) {
				t.Errorf("%s/%d: %s seqno %d, LVM has %s seqno %d", name, i, pv.VG.ID, pv.VG.Seqno, want.ID, want.Seqno)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Fatalf("only %d texts compared", checked)
	}
}

func TestPVIsWhatPvsSays(t *testing.T) {
	cases := groups(t)
	for _, name := range cases.Names() {
		pvs := seen(t, cases, name)
		rep := Assemble(pvs, Host{SystemID: "elsewhere"})
		for i, s := range pvs {
			for _, f := range rows(cases[name][fmt.Sprintf("%d.pvs", i)]) {
				if f[0] != s.Device || len(f) != 10 {
					continue
				}
				if s.PV.UUID != f[1] {
					t.Errorf("%s %s: UUID %s, pvs says %s", name, s.Device, s.PV.UUID, f[1])
				}
				if got := fmt.Sprint(len(s.PV.MetadataAreas)); got != f[7] {
					t.Errorf("%s %s: %s metadata areas, pvs says %s", name, s.Device, got, f[7])
				}
				if f[2] == "" {
					continue
				}
				g := rep.Group(f[2])
				if g == nil {
					t.Errorf("%s: no group %q", name, f[2])
					continue
				}
				k := slices.IndexFunc(g.Members, func(m Member) bool { return m.Ref.ID == f[1] })
				if k < 0 {
					t.Errorf("%s: %s is not in group %s", name, s.Device, f[2])
					continue
				}
				m := g.Members[k]
				got := []string{fmt.Sprint(m.Ref.PEStart), fmt.Sprint(m.Ref.PECount), m.Device}
				if want := []string{f[3], f[6], f[0]}; !slices.Equal(got, want) {
					t.Errorf("%s: PV is %v, pvs says %v", name, got, want)
				}
			}
		}
	}
}

func TestGroupIsWhatVgsSays(t *testing.T) {
	cases := groups(t)
	compared := 0
	for _, name := range cases.Names() {
		rep := Assemble(seen(t, cases, name), Host{})
		for _, f := range rows(cases[name]["vgs"]) {
			g := rep.Group(f[0])
			if g == nil {
				t.Errorf("%s: no group %q", name, f[0])
				continue
			}
			extents := uint64(0)
			for _, pv := range g.VG.PVs {
				extents += pv.PECount
			}
			tags := slices.Sorted(slices.Values(g.VG.Tags))
			got := []string{g.VG.ID, fmt.Sprint(g.VG.ExtentSize), fmt.Sprint(extents), fmt.Sprint(g.VG.Seqno), g.VG.SystemID, strings.Join(tags, ",")}
			if want := []string{f[1], f[2], f[3], f[5], f[7], f[8]}; !slices.Equal(got, want) {
				t.Errorf("%s: %v, vgs says %v", name, got, want)
			}
			if exported := f[6][2] == 'x'; exported != g.VG.Exported() {
				t.Errorf("%s: exported is %v, vgs says %s", name, g.VG.Exported(), f[6])
			}
			compared++
		}
	}
	if compared < 6 {
		t.Fatalf("only %d groups compared", compared)
	}
}

func TestTablesAreThoseThatLVMLoaded(t *testing.T) {
	cases := groups(t)
	for name, lvs := range map[string]int{"plain": 4, "hyphens": 2, "ring": 2, "nomda": 1, "kinds": 0} {
		want := map[string][]string{}
		for line := range strings.Lines(string(cases[name]["dmtable"])) {
			dev, table, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if ok {
				want[dev] = append(want[dev], table)
			}
		}
		uuids := map[string]string{}
		for line := range strings.Lines(string(cases[name]["dminfo"])) {
			f := strings.Split(strings.TrimSpace(line), "|")
			uuids[f[0]] = f[1]
		}
		rep := Assemble(seen(t, cases, name), Host{})
		if len(rep.Groups) != 1 {
			t.Fatalf("%s: %d groups", name, len(rep.Groups))
		}
		g := rep.Groups[0]
		made := 0
		for i := range g.VG.LVs {
			lv := &g.VG.LVs[i]
			if !lv.Visible() {
				continue
			}
			a, err := g.Activate(lv, guestDev)
			var tool *NeedsToolError
			if errors.As(err, &tool) {
				if name != "kinds" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var got []string
			for _, l := range a.Table {
				got = append(got, strings.TrimSpace(l.String()))
			}
			if !slices.Equal(got, want[a.Name]) {
				t.Errorf("%s: table of %s is\n%q, LVM loaded\n%q", name, a.Name, got, want[a.Name])
			}
			if a.UUID != uuids[a.Name] {
				t.Errorf("%s: UUID of %s is %s, LVM's is %s", name, a.Name, a.UUID, uuids[a.Name])
			}
			made++
		}
		if made != lvs {
			t.Errorf("%s: %d volumes mapped, want %d", name, made, lvs)
		}
	}
}

func TestVolumesAreReadWriteAndAutoactivatedAsLvsSays(t *testing.T) {
	cases := groups(t)
	g := Assemble(seen(t, cases, "plain"), Host{}).Group("vg0")
	for _, f := range rows(cases["plain"]["lvs"]) {
		lv := g.VG.LV(f[1])
		if lv == nil {
			t.Fatalf("no volume %q", f[1])
		}
		if w := f[4][1] == 'w'; w != lv.Writable() {
			t.Errorf("%s: writable is %v, lvs says %s", lv.Name, lv.Writable(), f[4])
		}
		if auto := f[12] == "enabled"; auto != lv.AutoActivate() {
			t.Errorf("%s: autoactivation is %v, lvs says %q", lv.Name, lv.AutoActivate(), f[12])
		}
		if got := strings.Join(slices.Sorted(slices.Values(lv.Tags)), ","); got != f[10] {
			t.Errorf("%s: tags %q, lvs says %q", lv.Name, got, f[10])
		}
		if lv.ID != f[2] || fmt.Sprint(lv.Extents*g.VG.ExtentSize) != f[3] {
			t.Errorf("%s: %s of %d extents, lvs says %s %s", lv.Name, lv.ID, lv.Extents, f[2], f[3])
		}
	}
}

// A volume that is part of another must not be mapped as the plain volume
// that its own segments look like: the origin of a snapshot would be changed
// behind the snapshot's back.
func TestKindsBeyondStripesNeedTheTool(t *testing.T) {
	g := Assemble(seen(t, groups(t), "kinds"), Host{}).Group("kinds")
	for lv, kind := range map[string]string{
		"mirror": "mirror", "raid1": "raid1", "raid5": "raid5", "pool": "thin-pool", "thin": "thin",
		"slow": "cache", "origin": "used by snapshot snapshot0", "snap": "used by snapshot snapshot0",
	} {
		_, err := g.Activate(g.VG.LV(lv), guestDev)
		var tool *NeedsToolError
		if !errors.As(err, &tool) {
			t.Errorf("%s: %v, want NeedsToolError", lv, err)
		} else if tool.Kind != kind {
			t.Errorf("%s is %q, want %q", lv, tool.Kind, kind)
		}
	}
}

func TestGroupsThatAreNotOursAreRefused(t *testing.T) {
	cases := groups(t)
	for _, c := range []struct {
		name  string
		host  Host
		cause Cause // "" for none
	}{
		{"exported", Host{}, Exported},
		{"foreign", Host{}, Foreign},
		{"foreign", Host{SystemID: "here"}, Foreign},
		{"foreign", Host{SystemID: "elsewhere"}, ""},
		{"foreign", Host{SystemID: "here", Extra: []string{"elsewhere"}}, ""},
		{"plain", Host{SystemID: "here"}, ""},
	} {
		g := Assemble(seen(t, cases, c.name), c.host).Groups[0]
		var got Cause
		if len(g.Refusals) > 0 {
			got = g.Refusals[0].Cause
		}
		if got != c.cause {
			t.Errorf("%s for host %v: refused for %q, want %q", c.name, c.host, got, c.cause)
		}
		_, err := g.Activate(&g.VG.LVs[0], guestDev)
		var refused *RefusedError
		if errors.As(err, &refused) != (c.cause != "") {
			t.Errorf("%s for host %v: %v", c.name, c.host, err)
		}
	}
}

func TestVolumesOnPresentPVsSurviveAMissingOne(t *testing.T) {
	pvs := seen(t, groups(t), "plain")
	g := Assemble([]Seen{pvs[1], pvs[2]}, Host{}).Group("vg0")
	if m := g.Missing(); len(m) != 1 || m[0].ID != pvs[0].PV.UUID || m[0].Device != "/dev/ram0" {
		t.Fatalf("missing: %v", m)
	}
	_, err := g.Activate(g.VG.LV("lin"), guestDev)
	if !errors.Is(err, ErrMissingPV) || !strings.Contains(err.Error(), pvs[0].PV.UUID) {
		t.Errorf("lin: %v", err)
	}
	if _, err := g.Activate(g.VG.LV("str"), guestDev); err != nil {
		t.Errorf("str lies on the PVs that are there: %v", err)
	}
}

func TestAPVWithoutMetadataFindsItsGroupLater(t *testing.T) {
	pvs := seen(t, groups(t), "nomda")
	if pvs[1].PV.VG != nil || !pvs[1].PV.Used {
		t.Fatalf("ram1 has metadata, or is not in use: %+v", pvs[1].PV)
	}
	if !pvs[2].PV.Metadata[0].Ignored {
		t.Errorf("ram2's area is not ignored")
	}
	rep := Assemble(pvs[1:], Host{})
	if len(rep.Groups) != 0 || len(rep.Unplaced) != 2 {
		t.Fatalf("without metadata: %d groups, unplaced %v", len(rep.Groups), rep.Unplaced)
	}
	rep = Assemble(pvs, Host{})
	if len(rep.Unplaced) != 0 || len(rep.Groups) != 1 || len(rep.Groups[0].Missing()) != 0 {
		t.Fatalf("with metadata: %+v", rep)
	}
}

func TestTheNewestMetadataCountsInAnyOrder(t *testing.T) {
	pvs := seen(t, groups(t), "late")
	if pvs[2].PV.VG.Seqno >= pvs[0].PV.VG.Seqno {
		t.Fatal("ram2 is not older")
	}
	for range 3 {
		pvs = append(pvs[1:], pvs[0])
		g := Assemble(pvs, Host{}).Group("late")
		if g.VG.Seqno != 4 || len(g.VG.PVs) != 2 || len(g.Refusals) != 0 {
			t.Errorf("seqno %d, %d PVs, refusals %v", g.VG.Seqno, len(g.VG.PVs), g.Refusals)
		}
		if len(g.Notes) != 1 || !strings.Contains(g.Notes[0], "/dev/ram2") {
			t.Errorf("notes: %q", g.Notes)
		}
	}
}

func TestOrphansAreNoGroup(t *testing.T) {
	rep := Assemble(seen(t, groups(t), "orphan"), Host{})
	if len(rep.Orphans) != 2 || len(rep.Groups) != 0 || len(rep.Unplaced) != 0 {
		t.Fatalf("%+v", rep)
	}
}

func TestTwoDevicesWithOnePVAreNeverChosenBetween(t *testing.T) {
	pvs := seen(t, groups(t), "plain")
	twin := pvs[1]
	twin.Device = "/dev/copy"
	for _, list := range [][]Seen{append(slices.Clone(pvs), twin), append([]Seen{twin}, pvs...)} {
		g := Assemble(list, Host{}).Group("vg0")
		if len(g.Refusals) != 1 || g.Refusals[0].Cause != DuplicatePV {
			t.Errorf("refusals: %v", g.Refusals)
		}
	}
}

func TestDifferentTextsOfOneSeqnoAreAConflict(t *testing.T) {
	pvs := seen(t, groups(t), "plain")
	other := *pvs[1].PV
	vg := *other.VG
	vg.textCRC++
	other.VG = &vg
	pvs[1].PV = &other
	g := Assemble(pvs, Host{}).Group("vg0")
	if len(g.Refusals) != 1 || g.Refusals[0].Cause != Conflict {
		t.Errorf("refusals: %v", g.Refusals)
	}
}

func TestTwoGroupsOfOneNameAreBothRefused(t *testing.T) {
	pvs := seen(t, groups(t), "plain")
	for _, s := range seen(t, groups(t), "ring") {
		vg := *s.PV.VG
		vg.Name = "vg0"
		s.PV.VG = &vg
		pvs = append(pvs, s)
	}
	rep := Assemble(pvs, Host{})
	if len(rep.Groups) != 2 {
		t.Fatalf("%d groups", len(rep.Groups))
	}
	for _, g := range rep.Groups {
		if len(g.Refusals) != 1 || g.Refusals[0].Cause != DuplicateName {
			t.Errorf("%s: refusals %v", g.VG.ID, g.Refusals)
		}
	}
}

// The ring of a small metadata area has been overwritten several times, and
// the PV has a second area at its end.
func TestTheSecondAreaBacksTheFirst(t *testing.T) {
	cases := groups(t)
	d, _ := cases.Device(t, "ring", 0)
	pv, err := ReadPV(d, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	if len(pv.Metadata) != 2 || pv.Metadata[0].Seqno != pv.Metadata[1].Seqno {
		t.Fatalf("areas: %+v", pv.Metadata)
	}
	seqno := pv.VG.Seqno
	a := pv.MetadataAreas[0]
	clear(d.Head[a.Offset+mdaHeader : a.Offset+a.Size])
	pv, err = ReadPV(d, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	if pv.Metadata[0].Err == nil || !strings.Contains(pv.Metadata[0].Err.Error(), "checksum") {
		t.Errorf("damaged text: %v", pv.Metadata[0].Err)
	}
	if pv.VG == nil || pv.VG.Seqno != seqno {
		t.Errorf("the second area was not used: %+v", pv.VG)
	}
}

// A text may start near the end of its area and go on behind the header.
func TestATextThatWrapsIsReadWhole(t *testing.T) {
	d, _ := groups(t).Device(t, "ring", 0)
	pv, err := ReadPV(d, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	a := pv.MetadataAreas[0]
	area := d.Head[a.Offset : a.Offset+a.Size]
	off, size := le.Uint64(area[40:]), le.Uint64(area[48:])
	text := make([]byte, size)
	for i := range text {
		at := off + uint64(i)
		if at >= a.Size {
			at -= a.Size - mdaHeader
		}
		text[i] = area[at]
	}
	for _, first := range []uint64{SectorSize, 2 * SectorSize, size - size%SectorSize} {
		clear(area[mdaHeader:])
		copy(area[a.Size-first:], text[:first])
		copy(area[mdaHeader:], text[first:])
		le.PutUint64(area[40:], a.Size-first)
		le.PutUint32(area, checksum(area[4:mdaHeader]))
		again, err := ReadPV(d, d.Size)
		if err != nil {
			t.Fatal(err)
		}
		if m := again.Metadata[0]; m.Err != nil || m.Seqno != pv.VG.Seqno {
			t.Errorf("%d bytes before the end: %+v", first, m)
		}
	}
	t.Logf("LVM's own text: %d bytes at %d of %d", size, off, a.Size)
}
