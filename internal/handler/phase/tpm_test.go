package phase

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// The command is TPM2_PCR_Event byte for byte as TPM 2.0 Part 3 lays it out; a real
// TPM is asked in the matrix (uki-measured).
func TestWire(t *testing.T) {
	want, _ := hex.DecodeString("8002000000290000013c0000000b00000009400000090000000000" + "000c" + hex.EncodeToString([]byte("enter-initrd")))
	if got := eventCommand(11, "enter-initrd"); !bytes.Equal(got, want) {
		t.Errorf("%x\n%x", got, want)
	}
}

// answer is one with the digests of banks.
func answer(count byte, digests string) []byte {
	b, err := hex.DecodeString("8002" + "00000000" + "00000000" + "00000000" + "000000" + hex.EncodeToString([]byte{count}) + strings.ReplaceAll(digests, " ", "") + "0000010000")
	if err != nil {
		panic(err)
	}
	b[5] = byte(len(b))
	return b
}

func TestAnswers(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	list, err := parseAnswer(answer(1, "000b"+sum))
	if err != nil || len(list) != 1 || list[0].bank != "sha256" || hex.EncodeToString(list[0].value) != sum {
		t.Errorf("%v, %v", list, err)
	}
	for says, b := range map[string][]byte{
		"cut off":                  {0x80, 1},
		"code 0x101":               {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1},
		"no list of digests":       {0x80, 2, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0},
		"no bank":                  answer(0, ""),
		"a digest that is not val": answer(2, "000b"+sum),
	} {
		if _, err := parseAnswer(b); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := parseAnswer(answer(1, "0099"+sum)); err == nil {
		t.Error("an algorithm that nobody knows was taken")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(answer(1, "000b"+strings.Repeat("ab", 32)))
	f.Add(answer(2, "0004"+strings.Repeat("ab", 20)+"000b"+strings.Repeat("cd", 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseAnswer(b)
		if err == nil && (len(list) == 0 || len(list) > maxBanks) {
			t.Errorf("%d digests", len(list))
		}
	})
}
