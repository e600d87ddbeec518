package cli

import (
	"slices"
	"strings"

	"firstlight/internal/handler/stubfiles"
	"firstlight/internal/image"
	"firstlight/internal/uki/measure"
)

// pathsWith are the points of the boot that there are with these archives: the
// small initramfs of Firstlight, without the feature uki, does not measure that it is
// entered and left.
func pathsWith(initrds [][]byte) []measure.Path {
	for _, b := range initrds {
		var info strings.Builder
		if image.Cat(&info, b, "/etc/firstlight/image", image.Limits{}) != nil {
			continue
		}
		for line := range strings.Lines(info.String()) {
			if list, ok := strings.CutPrefix(line, "features="); ok && slices.Contains(strings.Fields(list), stubfiles.Feature) {
				return measure.Paths()
			}
		}
		return []measure.Path{"", "sysinit", "sysinit:ready"}
	}
	return measure.Paths()
}
