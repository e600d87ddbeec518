// Package timespan reads spans of time as people write them on the kernel
// command line, in fstab and in crypttab: seconds, or systemd.time(7)'s
// notation.
package timespan

import (
	"errors"
	"math"
	"strings"
	"time"
)

// Forever is the span that does not end ("infinity").
const Forever = time.Duration(math.MaxInt64)

// units are those of systemd.time(7), with its years of 365.25 days.
var units = [...]struct {
	names string
	span  time.Duration
}{
	{" s sec second seconds ", time.Second},
	{" ms msec ", time.Millisecond},
	{" us usec µs μs ", time.Microsecond},
	{" ns nsec ", time.Nanosecond},
	{" m min minute minutes ", time.Minute},
	{" h hr hour hours ", time.Hour},
	{" d day days ", 24 * time.Hour},
	{" w week weeks ", 7 * 24 * time.Hour},
	{" M month months ", 2629800 * time.Second},
	{" y year years ", 31557600 * time.Second},
}

var (
	errEmpty  = errors.New("no time is given")
	errNumber = errors.New("not a time such as 90, 90s or 1min30s")
	errRange  = errors.New("time is too long")
)

// Parse reads "90" (seconds), "1.5", "90s", "1min 30s", "2h", "infinity". A
// negative, an unknown unit and a span beyond 292 years are errors.
func Parse(text string) (time.Duration, error) {
	s := strings.TrimSpace(text)
	if s == "" {
		return 0, errEmpty
	}
	if s == "infinity" {
		return Forever, nil
	}
	var total time.Duration
	for s != "" {
		whole, frac, rest, err := number(s)
		if err != nil {
			return 0, err
		}
		rest = strings.TrimLeft(rest, " \t")
		n := 0
		for n < len(rest) && rest[n] != ' ' && rest[n] != '\t' && rest[n] != '.' && (rest[n] < '0' || rest[n] > '9') {
			n++
		}
		span, ok := unit(rest[:n])
		if !ok {
			return 0, errors.New("unknown unit of time " + rest[:n])
		}
		s = strings.TrimLeft(rest[n:], " \t")
		if whole > int64(math.MaxInt64/span) {
			return 0, errRange
		}
		part := time.Duration(whole) * span
		// frac is in 1e-9 of the unit; the product is taken in parts so as
		// not to overflow for years.
		part2 := span/1_000_000_000*time.Duration(frac) + span%1_000_000_000*time.Duration(frac)/1_000_000_000
		if part > Forever-1-part2 || total > Forever-1-part-part2 {
			return 0, errRange
		}
		total += part + part2
	}
	return total, nil
}

// number takes a decimal with an optional fraction from the front of s; frac
// is the fraction in units of 1e-9, further digits are dropped.
func number(s string) (whole, frac int64, rest string, err error) {
	i := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if whole > (math.MaxInt64-9)/10 {
			return 0, 0, "", errRange
		}
		whole = whole*10 + int64(s[i]-'0')
	}
	digits := i
	if i < len(s) && s[i] == '.' {
		i++
		for scale := int64(100_000_000); i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			frac += int64(s[i]-'0') * scale
			scale /= 10
			digits++
		}
	}
	if digits == 0 {
		return 0, 0, "", errNumber
	}
	return whole, frac, s[i:], nil
}

func unit(name string) (time.Duration, bool) {
	if name == "" {
		return time.Second, true
	}
	for i := range units {
		if strings.Contains(units[i].names, " "+name+" ") {
			return units[i].span, true
		}
	}
	return 0, false
}
