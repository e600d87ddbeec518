package kmod

import (
	"errors"
	"math/bits"
	"strings"
	"unsafe"

	"firstlight/internal/fmt"
)

const (
	magic      = "flkmodix"
	version    = 1
	headerSize = 112
	recordSize = 24
	nodeSize   = 16
	noTarget   = 1<<32 - 1

	flagBlacklisted = 1 << 0
	flagBuiltin     = 1 << 1
)

const (
	treeConfig = iota
	treeModules
	treeBuiltin
)

const (
	secStrings = iota
	secModules
	secNames
	secLists
	secNodes
	secValues
	secTargets
	secOptions
	sections
)

// ErrIndex is returned for bytes that are not a module index, or a damaged one.
var ErrIndex = errors.New("not a module index")

// ModuleID names a module of one Index. IDs follow the order in which
// modules that match the same alias are loaded.
type ModuleID uint32

// Index is an opened table of modules. It is immutable and safe for
// concurrent use.
type Index struct {
	pool    string
	modules []byte
	names   []byte
	lists   []byte
	nodes   []byte
	values  []byte
	targets []byte
	options []byte
	roots   [3]uint32
	count   uint32
	real    uint32
}

// OpenIndex checks a table that WriteIndex wrote and uses it where it stands:
// data must stay as it is while the Index or any string it returned is in use.
// It fails with ErrIndex if data is damaged, cut short or of another version.
// A damaged table that slips through gives wrong answers, never a panic.
func OpenIndex(data []byte) (*Index, error) {
	bad := func(what string) (*Index, error) {
		return nil, fmt.Errorf("kmod: open index of %d bytes: %w: %s", len(data), ErrIndex, what)
	}
	if len(data) < headerSize || string(data[:8]) != magic {
		return bad("no magic")
	}
	if v := le.Uint32(data[8:]); v != version {
		return bad(fmt.Sprintf("version %d, expected %d", v, version))
	}
	if size := le.Uint32(data[12:]); uint64(size) != uint64(len(data)) {
		return bad(fmt.Sprintf("should be %d bytes", size))
	}
	if sum := checksum(data[24:]); sum != le.Uint64(data[16:]) {
		return bad("checksum does not match")
	}
	ix := &Index{count: le.Uint32(data[24:]), real: le.Uint32(data[28:])}
	for i := range ix.roots {
		ix.roots[i] = le.Uint32(data[32+4*i:])
	}
	var sec [sections][]byte
	for i := range sec {
		off, size := le.Uint32(data[44+8*i:]), le.Uint32(data[48+8*i:])
		if uint64(off)+uint64(size) > uint64(len(data)) {
			return bad("a section leads out of it")
		}
		sec[i] = data[off : off+size : off+size]
	}
	if uint64(len(sec[secModules])) != uint64(ix.count)*recordSize || uint64(len(sec[secNames])) != uint64(ix.count)*4 || ix.real > ix.count {
		return bad("numbers of modules disagree")
	}
	if len(sec[secNodes]) < nodeSize {
		return bad("no patterns")
	}
	ix.pool = unsafe.String(unsafe.SliceData(sec[secStrings]), len(sec[secStrings]))
	ix.modules, ix.names, ix.lists = sec[secModules], sec[secNames], sec[secLists]
	ix.nodes, ix.values, ix.targets, ix.options = sec[secNodes], sec[secValues], sec[secTargets], sec[secOptions]
	return ix, nil
}

// checksum guards against cut and damaged tables. It takes eight bytes at a
// time: a table of all modules is a megabyte, read at every start. The length
// of b is a multiple of eight in a good table; a rest counts as zeros do.
func checksum(b []byte) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(b)) * prime
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^le.Uint64(b), 29) * prime
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c), 29) * prime
	}
	return h ^ h>>32
}

// Len returns the number of modules in the table, built-in ones included.
// Their IDs are 0 to Len()-1.
func (ix *Index) Len() int { return int(ix.count) }

// Name returns the module's name, with '_' for each '-'; "" for an ID that is
// not of this index.
func (ix *Index) Name(id ModuleID) string {
	r := ix.record(id)
	if r == nil {
		return ""
	}
	return ix.str(le.Uint32(r), uint32(le.Uint16(r[12:])))
}

// Path returns the module's file in the image; "" for a built-in one.
func (ix *Index) Path(id ModuleID) string {
	r := ix.record(id)
	if r == nil {
		return ""
	}
	return ix.str(le.Uint32(r[4:]), uint32(le.Uint16(r[14:])))
}

// Builtin says whether the kernel contains the module.
func (ix *Index) Builtin(id ModuleID) bool { return ix.flags(id)&flagBuiltin != 0 }

// Blacklisted says whether modprobe.d had a blacklist line for the module
// when the index was made.
func (ix *Index) Blacklisted(id ModuleID) bool { return ix.flags(id)&flagBlacklisted != 0 }

// Lookup finds a module by its name, in which '-' and '_' are the same.
func (ix *Index) Lookup(name string) (ModuleID, bool) {
	lo, hi := 0, len(ix.names)/4
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		id := ModuleID(le.Uint32(ix.names[4*mid:]))
		switch c := compareName(ix.Name(id), name); {
		case c == 0:
			return id, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// compareName compares a normalised name with one that may not be.
func compareName(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		c := b[i]
		if c == '-' {
			c = '_'
		}
		if a[i] != c {
			return int(a[i]) - int(c)
		}
	}
	return len(a) - len(b)
}

// Options returns the parameters that modprobe.d gives for a module's name or
// an alias, both normalised; "" if none.
func (ix *Index) Options(name string) string {
	lo, hi := 0, len(ix.options)/16
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		r := ix.options[16*mid:]
		switch c := strings.Compare(ix.str(le.Uint32(r), le.Uint32(r[4:])), name); {
		case c == 0:
			return ix.str(le.Uint32(r[8:]), le.Uint32(r[12:]))
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return ""
}

// Deps returns the modules that must be loaded before id; those that they
// need in turn are not among them.
func (ix *Index) Deps(id ModuleID) []ModuleID { return ix.list(id, 0) }

// SoftPre returns the modules that are loaded before id if they can be.
func (ix *Index) SoftPre(id ModuleID) []ModuleID { return ix.list(id, 1) }

// SoftPost returns the modules that are loaded after id if they can be.
func (ix *Index) SoftPost(id ModuleID) []ModuleID { return ix.list(id, 2) }

func (ix *Index) list(id ModuleID, which int) []ModuleID {
	r := ix.record(id)
	if r == nil {
		return nil
	}
	start := uint64(le.Uint32(r[8:]))
	for i := range which {
		start += uint64(le.Uint16(r[16+2*i:]))
	}
	n := uint64(le.Uint16(r[16+2*which:]))
	// No list has a module twice, so that only a damaged one can be longer.
	if n == 0 || n > uint64(ix.count) || 4*(start+n) > uint64(len(ix.lists)) {
		return nil
	}
	ids := make([]ModuleID, 0, n)
	for i := start; i < start+n; i++ {
		if id := le.Uint32(ix.lists[4*i:]); id < ix.count {
			ids = append(ids, ModuleID(id))
		}
	}
	return ids
}

func (ix *Index) flags(id ModuleID) uint16 {
	r := ix.record(id)
	if r == nil {
		return 0
	}
	return le.Uint16(r[22:])
}

func (ix *Index) record(id ModuleID) []byte {
	if uint32(id) >= ix.count {
		return nil
	}
	return ix.modules[int(id)*recordSize : (int(id)+1)*recordSize]
}

func (ix *Index) str(off, size uint32) string {
	if uint64(off)+uint64(size) > uint64(len(ix.pool)) {
		return ""
	}
	return ix.pool[off : off+size]
}
