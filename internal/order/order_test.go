package order

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func TestStringsAreSortedAsSlicesSortsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 5, 11, 24, 58, 500, 5000} {
		list := make([]string, n)
		for i := range list {
			list[i] = strconv.Itoa(r.IntN(n*2 + 1)) // some twice
		}
		want := slices.Clone(list)
		slices.Sort(want)
		Strings(list)
		if !slices.Equal(list, want) {
			t.Errorf("%d strings: %q, want %q", n, list, want)
		}
	}
}

func TestKeysAreThoseOfTheMap(t *testing.T) {
	m := map[string]int{"b": 1, "": 2, "a": 3, "ä": 4}
	if got, want := Keys(m), slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Keys(map[string]bool(nil)); len(got) != 0 {
		t.Errorf("%q of no map", got)
	}
}
