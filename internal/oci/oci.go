// Package oci reads images of the Open Container Initiative (image-spec 1.1: image
// layout, index, manifest, configuration), and Docker's manifests of version 2, which
// differ in their names only. It decides which of several images is for this machine,
// and what is believed. It is pure; package ocihelper is its edge.
package oci

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Bounds: of a document in bytes, of the images of an index, of the layers of an
// image, and of a layer in bytes.
const (
	MaxDocument = 4 << 20
	maxImages   = 1000
	maxLayers   = 500
	maxLayer    = 1 << 40
)

// LayoutFile and IndexFile are the documents of a layout, and IndexDepth how many
// indexes lead to an image at most.
const (
	LayoutFile = "oci-layout"
	IndexFile  = "index.json"
	IndexDepth = 4
)

// Digest is the name of a blob: "sha256:" and 64 small hexadecimal digits.
type Digest string

// Valid says whether it is one.
func (d Digest) Valid() bool {
	sum, ok := strings.CutPrefix(string(d), "sha256:")
	b, err := hex.DecodeString(sum)
	return ok && err == nil && len(b) == 32 && strings.ToLower(sum) == sum
}

// Sum is the hexadecimal half.
func (d Digest) Sum() string { return strings.TrimPrefix(string(d), "sha256:") }

// Path is where a layout has the blob.
func (d Digest) Path() string { return "blobs/sha256/" + d.Sum() }

// Platform is what an image runs on, by Go's names.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant"`
}

// String is the platform as it is usually written.
func (p Platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// Descriptor names a blob.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      Digest            `json:"digest"`
	Size        int64             `json:"size"` // bytes
	Platform    *Platform         `json:"platform"`
	Annotations map[string]string `json:"annotations"`
}

// kind is what a media type says.
type kind uint8

const (
	other kind = iota
	index
	manifest
)

func (d *Descriptor) kind() kind {
	switch d.MediaType {
	case "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json":
		return index
	case "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json":
		return manifest
	}
	return other
}

// IsIndex says whether it names an index, and not an image.
func (d *Descriptor) IsIndex() bool { return d.kind() == index }

// check says what is wrong with a descriptor of a blob of at most limit bytes.
func (d *Descriptor) check(limit int64) error {
	switch {
	case !d.Digest.Valid():
		return errors.New("a blob is named by no digest that is known, SHA-256: " + printable(string(d.Digest)))
	case d.Size < 0 || d.Size > limit:
		return errors.New("the blob " + string(d.Digest) + " is said to have " + strconv.FormatInt(d.Size, 10) + " bytes")
	}
	return nil
}

// decode reads a document. Fields that are not known mean nothing, as the
// specification wants it.
func decode(text []byte, to any) error {
	if len(text) > MaxDocument {
		return errors.New("it is longer than " + strconv.Itoa(MaxDocument) + " bytes")
	}
	return json.Unmarshal(text, to)
}

// ParseLayout reads oci-layout.
func ParseLayout(text []byte) error {
	var l struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := decode(text, &l); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(l.Version, "."); major != "1" {
		return errors.New("it is an image layout of the version " + printable(l.Version) + ", and not of 1")
	}
	return nil
}

// ParseIndex reads an index.
func ParseIndex(text []byte) ([]Descriptor, error) {
	var x struct {
		Schema    int          `json:"schemaVersion"`
		Manifests []Descriptor `json:"manifests"`
	}
	if err := decode(text, &x); err != nil {
		return nil, err
	}
	switch {
	case x.Schema != 2:
		return nil, errors.New("it is an index of the version " + strconv.Itoa(x.Schema) + ", and not of 2")
	case len(x.Manifests) > maxImages:
		return nil, errors.New("it lists more than " + strconv.Itoa(maxImages) + " images")
	}
	for i := range x.Manifests {
		if err := x.Manifests[i].check(MaxDocument); err != nil {
			return nil, err
		}
	}
	return x.Manifests, nil
}

// Choose returns the image of an index that is for a platform, or the index that
// leads to it. want is the digest of the one that is asked for, "" for any.
func Choose(list []Descriptor, p Platform, want Digest) (Descriptor, error) {
	var found []Descriptor
	var have []string
	for _, d := range list {
		if d.kind() == other {
			continue
		}
		if want != "" {
			if d.Digest == want {
				return d, nil
			}
			continue
		}
		if d.Annotations["vnd.docker.reference.type"] != "" { // says something of an image
			continue
		}
		if d.Platform != nil {
			have = append(have, printable(d.Platform.String()))
		}
		if d.Platform != nil && (d.Platform.OS != p.OS || d.Platform.Architecture != p.Architecture) {
			continue
		}
		if len(found) == 0 || found[0].Digest != d.Digest {
			found = append(found, d)
		}
	}
	switch {
	case want != "":
		return Descriptor{}, errors.New("there is no image with the digest " + string(want))
	case len(found) == 0 && len(have) == 0:
		return Descriptor{}, errors.New("there is no image")
	case len(found) == 0:
		return Descriptor{}, errors.New("there is no image for " + p.String() + ", but for " + strings.Join(have, ", "))
	case len(found) > 1:
		text := "there is more than one image for " + p.String() + ":"
		for i, d := range found {
			if i == 8 {
				text += " …"
				break
			}
			text += " " + string(d.Digest)
			if name := d.Annotations["org.opencontainers.image.ref.name"]; name != "" {
				text += " (" + printable(name) + ")"
			}
		}
		return Descriptor{}, errors.New(text)
	}
	return found[0], nil
}

// Packing is how a layer is compressed.
type Packing uint8

// The ways.
const (
	Plain Packing = iota
	Gzip
	Zstd
)

// Layer is one of an image.
type Layer struct {
	Descriptor
	Packing Packing
	// Diff is the digest of the archive that is in it.
	Diff Digest
}

// Manifest is an image: its configuration and layers, the lowest first.
type Manifest struct {
	Config Descriptor
	Layers []Layer
}

// ParseManifest reads a manifest.
func ParseManifest(text []byte) (m Manifest, err error) {
	var x struct {
		Schema int          `json:"schemaVersion"`
		Config Descriptor   `json:"config"`
		Layers []Descriptor `json:"layers"`
	}
	if err := decode(text, &x); err != nil {
		return m, err
	}
	switch {
	case x.Schema != 2:
		return m, errors.New("it is a manifest of the version " + strconv.Itoa(x.Schema) + ", and not of 2")
	case len(x.Layers) == 0:
		return m, errors.New("it has no layers")
	case len(x.Layers) > maxLayers:
		return m, errors.New("it has more than " + strconv.Itoa(maxLayers) + " layers")
	}
	if err := x.Config.check(MaxDocument); err != nil {
		return m, err
	}
	switch x.Config.MediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
	default:
		return m, errors.New("it is no image of a system, but of " + printable(x.Config.MediaType))
	}
	m.Config = x.Config
	for _, d := range x.Layers {
		if err := d.check(maxLayer); err != nil {
			return m, err
		}
		l := Layer{Descriptor: d}
		switch d.MediaType {
		case "application/vnd.oci.image.layer.v1.tar":
		case "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip":
			l.Packing = Gzip
		case "application/vnd.oci.image.layer.v1.tar+zstd":
			l.Packing = Zstd
		default:
			return m, errors.New("it has a layer of a kind that is not known: " + printable(d.MediaType))
		}
		m.Layers = append(m.Layers, l)
	}
	return m, nil
}

// Configure takes in the configuration: the platform of an image and the digests of
// what is in its layers.
func (m *Manifest) Configure(text []byte, p Platform) error {
	var x struct {
		Platform
		Root struct {
			Type  string   `json:"type"`
			Diffs []Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := decode(text, &x); err != nil {
		return err
	}
	switch {
	case x.OS != p.OS || x.Architecture != p.Architecture:
		return errors.New("the image is for " + printable(x.Platform.String()) + ", and this machine is " + p.String())
	case x.Root.Type != "layers" || len(x.Root.Diffs) != len(m.Layers):
		return errors.New("its configuration is of another number of layers")
	}
	for i, d := range x.Root.Diffs {
		if !d.Valid() {
			return errors.New("its configuration names a layer by no digest that is known")
		}
		m.Layers[i].Diff = d
	}
	return nil
}

// printable replaces what is not to be shown.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}
