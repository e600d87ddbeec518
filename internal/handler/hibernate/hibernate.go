// Package hibernate finds a hibernated system by what systemd-sleep(8) has left
// in the firmware's variable HibernateLocation, where resume= is not given. It
// only reads: systemd-hibernate-clear.service of the real system forgets it.
package hibernate

import (
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/handler/efivar"
	"firstlight/internal/luksfmt/jsontree"
	"firstlight/internal/ueventd"
)

// The variable and its bound, in bytes.
const (
	variable = "HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
	maxText  = 16 << 10
)

// New registers the handler.
func New(w *handler.World) {
	if !w.Image.Has("resume-efi") {
		return
	}
	w.FindResume = func(t *ueventd.Task) error {
		text, err := efivar.Read(t, "read whether a system is hibernated", variable, maxText)
		if err != nil || text == "" {
			return err
		}
		l, err := Parse(text)
		if err != nil {
			w.Say(handler.Loud, "the EFI variable HibernateLocation is not systemd's: "+err.Error()+"; nothing is resumed")
			return nil
		}
		r := &w.Config.Resume
		r.Device, r.Offset, r.OffsetSet = devspec.Spec{Kind: devspec.UUID, Value: l.UUID}, l.Offset, l.Offset != 0
		t.Record("decision", fmt.Sprintf("look for a hibernated system (kernel %s) on UUID=%s, page %d, as the firmware says", l.Kernel, l.UUID, l.Offset))
		return nil
	}
}

// Location is where a system is hibernated.
type Location struct {
	UUID   string // of the swap area, or of the filesystem with the swap file
	Offset uint64 // in pages; 0 is a swap area
	Kernel string // its release
}

// Parse reads the variable's text, a JSON object with at least uuid and offset.
func Parse(text string) (Location, error) {
	v, err := jsontree.Parse([]byte(text), jsontree.Limits{Depth: 4, Values: 64})
	if err != nil {
		return Location{}, err
	}
	var l Location
	uuid, ok := v.Get("uuid").Str()
	if !ok {
		return l, fmt.Errorf("no uuid")
	}
	spec, err := devspec.Parse("UUID=" + uuid)
	if err != nil {
		return l, fmt.Errorf("uuid: %w", err)
	}
	l.UUID = spec.Value
	if l.Offset, ok = v.Get("offset").Uint(); !ok {
		return l, fmt.Errorf("no offset")
	}
	l.Kernel, _ = v.Get("kernelVersion").Str()
	l.Kernel = strings.ToValidUTF8(l.Kernel, "?")
	return l, nil
}
