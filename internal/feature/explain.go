package feature

import (
	"path"
	"slices"
)

// Explanation says whether a feature is in an image, and why.
type Explanation struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Origin      string `json:"origin"` // the file that defines it
	In          bool   `json:"in"`
	Why         string `json:"why"`
	// When are the facts that make it needed.
	When []Condition `json:"when"`
	// Brings are the features that come along, of whatever they bring as well;
	// BroughtBy those that bring this one.
	Brings    []string `json:"brings"`
	BroughtBy []string `json:"brought_by"`
	Excludes  []string `json:"excludes"`
}

// Condition is a fact that a feature names, and what is so on this machine.
type Condition struct {
	Fact  string `json:"fact"` // as the feature has it, with wildcards
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"`
}

// Explain says of a feature whether it is chosen by these facts, and names; see
// Choose.
func (s *Set) Explain(name string, facts []Fact, asked, omit []string) (*Explanation, error) {
	f, err := s.Get(name)
	if err != nil {
		return nil, err
	}
	chosen, err := s.Choose(facts, asked, omit)
	if err != nil {
		return nil, err
	}
	x := &Explanation{Name: name, Description: f.Description, Origin: f.Origin, When: []Condition{}, Brings: []string{}, BroughtBy: []string{}, Excludes: append([]string{}, f.Excludes...)}
	switch {
	case slices.Contains(omit, name):
		x.Why = "it is left out by omit_features"
	case len(f.When) == 0:
		x.Why = "it is in no image unless it is asked for, or another feature requires it"
	default:
		x.Why = "none of the facts that make it needed holds"
	}
	for _, c := range chosen {
		if c.Name == name {
			x.In, x.Why = true, c.Why
		}
	}
	for _, w := range f.When {
		c := Condition{Fact: w}
		for _, fact := range facts {
			if match, err := path.Match(w, fact.Name); err == nil && match && !c.Holds {
				c.Holds, c.Why = true, fact.Why
			}
		}
		x.When = append(x.When, c)
	}
	var bring func(f *Feature)
	bring = func(f *Feature) {
		for _, r := range f.Requires {
			if !slices.Contains(x.Brings, r) && r != name {
				x.Brings = append(x.Brings, r)
				bring(s.features[r])
			}
		}
	}
	bring(f)
	slices.Sort(x.Brings)
	for _, other := range s.All() {
		if slices.Contains(other.Requires, name) {
			x.BroughtBy = append(x.BroughtBy, other.Name)
		}
	}
	return x, nil
}
