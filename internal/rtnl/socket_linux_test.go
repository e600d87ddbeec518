package rtnl

import (
	"slices"
	"testing"
)

func TestLoopbackIsListed(t *testing.T) {
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(e Event) bool { return e.Link != nil && e.Link.Loopback && e.Link.Name == "lo" }) {
		t.Errorf("no loopback in %d events", len(all))
	}
	if err := s.SetMTU(1<<30, 1500); err == nil {
		t.Error("a link that is not there was changed")
	}
}
