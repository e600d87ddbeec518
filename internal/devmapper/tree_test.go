package devmapper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kernel is a device mapper that writes down what it is asked.
type kernel struct {
	Mapper
	did   []string
	live  map[string]Info   // by UUID
	fails map[string]string // name -> the call that fails
	uuids map[string]string
}

func newKernel() *kernel {
	return &kernel{live: map[string]Info{}, fails: map[string]string{}, uuids: map[string]string{}}
}

func (k *kernel) call(what, name string) error {
	k.did = append(k.did, what+" "+name)
	if k.fails[name] == what {
		return fmt.Errorf("%s %s: %w", what, name, unix.EINVAL)
	}
	return nil
}

func (k *kernel) Info(r Ref) (Info, error) {
	if i, ok := k.live[r.UUID]; ok {
		return i, nil
	}
	return Info{}, unix.ENXIO
}

func (k *kernel) Create(name, uuid string) (Info, error) {
	k.uuids[name] = uuid
	return Info{Name: name, Dev: Devnum{253, uint32(len(k.uuids) - 1)}}, k.call("create", name)
}

func (k *kernel) Load(r Ref, table []Target, _ LoadOptions) (Info, error) {
	return Info{}, k.call("load", r.Name+" "+string(table[0].Params))
}

func (k *kernel) Resume(r Ref, o ResumeOptions) (Info, error) {
	k.live[k.uuids[r.Name]] = Info{Name: r.Name, Live: true}
	return Info{}, k.call("resume", r.Name)
}

func (k *kernel) Remove(r Ref, _ RemoveOptions) (Info, error) {
	return Info{}, k.call("remove", r.Name)
}

func tree() []Node {
	line := func(params string) []Target { return []Target{{Length: 8, Type: "linear", Params: []byte(params)}} }
	return []Node{
		{Name: "real", UUID: "u0", Table: line("8:0 0")},
		{Name: "root", UUID: "u1", Table: line("@0"), Top: true, Rank: 1},
		{Name: "cow", UUID: "u2", Table: line("8:0 99")},
		{Name: "snap", UUID: "u3", Table: line("@0 @2 P 8"), Top: true},
	}
}

// An origin that is live before its snapshot loses what is written meanwhile
// to the snapshot.
func TestDevicesBecomeLiveInTheRightOrder(t *testing.T) {
	k := newKernel()
	if err := ActivateTree(k, tree(), 1, nil); err != nil {
		t.Fatal(err)
	}
	want := "create real, load real 8:0 0, resume real, create root, load root 253:0, create cow, load cow 8:0 99, resume cow, " +
		"create snap, load snap 253:0 253:2 P 8, resume snap, resume root"
	if got := strings.Join(k.did, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestDeviceThatIsThereIsUsed(t *testing.T) {
	k := newKernel()
	k.live["u0"] = Info{Name: "real", Live: true, Dev: Devnum{253, 40}}
	if err := ActivateTree(k, tree(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(k.did, "create real") || !slices.Contains(k.did, "load root 253:40") {
		t.Errorf("%q", k.did)
	}
	// One that somebody else makes, or that is called otherwise, is not.
	for _, other := range []Info{{Name: "real"}, {Name: "other", Live: true}} {
		k := newKernel()
		k.live["u0"] = other
		if err := ActivateTree(k, tree(), 1, nil); !errors.Is(err, unix.EBUSY) || len(k.did) != 0 {
			t.Errorf("%+v: %v, %q", other, err, k.did)
		}
	}
}

func TestWhatWasMadeOfATreeThatFailsIsRemoved(t *testing.T) {
	for name, call := range map[string]string{"snap": "create", "snap 253:0 253:2 P 8": "load", "root": "resume"} {
		k := newKernel()
		k.fails[name] = call
		err := ActivateTree(k, tree(), 1, nil)
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s of %s fails: %v", call, name, err)
		}
		var removed []string
		for _, d := range k.did {
			if name, ok := strings.CutPrefix(d, "remove "); ok {
				removed = append(removed, name)
			}
		}
		want := []string{"snap", "cow", "root", "real"}
		if call == "create" {
			want = want[1:]
		}
		if !slices.Equal(removed, want) {
			t.Errorf("%s of %s fails: removed %q", call, name, removed)
		}
	}
	k := newKernel()
	err := ActivateTree(k, tree(), 1, func(node int, devs []Devnum) error {
		if node == 3 {
			return fmt.Errorf("looked at %v", devs)
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "looked at [253:0 253:1 253:2]") || slices.Contains(k.did, "create snap") || !slices.Contains(k.did, "remove real") {
		t.Errorf("%v, %q", err, k.did)
	}
}
