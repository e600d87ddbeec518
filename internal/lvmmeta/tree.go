package lvmmeta

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/order"
)

// Tree is what device-mapper is to be told of a volume that is made of other
// volumes: the devices that LVM's own tool makes for it, with their names,
// UUIDs and tables, those below before those above.
type Tree struct {
	Nodes []devmapper.Node
	// Drivers are the modules that the tables need.
	Drivers []string
	// Missing are the physical volumes without which the volume cannot be
	// mapped, Legs those without which it can: RAID goes on without them. The
	// tables then have a device of errors in the place of each.
	Missing, Legs []PVRef
	// Writes says that making the devices live may write to the disks: RAID
	// and mirrors write their logs, a merging snapshot its origin.
	Writes bool
	// Pools are the thin pools among the nodes.
	Pools []Pool
	// Copies are snapshots, whose content is that of their origin at some time.
	Copies []Copy
}

// Copy is a snapshot and its origin, by the UUIDs of their devices. Together
// says that the origin is a device of the same tree.
type Copy struct {
	UUID, Origin string
	Together     bool
}

// Pool is a thin pool of a tree.
type Pool struct {
	// Name is the pool's as people know it, "vg/pool".
	Name string
	// Node is the pool, Metadata the device with its metadata.
	Node, Metadata int
	// Transaction is the transaction ID that the pool's metadata must have.
	Transaction uint64
}

// Ranks of devices at the top of a tree, as in libdevmapper: an origin is
// live only when its snapshots are, or what is written to it at once is lost
// to them.
const (
	rankOther = iota
	rankOrigin
	rankMerging
)

// maxNodes bounds the devices of one tree.
const maxTree = 1 << 12

// Tree returns the devices of a volume. dev is as for Activate. Like
// lvchange(8) it gives an origin its snapshots, and a snapshot its origin.
//
// It fails with *RefusedError if the group is refused, with *NeedsToolError
// where only LVM's own tool knows what to do, and with another error if the
// metadata contradicts itself. Physical volumes that are missing are no
// error: look at Missing and Legs.
func (g *Group) Tree(lv *LV, dev func(device string) string) (*Tree, error) {
	if text, ok := g.Refused(); ok {
		return nil, &RefusedError{g.VG.Name, text}
	}
	b := &treeBuilder{g: g, dev: dev, t: &Tree{}, nodes: map[string]int{}, open: map[string]bool{}, roles: g.roles()}
	if r := b.roles[lv.Name]; r.kind == roleCow {
		origin := g.VG.LV(r.of)
		if origin == nil {
			return nil, b.contradiction(lv, "it is a snapshot of "+r.of+", which does not exist")
		}
		if virtual(origin) {
			return nil, b.tool(lv, "snapshot of a virtual origin")
		}
		lv = origin
	} else if r.kind != "" && r.kind != roleExternal && r.kind != rolePool {
		return nil, b.tool(lv, "part of "+r.of)
	}
	if _, err := b.node(lv, ""); err != nil {
		return nil, err
	}
	order.Strings(b.t.Drivers)
	b.t.Drivers = slices.Compact(b.t.Drivers)
	return b.t, nil
}

func virtual(lv *LV) bool { return strings.HasSuffix(lv.Name, "_vorigin") }

// Roles of volumes in others.
const (
	roleCow      = "cow"
	roleExternal = "external origin"
	rolePool     = "pool"
	roleData     = "tdata"
	roleMeta     = "tmeta"
	roleImage    = "rimage"
	roleRMeta    = "rmeta"
	rolePart     = "part"
)

// role is what a volume is for another one.
type role struct {
	kind, of string
	merging  bool
}

// roles finds what the volumes of the group are for each other. An origin has
// no role: it is what it was, with snapshots.
func (g *Group) roles() map[string]role {
	roles := map[string]role{}
	for i := range g.VG.LVs {
		lv := &g.VG.LVs[i]
		for _, s := range lv.Segments {
			if s.text == nil {
				continue
			}
			for _, r := range [...]struct{ key, kind string }{
				{"cow_store", roleCow}, {"merging_store", roleCow}, {"external_origin", roleExternal}, {"thin_pool", rolePool},
				{"metadata", roleMeta}, {"pool", roleData}, {"mirror_log", rolePart},
			} {
				name := s.word(r.key)
				if name == "" {
					continue
				}
				of := lv.Name
				if r.kind == roleCow {
					of = s.word("origin")
				}
				roles[name] = role{r.kind, of, r.key == "merging_store"}
			}
			pairs := s.pairs()
			for j, name := range s.list("raids", "raid0_lvs") {
				kind := roleImage
				if pairs && j%2 == 0 {
					kind = roleRMeta
				}
				roles[name] = role{kind: kind, of: lv.Name}
			}
			for _, name := range s.list("mirrors") {
				roles[name] = role{kind: rolePart, of: lv.Name}
			}
			for _, st := range s.Stripes {
				if _, pv := g.index[st.Name]; !pv {
					roles[st.Name] = role{kind: rolePart, of: lv.Name}
				}
			}
		}
	}
	return roles
}

// word, number and list read entries of a segment's text; what is not there
// or of another kind is "", 0, nil.
func (s *Segment) word(key string) string {
	if s.text != nil {
		if n := s.text.find(key); n != nil && n.kind == kindString {
			return n.str
		}
	}
	return ""
}

func (s *Segment) number(key string) uint64 {
	if s.text != nil {
		if n := s.text.find(key); n != nil && n.kind == kindInt && n.num > 0 {
			return uint64(n.num)
		}
	}
	return 0
}

func (s *Segment) has(key string) bool { return s.text != nil && s.text.find(key) != nil }

// list gives the strings of the first of the arrays that is there.
func (s *Segment) list(keys ...string) []string {
	for _, key := range keys {
		if s.text == nil {
			break
		}
		n := s.text.find(key)
		if n == nil || n.kind != kindArray {
			continue
		}
		var list []string
		for i := range n.sub {
			if n.sub[i].kind == kindString {
				list = append(list, n.sub[i].str)
			}
		}
		return list
	}
	return nil
}

// pairs says whether a RAID segment lists a volume for metadata before each
// image.
func (s *Segment) pairs() bool { return s.Type != "raid0" }

type treeBuilder struct {
	g     *Group
	dev   func(string) string
	t     *Tree
	nodes map[string]int  // by UUID
	open  map[string]bool // nodes that are being made, by UUID
	roles map[string]role
	leg   bool // below an image of RAID, which may be missing
	lost  bool // something below that image is missing
}

func (b *treeBuilder) tool(lv *LV, kind string) error {
	return &NeedsToolError{b.g.VG.Name, lv.Name, kind}
}

func (b *treeBuilder) contradiction(lv *LV, text string) error {
	return fmt.Errorf("lvm: %s/%s: the metadata contradicts itself: %s", b.g.VG.Name, lv.Name, text)
}

// suffix is what LVM adds to the UUID of a device that is no whole volume.
func (b *treeBuilder) suffix(lv *LV, layer string) string {
	if layer != "" {
		return "-" + layer
	}
	if len(lv.Segments) > 0 && lv.Segments[0].Type == "thin-pool" {
		return "-pool"
	}
	switch k := b.roles[lv.Name].kind; k {
	case roleData, roleMeta:
		return "-" + k
	}
	return ""
}

// node makes the device of a volume, or of a layer below it, after those that
// it stands on.
func (b *treeBuilder) node(lv *LV, layer string) (int, error) {
	uuid := DMUUID(b.g.VG, lv) + b.suffix(lv, layer)
	if i, ok := b.nodes[uuid]; ok {
		return i, nil
	}
	if b.open[uuid] {
		return 0, b.contradiction(lv, "it is made of itself")
	}
	if len(b.nodes) >= maxTree || len(b.open) >= 64 {
		return 0, b.contradiction(lv, "it is made of too many volumes")
	}
	b.open[uuid] = true
	defer delete(b.open, uuid)
	if err := b.usable(lv); err != nil {
		return 0, err
	}
	n := devmapper.Node{Name: devmapper.LVName(b.g.VG.Name, lv.Name, layer), UUID: uuid, ReadOnly: b.readOnly(lv, layer), Flags: b.flags(lv, layer)}
	n.Top = n.Flags&devmapper.DisableSubsystemRules == 0
	var err error
	snaps := b.snapshots(lv)
	switch {
	case layer == "" && len(snaps) > 0:
		err = b.origin(lv, snaps, &n)
	case layer == "" && b.roles[lv.Name].kind == roleCow:
		err = b.snapshot(lv, &n)
	case layer == "" && (b.roles[lv.Name].kind == roleExternal || lv.Segments[0].Type == "thin-pool"):
		below := "real"
		if lv.Segments[0].Type == "thin-pool" {
			below = "tpool"
		}
		var i int
		if i, err = b.node(lv, below); err == nil {
			n.Table, err = b.one(lv, "linear", ref(i)+" 0")
		}
	default:
		for i := range lv.Segments {
			var t devmapper.Target
			if t, err = b.segment(lv, i); err != nil {
				break
			}
			n.Table = append(n.Table, t)
		}
	}
	if err != nil {
		return 0, err
	}
	i := b.add(n)
	b.copyOf(lv, n)
	if p := lv.Segments[0]; layer == "tpool" {
		meta := b.nodes[DMUUID(b.g.VG, b.g.VG.LV(p.word("metadata")))+"-tmeta"]
		b.t.Pools = append(b.t.Pools, Pool{b.g.VG.Name + "/" + lv.Name, i, meta, p.number("transaction_id")})
	}
	// The snapshots follow their origin, as in LVM's own order.
	if layer == "" {
		for _, s := range snaps {
			if _, err := b.node(b.g.VG.LV(s.cow), ""); err != nil {
				return 0, err
			}
		}
	}
	return i, nil
}

// copyOf notes whose content a snapshot shows.
func (b *treeBuilder) copyOf(lv *LV, n devmapper.Node) {
	if n.Flags&devmapper.LowPriority == 0 {
		return
	}
	name := lv.Segments[0].word("origin")
	if r := b.roles[lv.Name]; r.kind == roleCow {
		name = r.of
	}
	if origin := b.g.VG.LV(name); origin != nil {
		b.t.Copies = append(b.t.Copies, Copy{n.UUID, DMUUID(b.g.VG, origin), b.roles[lv.Name].kind == roleCow})
	}
}

func (b *treeBuilder) add(n devmapper.Node) int {
	b.nodes[n.UUID] = len(b.t.Nodes)
	b.t.Nodes = append(b.t.Nodes, n)
	return len(b.t.Nodes) - 1
}

// usable refuses volumes in a state in which the tool alone knows what to do.
func (b *treeBuilder) usable(lv *LV) error {
	if len(lv.Segments) == 0 {
		return b.contradiction(lv, "it has no segments")
	}
	for _, word := range lv.Status {
		switch word {
		case "READ", "WRITE", "VISIBLE", "FIXED_MINOR", "LOCKED", "NOTSYNCED", "REBUILD", "WRITEMOSTLY":
		default:
			return b.tool(lv, "of status "+word)
		}
	}
	return nil
}

// readOnly is LVM's own rule: what a volume stands on can be written even if
// the volume cannot.
func (b *treeBuilder) readOnly(lv *LV, layer string) bool {
	switch k := b.roles[lv.Name].kind; {
	case layer == "cow", k == roleImage, k == roleRMeta:
		return false
	case layer == "" && lv.Segments[0].Type == "thin-pool":
		return true
	}
	return !lv.Writable()
}

// flags are what the rules are told of a device.
func (b *treeBuilder) flags(lv *LV, layer string) devmapper.UdevFlags {
	r := b.roles[lv.Name]
	visible := lv.Visible()
	if r.kind == roleCow {
		origin := b.g.VG.LV(r.of)
		visible = !r.merging && origin != nil && origin.Visible()
	}
	if layer != "" || !visible || lv.Segments[0].Type == "thin-pool" {
		return devmapper.Temporary
	}
	// A snapshot has the content of its origin: the origin has the names.
	if r.kind == roleCow || lv.Segments[0].Type == "thin" && lv.Segments[0].word("origin") != "" {
		return devmapper.LowPriority
	}
	return 0
}

// size is the length of a volume in sectors.
func (b *treeBuilder) size(lv *LV) uint64 { return lv.Extents * b.g.VG.ExtentSize }

// one is a table of a single line over the whole volume.
func (b *treeBuilder) one(lv *LV, typ, params string) ([]devmapper.Target, error) {
	if lv.Extents > (1<<53)/b.g.VG.ExtentSize {
		return nil, b.contradiction(lv, "it is larger than any device")
	}
	return []devmapper.Target{{Length: b.size(lv), Type: typ, Params: []byte(params)}}, nil
}

func ref(node int) string { return "@" + strconv.Itoa(node) }
