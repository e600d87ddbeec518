package disks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/guest/plan"
)

// Crypt makes an encrypted, verified or authenticated volume with any of
// cryptsetup's tools and opens it with them. What the kernel then has as its
// table is kept: it is what Firstlight's has to be equal to.
type Crypt struct {
	// Name is that of the mapped device, and what later steps call it.
	Name string
	// Format and Open are programs with their arguments; "{NAME}" in one is the
	// node of what has the name. Format may be empty.
	Format, Open []string
	// Key is given to both on their standard input.
	Key string
	// Below are further mapped devices that Open makes.
	Below []string
	// Before are commands to be run before it is opened, More once it is open.
	Before, More [][]string
}

func (s Crypt) plan(p *planner) error {
	fill := func(argv []string) []string {
		var out []string
		for _, a := range argv {
			for name, node := range p.nodes {
				a = strings.ReplaceAll(a, "{"+name+"}", node)
			}
			out = append(out, a)
		}
		return out
	}
	for _, argv := range slices.Concat([][]string{s.Format}, s.Before, [][]string{s.Open}, s.More) {
		if len(argv) > 0 {
			p.commands = append(p.commands, plan.Command{Argv: fill(argv), Stdin: []byte(s.Key)})
		}
	}
	for _, n := range append([]string{s.Name}, s.Below...) {
		p.do("dmsetup", "info", "-c", "--noheadings", "-o", "uuid", n)
		p.do("dmsetup", "table", "--showkeys", n)
	}
	p.undo(append([]string{"dmsetup", "remove", s.Name}, s.Below...)...)
	return p.name(s.Name, "/dev/mapper/"+s.Name)
}

// Table is what a mapped device was when the field's own tools had made it.
type Table struct {
	UUID  string
	Lines []string // as dmsetup table --showkeys prints them
}

// log is how the layout was made.
func (m Made) log() (string, error) {
	dir := ""
	for _, f := range m.Files {
		dir = filepath.Dir(f)
	}
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return "", fmt.Errorf("log of layout %s: %w", m.Layout.Name, err)
	}
	return string(text), nil
}

// RootHash is what veritysetup said when the layout was made, "" if it did not.
func (m Made) RootHash() string {
	text, _ := m.log() // a layout that was not made has none
	_, rest, _ := strings.Cut(text, "Root hash:")
	hash, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(hash)
}

// Tables returns the tables of what Crypt steps made, by name.
func (m Made) Tables() (map[string]Table, error) {
	text, err := m.log()
	if err != nil {
		return nil, err
	}
	tables := map[string]Table{}
	uuid := ""
	for step := range strings.SplitSeq("\n"+text, "\n$ ") {
		argv, out, _ := strings.Cut(step, "\n")
		out = strings.TrimSpace(out)
		if strings.HasPrefix(argv, "dmsetup info ") {
			uuid = out
		} else if name, ok := strings.CutPrefix(argv, "dmsetup table --showkeys "); ok {
			tables[name] = Table{uuid, strings.Split(out, "\n")}
		}
	}
	return tables, nil
}

// tablesTree is the tiny root with an init that sends the tables first.
func tablesTree(ctx context.Context) ([]string, error) {
	base, err := tinyTree(ctx)
	if err != nil {
		return nil, err
	}
	first, err := guestProgram(ctx, "tables")
	if err != nil {
		return nil, err
	}
	then, err := guestProgram(ctx, "tinyinit")
	if err != nil {
		return nil, err
	}
	a, err := archive([]File{
		{Path: "usr/sbin/init", Data: first, Perm: 0o755},
		{Path: "usr/sbin/report-init", Data: then, Perm: 0o755},
	})
	return append(base, a), err
}

// mixedVG is a VG of devices with different sector sizes.
type mixedVG VG

func (s mixedVG) plan(p *planner) error {
	at := len(p.commands)
	if err := VG(s).plan(p); err != nil {
		return err
	}
	for i, c := range p.commands[at:] {
		argv := append([]string(nil), c.Argv...)
		for j, a := range argv {
			argv[j] = strings.Replace(a, "devices{", "devices{allow_mixed_block_sizes=1 ", 1)
		}
		p.commands[at+i].Argv = argv
	}
	return nil
}
