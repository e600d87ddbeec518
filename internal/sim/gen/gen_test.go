package gen

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestSameSeedSameMachine(t *testing.T) {
	for seed := range uint64(200) {
		a, b := From(seed), From(seed)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d gives two machines", seed)
		}
		if !reflect.DeepEqual(a, a.Clone()) {
			t.Fatalf("seed %d: the clone differs", seed)
		}
		if !a.Valid() {
			t.Fatalf("seed %d makes no sense", seed)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Machine
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(back); string(again) != string(text) {
			t.Fatalf("seed %d does not survive being written down:\n%s\n%s", seed, text, again)
		}
	}
}

// The generator is only as good as what it reaches.
func TestMachinesAreOfAllSorts(t *testing.T) {
	depth := map[int]int{}
	verdicts := map[Verdict]int{}
	kinds, troubles, by := map[Kind]int{}, map[Trouble]int{}, map[string]int{}
	quiet, large, named := 0, 0, 0
	const n = 4000
	for seed := range uint64(n) {
		m := From(seed)
		truth := m.Truth()
		verdicts[truth.Verdict]++
		if truth.Quiet {
			quiet++
		}
		if truth.Verdict == GivesUp && len(truth.Names) > 0 {
			named++
		}
		depth[m.Depth(truth.Root)]++
		for _, x := range m.Below(truth.Root) {
			kinds[x.Kind]++
		}
		for _, f := range m.Faults {
			troubles[f.Trouble]++
		}
		by[m.Param(Root).By]++
		if len(m.Nodes) > 100 {
			large++
		}
	}
	t.Log(verdicts, "quiet", quiet, "named", named, "large", large)
	t.Log("depth", depth, kinds, troubles, by)
	for _, v := range []Verdict{Boots, GivesUp, Resumes, Asks, May} {
		if verdicts[v] < n/200 {
			t.Errorf("only %d of %d machines have the verdict %q", verdicts[v], n, v)
		}
	}
	for d := 2; d <= MaxDepth; d++ {
		if depth[d] == 0 {
			t.Errorf("no root has %d layers", d)
		}
	}
	if verdicts[May] > n/2 {
		t.Errorf("nothing is expected of %d machines", verdicts[May])
	}
	if quiet < n/10 || large == 0 || len(troubles) < 16 || named != verdicts[GivesUp] {
		t.Errorf("quiet %d, large %d, kinds of trouble %d, named %d", quiet, large, len(troubles), named)
	}
}
