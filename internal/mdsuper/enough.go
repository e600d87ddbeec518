package mdsuper

// Enough says whether the kernel can start an array of the level and layout
// with the slots that are available, leaving dirt aside. For RAID10 each group
// of slots that holds the copies of one chunk needs one of them.
func Enough(l Level, layout uint32, avail []bool) bool {
	n, have := len(avail), 0
	for _, ok := range avail {
		if ok {
			have++
		}
	}
	switch l {
	case Linear, 0:
		return have == n
	case 1:
		return have >= 1
	case 4, 5:
		return have >= n-1
	case 6:
		return have >= n-2
	case 10:
		near, far := int(layout&0xff), int(layout>>8&0xff)
		if near == 0 || far == 0 || near*far > n {
			return false
		}
		for first := 0; ; {
			found := false
			for k := range near * far {
				found = found || avail[(first+k)%n]
			}
			if !found {
				return false
			}
			if first = (first + near) % n; first == 0 {
				return true
			}
		}
	}
	return false
}
