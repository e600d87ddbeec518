package uki

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/image/pe"
	"firstlight/internal/uki/measure"
)

// Image is an image or an addon that was taken apart.
type Image struct {
	Machine  pe.Machine
	Base     []Section // what all profiles share, without the code
	Profiles []Profile // the first holds what is the default's own
	known    []string
}

// Parse takes an image apart.
func Parse(b []byte) (*Image, error) {
	p, err := pe.Parse(b)
	if err != nil {
		return nil, err
	}
	i := &Image{Machine: p.Machine}
	if i.known, err = Known(b); err != nil {
		return nil, err
	}
	for _, h := range p.Headers {
		if !slices.Contains(stubSections(), h.Name) {
			continue
		}
		s := Section{h.Name, h.Content(b)}
		if h.Name == ".profile" {
			i.Profiles = append(i.Profiles, nil)
		}
		if n := len(i.Profiles); n > 0 {
			i.Profiles[n-1] = append(i.Profiles[n-1], s)
		} else {
			i.Base = append(i.Base, s)
		}
	}
	return i, nil
}

// ReadProfile returns what an image that is a profile has to be joined to
// another.
func ReadProfile(b []byte) (Profile, error) {
	i, err := Parse(b)
	if err != nil {
		return nil, err
	}
	if len(i.Profiles) != 1 {
		return nil, fmt.Errorf("an image with %d sections .profile is not one profile: %w", len(i.Profiles), ErrInvalid)
	}
	// The stub has a .sbat in front of it, which is the stub's own.
	return slices.DeleteFunc(i.Profiles[0], func(s Section) bool { return s.Name == ".pcrsig" || s.Name == ".pcrpkey" }), nil
}

// Effective is what counts for a profile, 0 being the default: its own sections,
// and of those that all share the rest.
func (i *Image) Effective(profile int) []Section {
	var own Profile
	if profile < len(i.Profiles) {
		own = i.Profiles[profile]
	}
	var out []Section
	for _, s := range i.Base {
		if !slices.ContainsFunc(own, func(o Section) bool { return o.Name == s.Name }) {
			out = append(out, s)
		}
	}
	return append(out, own...)
}

// Section returns what counts for a profile under a name.
func (i *Image) Section(profile int, name string) ([]byte, bool) {
	for _, s := range i.Effective(profile) {
		if s.Name == name {
			return s.Data, true
		}
	}
	return nil, false
}

// Count is the number of ways to start the image: its profiles, or one.
func (i *Image) Count() int { return max(len(i.Profiles), 1) }

// Name is a profile's: the value of ID= in it, "" if it has none.
func (i *Image) Name(profile int) string {
	if profile >= len(i.Profiles) {
		return ""
	}
	return Field(i.Profiles[profile][0].Data, "ID")
}

// Field is the value of a variable in a text of the form of os-release.
func Field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

// Measured is what the stub measures of a profile: one image for each device tree
// that it may choose.
func (i *Image) Measured(profile int) []measure.Image {
	return images(i.Effective(profile), nil, i.known)
}

// Digest is the hash of a section's content.
func (s Section) Digest() []byte {
	h := crypto.SHA256.New()
	h.Write(s.Data)
	return h.Sum(nil)
}

// Text returns the content of a section that is text, and says whether it is.
func (s Section) Text() (string, bool) {
	switch s.Name {
	case ".cmdline", ".osrel", ".uname", ".sbat", ".pcrpkey", ".pcrsig", ".profile":
		return string(bytes.TrimRight(s.Data, "\x00")), true
	}
	return "", false
}
