package images

import (
	"testing"

	"firstlight/test/debian"
)

func TestMake(t *testing.T) {
	k, err := debian.GetKernel(t.Context(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		m, err := Make(t.Context(), k, kind)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Log(m.File)
	}
}
