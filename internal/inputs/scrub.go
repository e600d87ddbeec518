package inputs

import "strings"

// settings are the words of crypttab(5) that name no password but how one is
// asked for.
const settings = " password-echo password-cache try-empty-password "

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
		w = w[strings.LastIndexByte(w, '=')+1:] // rd.luks.options=password-echo=no
		if strings.Contains(settings, " "+w+" ") || w != "pass" && !strings.Contains(w, "passw") && !strings.Contains(w, "passphrase") && !strings.Contains(w, "secret") {
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
