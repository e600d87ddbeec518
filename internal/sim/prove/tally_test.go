package prove

import (
	"reflect"
	"testing"

	"firstlight/internal/sim/gen"
)

// A soak that is done in pieces, by any number of workers, comes to the same.
func TestSumOfSeedsIsTheSameInPieces(t *testing.T) {
	whole := Seeds(0, 200, 1, func(Failure) bool { return true })
	pieces := Seeds(0, 70, 3, func(Failure) bool { return true })
	pieces.Merge(Seeds(70, 130, 2, func(Failure) bool { return true }))
	if !reflect.DeepEqual(whole, pieces) {
		t.Errorf("all at once %+v, in pieces %+v", whole, pieces)
	}
	if whole.Boots != 200 || whole.Outcomes[gen.Boots][Started] == 0 || whole.Outcomes[gen.GivesUp][GaveUp] == 0 || whole.Outcomes[gen.Resumes][Resumed] == 0 {
		t.Errorf("%+v", whole)
	}
	if other := Seeds(1, 200, 2, func(Failure) bool { return true }); other.Journals == whole.Journals {
		t.Error("other seeds have the same journals")
	}
}
