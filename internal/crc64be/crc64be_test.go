package crc64be

import "testing"

// The value that descriptions of CRC-64/WE give.
func TestSum(t *testing.T) {
	if got := Sum([]byte("123456789")); got != 0x62ec59e3f1a4f00a {
		t.Errorf("%#x", got)
	}
}
