package devmapper

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"firstlight/internal/fmt"

	"golang.org/x/sys/unix"
)

// Node is one device of a tree of devices that stand on each other. In the
// parameters of its table a word "@N" stands for the number of the tree's
// node N.
type Node struct {
	Name, UUID string
	ReadOnly   bool
	Flags      UdevFlags // for the rules
	Table      []Target
	// Top says that the device has content of its own: it becomes live when
	// every device of the tree has its table, in the order of Rank.
	Top  bool
	Rank int
}

// ActivateTree makes the devices of a tree: each is created, given its table
// and made live before those that stand on it, which come later in nodes;
// those at the top become live at the end. One that is live already, by its
// UUID, is used as it is. before, if not nil, is called before a device is
// made, with the numbers of those that came earlier. id is the identifier of
// the cookies and must not be 0.
//
// If anything fails, what was made is removed again.
func ActivateTree(m Mapper, nodes []Node, id uint16, before func(node int, devs []Devnum) error) error {
	devs := make([]Devnum, 0, len(nodes))
	var made, tops []int
	err := func() error {
		for i, n := range nodes {
			info, err := m.Info(ByUUID(n.UUID))
			if err == nil {
				if !info.Live || info.Name != n.Name {
					return fmt.Errorf("device mapper: %s: %w: %s has its UUID and is no such device", n.Name, unix.EBUSY, info.Name)
				}
				devs = append(devs, info.Dev)
				continue
			}
			if !errors.Is(err, unix.ENXIO) {
				return err
			}
			if before != nil {
				if err := before(i, devs); err != nil {
					return err
				}
			}
			if info, err = m.Create(n.Name, n.UUID); err != nil {
				return err
			}
			made = append(made, i)
			table, err := resolve(n, devs)
			if err != nil {
				return err
			}
			devs = append(devs, info.Dev)
			if _, err := m.Load(ByName(n.Name), table, LoadOptions{ReadOnly: n.ReadOnly}); err != nil {
				return err
			}
			if n.Top {
				tops = append(tops, i)
				continue
			}
			if err := live(m, n, id); err != nil {
				return err
			}
		}
		sort.SliceStable(tops, func(i, j int) bool { return nodes[tops[i]].Rank < nodes[tops[j]].Rank })
		for _, i := range tops {
			if err := live(m, nodes[i], id); err != nil {
				return err
			}
		}
		return nil
	}()
	if err == nil {
		return nil
	}
	for _, i := range slices.Backward(made) {
		if _, rerr := m.Remove(ByName(nodes[i].Name), RemoveOptions{}); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

func live(m Mapper, n Node, id uint16) error {
	_, err := m.Resume(ByName(n.Name), ResumeOptions{Cookie: NewCookie(id, n.Flags), ReadOnly: n.ReadOnly})
	return err
}

// resolve puts the numbers of earlier nodes into a table.
func resolve(n Node, devs []Devnum) ([]Target, error) {
	table := slices.Clone(n.Table)
	for i, t := range table {
		words := strings.Split(string(t.Params), " ")
		for j, word := range words {
			ref, ok := strings.CutPrefix(word, "@")
			if !ok {
				continue
			}
			k, err := strconv.Atoi(ref)
			if err != nil || k < 0 || k >= len(devs) {
				return nil, fmt.Errorf("device mapper: %s stands on %q, which is not there", n.Name, word)
			}
			words[j] = devs[k].String()
		}
		table[i].Params = []byte(strings.Join(words, " "))
	}
	return table, nil
}
