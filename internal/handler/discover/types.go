package discover

import (
	"cmp"
	"runtime"
	"strconv"
	"strings"

	"firstlight/internal/parttable"
	"firstlight/internal/udevd"
)

// kinds are the types of the partitions of one architecture.
type kinds struct{ arch, root, usr, verity string }

// types returns those of this machine (Discoverable Partitions Specification,
// uapi-group.org).
func types() kinds {
	all := [...]kinds{
		{"amd64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "8484680c-9521-48c6-9c11-b0720656f69e", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"},
		{"arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", "b0e01050-ee5f-4390-949a-9101b17104e9", "df3300ce-d69f-4c92-978c-9bfb0f38d820"},
		{"386", "44479540-f297-41b2-9af7-d131d5f0458a", "75250d76-8cc6-458e-bd66-bd47cc81a812", "d13c5d3b-b5d1-422a-b29f-9454fdc89d76"},
		{"arm", "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "7d0359a3-02b3-4f0a-865c-654403e70625", "7386cdf2-203c-47a9-a498-f2ecce45a2d6"},
		{"riscv64", "72ec70a6-cf74-40e6-bd49-4bda08e8f224", "beaec34b-8442-439b-a40b-984381ed097d", "b6ed5582-440b-4209-b8da-5ff7c419ea3d"},
		{"loong64", "77055800-792c-4f94-b39a-98c91b762bb6", "e611c702-575c-4cbe-9a46-434fa0bf7e3f", "f3393b22-e9af-4613-a948-9d3bfbd0c535"},
		{"ppc64le", "c31c45e6-3f39-412e-80fb-4809c4980599", "15bb03af-77e7-4d4a-b12b-c0d084f7491c", "906bd944-4589-4aae-a4e4-dd983917446a"},
		{"s390x", "5eead9a9-fe09-4a1e-a1d7-520d00531306", "8a4f5770-50aa-4ed3-874a-99b710db6fea", "b325bfbe-c7be-4ab8-8357-139e652d2f6b"},
	}
	for _, k := range all {
		if k.arch == runtime.GOARCH {
			return k
		}
	}
	return kinds{root: "none", usr: "none", verity: "none"}
}

// Attributes of a partition, by the same specification.
const (
	growFS   = 1 << 59
	readOnly = 1 << 60
	noAuto   = 1 << 63
)

func flags(e *udevd.Entry) uint64 {
	n, err := strconv.ParseUint(e.Property("ID_PART_ENTRY_FLAGS"), 0, 64)
	if err != nil {
		return 0
	}
	return n
}

// newest returns the partition of a type to use. Of several it is the one with
// the highest version, where their names are NAME_VERSION with one NAME for
// all, as systemd-sysupdate calls them; slots that are empty ("_empty") do not
// count. why says that it cannot be told.
func newest(parts []parttable.Entry, typ string) (found *parttable.Entry, why string) {
	var list []*parttable.Entry
	for i := range parts {
		if e := &parts[i]; e.Type == typ && e.Flags&noAuto == 0 && e.Name != "_empty" {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil, ""
	}
	names := ""
	for _, e := range list {
		names += " " + strconv.Itoa(e.Number) + " (" + e.Name + ")"
	}
	best := list[0]
	first, highest, ok := version(best)
	for _, e := range list[1:] {
		name, v, is := version(e)
		c := compare(v, highest)
		if !ok || !is || name != first || c == 0 {
			return nil, strconv.Itoa(len(list)) + " partitions may be it, and their names do not say which is newer:" + names
		}
		if c > 0 {
			best, highest = e, v
		}
	}
	return best, ""
}

// version splits a partition's name.
func version(e *parttable.Entry) (name, version string, ok bool) {
	i := strings.LastIndexByte(e.Name, '_')
	if i <= 0 || i == len(e.Name)-1 {
		return "", "", false
	}
	return e.Name[:i], e.Name[i+1:], true
}

// compare compares two versions as UAPI.10 (Version Format Specification) has
// it: numbers by value, '~' before the end, '-' before '^' before '.'.
func compare(a, b string) int {
	const order = "~-^."
	strip := func(s string) string { return strings.TrimLeftFunc(s, func(r rune) bool { return !valid(r) }) }
	for {
		a, b = strip(a), strip(b)
		if tilde := strings.HasPrefix(b, "~"); tilde != strings.HasPrefix(a, "~") {
			if tilde {
				return 1
			}
			return -1
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		for _, c := range order {
			x, y := rune(a[0]) == c, rune(b[0]) == c
			switch {
			case x && y:
				a, b = a[1:], b[1:]
			case y:
				return 1
			case x:
				return -1
			default:
				continue
			}
			break
		}
		if a == "" || b == "" || strings.ContainsRune(order, rune(a[0])) || strings.ContainsRune(order, rune(b[0])) {
			continue
		}
		if digit(a[0]) || digit(b[0]) {
			var m, n string
			m, a = run(a, digit)
			n, b = run(b, digit)
			m, n = strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); c != 0 {
				return c
			}
			continue
		}
		var m, n string
		m, a = run(a, letter)
		n, b = run(b, letter)
		if c := cmp.Compare(m, n); c != 0 {
			return c
		}
	}
}

func valid(r rune) bool {
	return r < 128 && (digit(byte(r)) || letter(byte(r)) || strings.ContainsRune("~-^.", r))
}
func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// run takes what begins a text and is of a sort.
func run(s string, is func(byte) bool) (head, rest string) {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i], s[i:]
}
