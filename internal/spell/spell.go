// Package spell finds the known word that an unknown one was probably meant
// to be, for messages that say "did you mean …?". It is pure.
package spell

// maxWord bounds the words that are compared, in bytes: nothing that people
// type as a name is longer, and the cost grows with the square.
const maxWord = 64

// Distance is how many letters have to be put in, taken out, replaced or
// swapped with their neighbour to turn a into b. Of words that are too long
// to be compared it is maxWord.
func Distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var rows [3][maxWord + 1]int
	two, one, cur := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(one[j]+1, cur[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], two[j-2]+1)
			}
		}
		two, one, cur = one, cur, two
	}
	return one[len(b)]
}
