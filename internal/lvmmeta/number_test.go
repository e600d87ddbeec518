package lvmmeta

import (
	"errors"
	"strconv"
	"testing"
)

// Every word of up to five of these characters is a number to isDecimal if it
// is one to strconv, too large or not.
func TestDecimalsAreThoseOfStrconv(t *testing.T) {
	const alphabet = "+-.eE07"
	var try func(word string)
	try = func(word string) {
		_, err := strconv.ParseFloat(word, 64)
		want := err == nil || errors.Is(err, strconv.ErrRange)
		if got := isDecimal(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
		if len(word) < 5 {
			for i := range len(alphabet) {
				try(word + alphabet[i:i+1])
			}
		}
	}
	try("")
}
