package feature

import (
	"cmp"
	"fmt"
	"path"
	"slices"
)

// Fact is something known about the machine that an image is for.
type Fact struct {
	Name string `json:"name"` // "fstype:ext4"; see Feature.When
	Why  string `json:"why"`  // "/ is ext4 on /dev/vda2"
}

// Chosen is a feature that goes into the image.
type Chosen struct {
	*Feature
	Why   string
	Asked bool   // by name, or by a fact of its own; not only as one of a generic image
	Found string // the fact of its own that made it, or what requires it, needed; "" if none did
}

// Choose returns the features for an image, sorted by name: those that the
// facts make needed, those asked for by name, and what these require. Those
// in omit are left out unless asked for by name or required by one that is.
func (s *Set) Choose(facts []Fact, asked, omit []string) ([]Chosen, error) {
	for _, n := range slices.Concat(asked, omit) {
		if _, err := s.Get(n); err != nil {
			return nil, err
		}
	}
	c := chooser{set: s, chosen: map[string]*Chosen{}}
	for _, n := range asked {
		if slices.Contains(omit, n) {
			return nil, fmt.Errorf("feature %q is asked for and left out at the same time", n)
		}
		c.take(n, "asked for", true, "")
	}
	for _, f := range s.All() {
		if fact, ok := f.neededBy(facts); ok && !slices.Contains(omit, f.Name) {
			why := fact.Why
			if why == "" {
				why = fact.Name
			}
			found := fact.Name
			if found == "generic" {
				found = ""
			}
			c.take(f.Name, why, found != "", found)
		}
	}
	var out []Chosen
	for _, f := range s.All() {
		if ch := c.chosen[f.Name]; ch != nil {
			out = append(out, *ch)
		}
	}
	for _, ch := range out {
		for _, x := range ch.Excludes {
			if other := c.chosen[x]; other != nil {
				return nil, fmt.Errorf("features %q (%s) and %q (%s) exclude each other; leave one out with omit_features",
					ch.Name, ch.Why, x, other.Why)
			}
		}
	}
	return out, nil
}

type chooser struct {
	set    *Set
	chosen map[string]*Chosen
}

func (c *chooser) take(name, why string, asked bool, found string) {
	ch := c.chosen[name]
	if ch == nil {
		ch = &Chosen{Feature: c.set.features[name], Why: why}
		c.chosen[name] = ch
	} else if (!asked || ch.Asked) && (found == "" || ch.Found != "") {
		return
	}
	ch.Asked, ch.Found = ch.Asked || asked, cmp.Or(ch.Found, found)
	for _, r := range c.set.features[name].Requires {
		c.take(r, "required by "+name, asked, found)
	}
}

// neededBy returns the fact that makes the feature needed; of several one
// that is not just "generic".
func (f *Feature) neededBy(facts []Fact) (found Fact, ok bool) {
	for _, w := range f.When {
		for _, fact := range facts {
			if match, err := path.Match(w, fact.Name); err == nil && match {
				if fact.Name != "generic" {
					return fact, true
				}
				found, ok = fact, true
			}
		}
	}
	return found, ok
}
