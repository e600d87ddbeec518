// Package order sorts in little code. slices.Sort is compiled anew for each kind
// of element, ten kilobytes of /init each; what is sorted there are some dozen
// names.
package order

// gaps are the distances between the elements that are compared, after Ciura.
var gaps = [...]int{3905, 1750, 701, 301, 132, 57, 23, 10, 4, 1}

// Strings sorts a list in place, by bytes.
func Strings(list []string) {
	for _, gap := range gaps {
		for i := gap; i < len(list); i++ {
			s, j := list[i], i
			for ; j >= gap && s < list[j-gap]; j -= gap {
				list[j] = list[j-gap]
			}
			list[j] = s
		}
	}
}

// Keys returns the keys of a map, sorted.
func Keys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	Strings(keys)
	return keys
}
