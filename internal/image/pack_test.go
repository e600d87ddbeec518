package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
)

// Firmware that is there under two names is stored once; files that somebody
// may write to at run time are not joined.
func TestSameFilesBecomeLinks(t *testing.T) {
	tree := NewTree()
	for _, e := range []Entry{
		{Path: "lib/firmware/a", Mode: file, Data: []byte("same"), Group: "firmware", From: "/lib/firmware/a", Why: "a card"},
		{Path: "lib/firmware/b", Mode: file, Data: []byte("else"), Group: "firmware"},
		{Path: "lib/firmware/c", Mode: file, Data: []byte("same"), Group: "firmware"},
		{Path: "lib/firmware/d", Mode: file | 0o100, Data: []byte("same"), Group: "firmware"},
		{Path: "lib/firmware/e", Mode: file, Data: []byte("same"), Group: "firmware", UID: 7},
		{Path: "etc/x", Mode: file, Data: []byte("same")},
		{Path: "etc/y", Mode: file, Data: []byte("same")},
	} {
		if err := tree.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	c, err := compress.New(context.Background(), compress.Spec{Method: compress.None})
	if err != nil {
		t.Fatal(err)
	}
	segments, err := Pack(context.Background(), tree, PackOptions{Compressor: c, Manifest: true})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, s := range segments {
		b = append(b, s.Frame...)
	}
	var got []string
	err = Walk(b, Limits{}, func(_ Part, h *cpio.Header, _ io.Reader) error {
		if h.Type() == cpio.TypeRegular && h.Name != ManifestPath && h.Name != IDPath {
			got = append(got, fmt.Sprintf("%s %d %d %d", h.Name, h.Nlink, h.UID, h.Size))
		}
		if h.Mtime != 0 || h.GID != 0 || h.DevMajor != 0 || h.DevMinor != 0 {
			t.Errorf("%+v", h)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"etc/x 1 0 4", "etc/y 1 0 4", "lib/firmware/a 2 0 0", "lib/firmware/c 2 0 4", "lib/firmware/b 1 0 4", "lib/firmware/d 1 0 4", "lib/firmware/e 1 7 4"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	var text strings.Builder
	for _, name := range []string{"lib/firmware/a", "lib/firmware/c"} {
		if err := Cat(&text, b, name, Limits{}); err != nil {
			t.Error(err)
		}
	}
	if text.String() != "samesame" {
		t.Errorf("%q", &text)
	}
	text.Reset()
	if err := Cat(&text, b, ManifestPath, Limits{}); err != nil {
		t.Fatal(err)
	}
	list, err := ParseManifest([]byte(text.String()))
	if err != nil || len(list) != 7 {
		t.Fatal(list, err)
	}
	const same = "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5" // sha256sum of "same"
	for _, e := range list {
		if other := e.Path == "lib/firmware/b"; (e.Sum == same) == other || len(e.Sum) != 64 {
			t.Errorf("%+v", e)
		}
	}
	text.Reset()
	if err := Cat(&text, b, IDPath, Limits{}); err != nil || len(text.String()) != 65 {
		t.Errorf("identity %q, %v", &text, err)
	}
	if list[2] != (ManifestEntry{"lib/firmware/a", same, "/lib/firmware/a", "a card"}) {
		t.Errorf("%+v", list[2])
	}
}

func TestManifestTakesAnyName(t *testing.T) {
	want := []ManifestEntry{{"a\tb", "", "-", `c\nd`}, {"-", "00", "x\ny", ""}, {`\-`, "", `\`, "é"}}
	got, err := ParseManifest(FormatManifest(want))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "x\n", manifestHead + "a\tb\n", manifestHead + "a\tb\tc\td\te\n"} {
		if _, err := ParseManifest([]byte(bad)); !errors.Is(err, ErrManifest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
