package inputs

import "strings"

// Scrub leaves out the values of words that name a password, as they stand in
// the options of an fstab: "user=a,password=…".
func Scrub(s string) string {
	const stops = " \t\n,;&\"'"
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '=') + from
		if i < from {
			return s
		}
		from = i + 1
		start := i
		for start > 0 && strings.IndexByte(stops, s[start-1]) < 0 {
			start--
		}
		w := strings.ToLower(s[start:i])
		if w != "pass" && !strings.Contains(w, "passw") && !strings.Contains(w, "passphrase") && !strings.Contains(w, "secret") {
			continue
		}
		stop := stops
		if from < len(s) && (s[from] == '"' || s[from] == '\'') {
			stop = s[from : from+1]
			from++
		}
		end := strings.IndexAny(s[from:], stop) + from
		if end < from {
			end = len(s)
		}
		if end > from {
			s = s[:from] + "…" + s[end:]
		}
	}
}
