package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	kindManifest = "application/vnd.oci.image.manifest.v1+json"
	kindIndex    = "application/vnd.oci.image.index.v1+json"
)

var linux = Platform{OS: "linux", Architecture: "amd64"}

func digestOf(c string) Digest { return Digest("sha256:" + strings.Repeat(c, 64)) }

func TestTheImageOfThisMachineIsChosen(t *testing.T) {
	of := func(c, os, arch string) Descriptor {
		return Descriptor{MediaType: kindManifest, Digest: digestOf(c), Platform: &Platform{OS: os, Architecture: arch}}
	}
	any := Descriptor{MediaType: kindManifest, Digest: digestOf("a")}
	proof := of("d", "linux", "amd64")
	proof.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	for name, c := range map[string]struct {
		list []Descriptor
		want Digest
		got  string
	}{
		"the only one":          {[]Descriptor{any}, "", string(any.Digest)},
		"by platform":           {[]Descriptor{of("1", "linux", "arm64"), of("2", "linux", "amd64"), of("3", "windows", "amd64")}, "", string(digestOf("2"))},
		"not what says of it":   {[]Descriptor{proof, of("2", "linux", "amd64")}, "", string(digestOf("2"))},
		"by digest":             {[]Descriptor{of("1", "linux", "arm64"), of("2", "linux", "amd64")}, digestOf("1"), string(digestOf("1"))},
		"none of that digest":   {[]Descriptor{any}, digestOf("b"), "no image with the digest"},
		"none for this machine": {[]Descriptor{of("1", "linux", "arm64")}, "", "no image for linux/amd64, but for linux/arm64"},
		"none at all":           {nil, "", "there is no image"},
		"several":               {[]Descriptor{of("1", "linux", "amd64"), of("2", "linux", "amd64")}, "", "more than one image"},
		"the same twice":        {[]Descriptor{of("1", "linux", "amd64"), of("1", "linux", "amd64")}, "", string(digestOf("1"))},
		"of a kind not known":   {[]Descriptor{{MediaType: "text/plain", Digest: digestOf("a")}}, "", "there is no image"},
	} {
		d, err := Choose(c.list, linux, c.want)
		if got := string(d.Digest) + fmt.Sprint(err); !strings.Contains(got, c.got) || err == nil && string(d.Digest) != c.got {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestDocumentsThatCannotBeAreRefused(t *testing.T) {
	d := string(digestOf("a"))
	layer := func(kind, digest, size string) string {
		return `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + d + `","size":2},"layers":[{"mediaType":"` + kind + `","digest":"` + digest + `","size":` + size + `}]}`
	}
	const plain = "application/vnd.oci.image.layer.v1.tar"
	if m, err := ParseManifest([]byte(layer(plain+"+zstd", d, "7"))); err != nil || m.Layers[0].Packing != Zstd {
		t.Errorf("%+v, %v", m, err)
	}
	for says, text := range map[string]string{
		"of a kind":     layer(plain+"+lz4", d, "7"),
		"no digest":     layer(plain, "sha512:aa", "7"),
		"-7 bytes":      layer(plain, d, "-7"),
		"version 1":     strings.Replace(layer(plain, d, "7"), ":2", ":1", 1),
		"no image of":   strings.Replace(layer(plain, d, "7"), "image.config", "helm.chart", 1),
		"no layers":     `{"schemaVersion":2,"layers":[]}`,
		"more than 500": layer(plain, d, "7}"+strings.Repeat(`,{"size":1}`, 499)+`,{"size":1`),
	} {
		if _, err := ParseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q: %v", says, err)
		}
	}
	m, err := ParseManifest([]byte(layer(plain, d, "7")))
	if err != nil {
		t.Fatal(err)
	}
	for says, text := range map[string]string{
		"":                   `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + d + `"]}}`,
		"is for linux/arm64": `{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":["` + d + `"]}}`,
		"another number":     `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`,
		"no digest that is":  `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["x"]}}`,
	} {
		if err := m.Configure([]byte(text), linux); err == nil && says != "" || err != nil && (says == "" || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

func TestNamesOfEntries(t *testing.T) {
	for name, want := range map[string]string{
		"./a//b/c":               "0 [a b] c",
		"/":                      "0 [] ",
		"a/.wh.b":                "1 [a] b",
		"a/.wh..wh..opq":         "2 [a] ",
		".wh..wh.plnk":           "3 [] .wh..wh.plnk",
		"a/../b":                 "error",
		"a/.wh.":                 "error",
		"a/.wh...":               "error",
		".wh.a/b":                "error",
		"a\x00b":                 "error",
		strings.Repeat("a", 256): "error",
	} {
		e, err := ParseEntry(name)
		got := fmt.Sprintf("%d %v %s", e.Mark, e.Dir, e.Name)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func TestLinksStayInTheRoot(t *testing.T) {
	links := map[string]string{"bin": "usr/bin", "abs": "/etc", "up": "../../../..", "loop": "loop", "a/b": "../abs/x"}
	for p, want := range map[string]string{
		"bin/x": "usr/bin/x", "abs": "etc", "up/etc": "etc", "a/b/c": "etc/x/c", "loop/x": "error", "none/x": "none/x",
	} {
		got, err := Resolve(strings.Split(p, "/"), func(p string) (string, error) { return links[p], nil })
		text := strings.Join(got, "/")
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%s leads to %s", p, text)
		}
	}
	if _, err := Resolve([]string{"a"}, func(string) (string, error) { return "", errors.New("x") }); err == nil {
		t.Error("an error is lost")
	}
}

// Documents come from a server, and are verified by nothing where anything is taken.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"imageLayoutVersion":"1.0.0"}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"` + kindIndex + `","digest":"` + string(digestOf("a")) + `","size":3,"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + string(digestOf("b")) + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + string(digestOf("c")) + `","size":9}]}`))
	f.Add([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + string(digestOf("a")) + `"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = ParseLayout(text)
		if list, err := ParseIndex(text); err == nil {
			if d, err := Choose(list, linux, ""); err == nil && (!d.Digest.Valid() || strings.ContainsAny(d.Digest.Path(), ".\n") || d.Size > MaxDocument) {
				t.Errorf("%q was chosen", d.Digest)
			}
		}
		m, err := ParseManifest(text)
		if err != nil {
			m = Manifest{Layers: make([]Layer, 1)}
		}
		for _, l := range m.Layers {
			if l.Size < 0 || err == nil && !l.Digest.Valid() {
				t.Errorf("%+v", l)
			}
		}
		if err := m.Configure(text, linux); err == nil && !m.Layers[0].Diff.Valid() {
			t.Errorf("%+v", m)
		}
	})
}

// A name of an archive, and a link, lead to nothing that is not below the root.
func FuzzEntry(f *testing.F) {
	f.Add("a/../b", "../c")
	f.Add("usr/.wh.bin", "/etc")
	f.Fuzz(func(t *testing.T, name, link string) {
		e, err := ParseEntry(name)
		if err != nil {
			return
		}
		bad := func(parts []string) bool {
			return slices.ContainsFunc(parts, func(p string) bool { return p == "" || p == "." || p == ".." || strings.ContainsAny(p, "/\x00") })
		}
		if bad(e.Dir) || e.Name != "" && bad([]string{e.Name}) || e.Mark == Whiteout && e.Name == "" {
			t.Errorf("%q: %+v", name, e)
		}
		if strings.Contains(link, "\x00") {
			return
		}
		if at, err := Resolve(e.Dir, func(p string) (string, error) {
			if p == "a" || strings.HasSuffix(p, "/a") {
				return link, nil
			}
			return "", nil
		}); err == nil && bad(at) {
			t.Errorf("%q, %q: %q", name, link, at)
		}
	})
}
