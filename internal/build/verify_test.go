package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"firstlight/internal/image"
)

// An image that is refused must not take the place of the one that boots.
func TestRefusedImageLeavesTheOldOne(t *testing.T) {
	o := options(t, "compression = \"none\"\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	if err := os.WriteFile(o.Output, []byte("the old image"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("it would not boot")
	var seen []byte
	o.Verify = func(mode string, frames [][]byte) error {
		if mode != ModeTarget {
			t.Errorf("mode %q", mode)
		}
		seen = bytes.Join(frames, nil)
		return refusal
	}
	if _, err := Build(context.Background(), o); !errors.Is(err, refusal) {
		t.Fatalf("%v", err)
	}
	if b, err := os.ReadFile(o.Output); err != nil || string(b) != "the old image" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := image.NewView(seen, image.Limits{}); err != nil {
		t.Errorf("what was looked at is no image: %v", err)
	}
	o.Verify = func(string, [][]byte) error { return nil }
	_, b := mustBuild(t, o)
	if !bytes.Equal(b, seen) {
		t.Error("another image was written than was looked at")
	}
}
