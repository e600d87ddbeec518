package lvmmeta

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

const uuidA = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"
const uuidB = "Aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"
const uuidC = "Zaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"

const small = `# Generated
contents = "Text Format Volume Group"
version = 1
vg {
	id = "` + uuidA + `"
	seqno = 7
	status = ["RESIZEABLE", "READ", "WRITE"]
	flags = []
	extent_size = 8192
	physical_volumes {
		pv0 { id = "` + uuidB + `" device = "/dev/\"q\"\\x" status = ["ALLOCATABLE"] flags = ["MISSING"] dev_size = 100 pe_start = 2048 pe_count = 5 }
	}
	logical_volumes {
		root { id = "` + uuidC + `" status = ["READ", "VISIBLE"] segment_count = 1
			segment1 { start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = [ "pv0", 3 ] }
		}
	}
}
`

func TestTextGivesTheModel(t *testing.T) {
	vg, err := ParseText([]byte(small + "\x00"))
	if err != nil {
		t.Fatal(err)
	}
	pv := vg.PV("pv0")
	if vg.Name != "vg" || vg.Seqno != 7 || pv.Device != `/dev/"q"\x` || !pv.Missing() {
		t.Errorf("%+v %+v", vg, pv)
	}
	lv := vg.LV("root")
	if lv.Writable() || !lv.Visible() || lv.Extents != 2 || lv.Segments[0].Stripes[0] != (Stripe{"pv0", 3}) {
		t.Errorf("%+v", lv)
	}
}

func TestTextErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"seqno = 7", "seqno = x", "6:10: expected a value"},
		{"seqno = 7", "seqno = 7-7", `6:10: "7-7" is not a number`},
		{"seqno = 7", "seqno = \"7\"", `6:2: "seqno" is a string, not a number`},
		{"seqno = 7", "seqno = -7", "negative"},
		{"seqno = 7", "seqno 7", "6:8: expected '=' or '{'"},
		{"seqno = 7", "", `4:1: "vg" has no "seqno"`},
		{"extent_size = 8192", "extent_size = 0", "9:2: extents of 0 sectors"},
		{"version = 1", "version = 2", "version of the text is not 1"},
		{uuidA, "short", "not a UUID"},
		{"flags = []", "flags = [", "9:2: expected a value of"},
		{`"pv0", 3 ]`, `"pv0" ]`, "1 entries for 1 stripes"},
		{`"pv0", 3 ]`, `"pv0", "3" ]`, "a stripe is a name and an extent"},
		{"start_extent = 0", "start_extent = 1", "starts at extent 1, not 0"},
		{"segment_count = 1", "segment_count = 2", "has 1 segments and says 2"},
		{"stripe_count = 1", "stripe_count = 0", "for 0 stripes"},
		{"root {", "-root {", "not a name of LVM"},
		{"root {", "a/b {", "not a name of LVM"},
		{"vg {", "vg {\n}\nvg2 {", "a second volume group"},
		{"\t\t}\n\t}\n}\n", "a = \"x\\", "string is not closed"},
		{"# Generated", "}", "1:1: '}' without a section"},
		{"# Generated", strings.Repeat("a{", 40), "nested"},
	} {
		text := strings.Replace(small, c.from, c.to, 1)
		if text == small {
			t.Fatalf("%q is not in the text", c.from)
		}
		_, err := ParseText([]byte(text))
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%q: %v", c.to, err)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.to, err, c.want)
		}
	}
}

func TestTextsThatAreCutOffFail(t *testing.T) {
	end := strings.LastIndexByte(small, '}')
	for i := range end {
		if _, err := ParseText([]byte(small[:i])); err == nil {
			t.Fatalf("cut at %d: no error", i)
		}
	}
}

func TestEntriesAreBounded(t *testing.T) {
	text := "a = [" + strings.Repeat("1,", maxNodes) + "1]"
	if _, err := ParseText([]byte(text)); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("%v", err)
	}
}

func TestATableNeverReachesBeyondItsPV(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"flags = [\"MISSING\"]", "", ""},
		{`"pv0", 3 ]`, `"pv0", 4 ]`, "beyond the 5"},
		{`"pv0", 3 ]`, `"pv0", 9223372036854775807 ]`, "beyond the 5"},
		{"extent_count = 2", "extent_count = 1099511627776", "beyond the 5"},
		{"extent_size = 8192", "extent_size = 1099511627776", ""},
		{"extent_count = 2", "extent_count = 6", "beyond the 5"},
	} {
		text := strings.Replace(small, "flags = [\"MISSING\"]", "", 1)
		text = strings.Replace(text, c.from, c.to, 1)
		vg, err := ParseText([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", c.to, err)
		}
		pv := &PV{UUID: uuidB, VG: vg}
		g := Assemble([]Seen{{Device: "8:1", PV: pv}}, Host{}).Groups[0]
		_, err = g.Activate(vg.LV("root"), nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.to, err, c.want)
		}
	}
}

func TestLabelDamageIsNamed(t *testing.T) {
	cases := groups(t)
	d, _ := cases.Device(t, "plain", 0)
	at := SectorSize // LVM writes the label into sector 1
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   string
	}{
		{"checksum", func(b []byte) { b[100] ^= 1 }, "checksum"},
		{"sector", func(b []byte) { b[8] = 2 }, "belongs in sector 2"},
		{"offset", func(b []byte) { b[21] = 2; fix(b) }, "PV header at offset"},
		{"uuid", func(b []byte) { b[32] = '/'; fix(b) }, "UUID"},
		{"areas", func(b []byte) {
			for i := 72; i < SectorSize; i++ {
				b[i] = 1
			}
			fix(b)
		}, "areas"},
		{"gone", func(b []byte) { clear(b) }, "no LVM2 label"},
	} {
		broken := *d
		broken.Head = bytes.Clone(d.Head)
		c.change(broken.Head[at : at+SectorSize])
		_, err := ReadPV(&broken, broken.Size)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if errors.Is(err, ErrNoLabel) != (c.name == "gone") {
			t.Errorf("%s: ErrNoLabel is %v", c.name, errors.Is(err, ErrNoLabel))
		}
	}
	if _, err := ReadPV(bytes.NewReader(nil), 0); !errors.Is(err, ErrNoLabel) {
		t.Errorf("empty device: %v", err)
	}
}

// fix gives a changed label its checksum.
func fix(b []byte) { le.PutUint32(b[16:], checksum(b[20:SectorSize])) }

func FuzzText(f *testing.F) {
	f.Add(small)
	f.Add("a { b = [1, \"x\"] }")
	if _, text, ok := strings.Cut(string(groups(f)["kinds"]["0.text"]), "---\n"); ok {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vg, err := ParseText([]byte(s))
		if err != nil {
			return
		}
		var list []Seen
		for _, ref := range vg.PVs {
			list = append(list, Seen{Device: "8:1", PV: &PV{UUID: ref.ID, VG: vg}})
		}
		for _, g := range Assemble(list, Host{}).Groups {
			for i := range g.VG.LVs {
				a, err := g.Activate(&g.VG.LVs[i], nil)
				next := uint64(0)
				for _, l := range a.Table {
					if err == nil && l.Start != next {
						t.Fatalf("gap in the table of %s", a.Name)
					}
					next = l.Start + l.Length
				}
				tree, err := g.Tree(&g.VG.LVs[i], nil)
				if err != nil {
					continue
				}
				if len(tree.Nodes) == 0 || len(tree.Nodes) > 2*maxTree {
					t.Fatalf("%d devices", len(tree.Nodes))
				}
				for n, node := range tree.Nodes {
					for _, w := range strings.Fields(node.Table[0].String()) {
						if ref, ok := strings.CutPrefix(w, "@"); ok {
							if k, err := strconv.Atoi(ref); err != nil || k >= n {
								t.Fatalf("%s stands on %s", node.Name, w)
							}
						}
					}
				}
			}
		}
	})
}

func FuzzLabel(f *testing.F) {
	d, _ := groups(f).Device(f, "plain", 0)
	label, header := d.Head[SectorSize:SectorSize+160], d.Head[4096:4096+64]
	// The area is cut to the small device, and its text is the small one.
	le.PutUint64(label[112:], 12<<10)
	le.PutUint64(header[32:], 12<<10)
	le.PutUint64(header[40:], mdaHeader)
	le.PutUint64(header[48:], uint64(len(small)))
	f.Add(label, header, small)
	f.Fuzz(func(t *testing.T, label, header []byte, text string) {
		dev := make([]byte, 16<<10)
		sector, area := dev[SectorSize:2*SectorSize], dev[4096:4096+mdaHeader]
		copy(sector, label)
		copy(area, header)
		n := copy(dev[4096+mdaHeader:], text)
		// Repair what would only hide what lies behind it.
		copy(sector, "LABELONE\x01\x00\x00\x00\x00\x00\x00\x00")
		copy(sector[24:], "LVM2 001")
		fix(sector)
		copy(area[4:], mdaMagic)
		if size := le.Uint64(area[48:]); size <= uint64(n) {
			le.PutUint32(area[56:], checksum(dev[4096+mdaHeader:][:size]))
		}
		le.PutUint32(area, checksum(area[4:]))
		pv, err := ReadPV(bytes.NewReader(dev), uint64(len(dev)))
		if err != nil {
			return
		}
		if !validUUID(pv.UUID) || len(pv.Metadata) != len(pv.MetadataAreas) {
			t.Fatalf("%+v", pv)
		}
	})
}
