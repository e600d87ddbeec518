package sbom

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"firstlight/internal/pkgdb"
)

// The document has what SPDX 2.3 asks for, and is the same whatever the order of
// the files.
func TestSPDX(t *testing.T) {
	libc := &pkgdb.Package{Manager: "deb", Vendor: "debian", Name: "libc6", Version: "2.36-9+deb12u4", Arch: "amd64", From: "A Team <a@b.org>"}
	file := func(p, text string, of *pkgdb.Package) File {
		return File{Path: p, SHA1: sha1.Sum([]byte(text)), SHA256: sha256.Sum256([]byte(text)), Source: "/" + p, Why: "because", Package: of, Kind: "BINARY"}
	}
	files := []File{file("lib/b", "b", libc), file("lib/a", "a", libc), file("init", "i", nil)}
	im := Image{Name: "x.img", Kernel: "6.1", Sum: sha256.Sum256([]byte("x")), Builder: "1", Created: time.Unix(1700000000, 0), Files: files, Hidden: 1}
	b, err := SPDX(im)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(im.Files)
	if again, _ := SPDX(im); !bytes.Equal(again, b) {
		t.Error("another order gives another document")
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.Version != "SPDX-2.3" || d.License != "CC0-1.0" || d.ID != "SPDXRef-DOCUMENT" || d.Creation.Created != "2023-11-14T22:13:20Z" || d.Comment == "" {
		t.Errorf("%+v", d)
	}
	if len(d.Packages) != 2 || d.Packages[1].External[0].Locator != "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64" || d.Packages[1].Supplier != "Organization: A Team (a@b.org)" {
		t.Errorf("%+v", d.Packages)
	}
	// for c in a b i; do printf $c | sha1sum; done | cut -c1-40 | sort | tr -d '\n' | sha1sum
	if v := d.Packages[0].Verification; v == nil || v.Value != "62857d4440c1f900e5b05eb9f1ee583357b2431c" {
		t.Errorf("%+v", v)
	}
	ids := map[string]bool{d.ID: true}
	for _, p := range d.Packages {
		ids[p.ID] = true
	}
	for _, f := range d.Files {
		if ids[f.ID] = true; f.Checksums[0].Algorithm != "SHA1" || f.Name[:2] != "./" {
			t.Errorf("%+v", f)
		}
	}
	kinds := map[string]int{}
	for _, r := range d.Relationships {
		if kinds[r.Type]++; !ids[r.From] || !ids[r.To] {
			t.Errorf("%+v", r)
		}
	}
	if kinds["DESCRIBES"] != 1 || kinds["CONTAINS"] != 3 || kinds["GENERATED_FROM"] != 3 {
		t.Errorf("%v", kinds)
	}
}
