package inputs

import "strings"

// Scrub leaves out the values of words that name a password, as they stand in
// the options of an fstab: "user=a,password=…".
func Scrub(s string) string {
	from := 0
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '=' || !names(s[:i]) {
			continue
		}
		end := i + 1
		stop := " \t\n,;&\"'"
		if end < len(s) && (s[end] == '"' || s[end] == '\'') {
			stop = s[end : end+1]
			end++
		}
		n := strings.IndexAny(s[end:], stop)
		if n < 0 {
			n = len(s) - end
		}
		if n > 0 {
			out = append(append(out, s[from:end]...), "…"...)
			from = end + n
			i = from - 1
		}
	}
	if out == nil {
		return s
	}
	return string(append(out, s[from:]...))
}

// names says whether the word at the end of s is the name of a password.
func names(s string) bool {
	i := len(s)
	for i > 0 && (s[i-1]|0x20 >= 'a' && s[i-1]|0x20 <= 'z' || s[i-1] >= '0' && s[i-1] <= '9' || s[i-1] == '_' || s[i-1] == '-' || s[i-1] == '.') {
		i--
	}
	if len(s)-i > 64 {
		return false
	}
	w := strings.ToLower(s[i:])
	return w == "pass" || strings.Contains(w, "passw") || strings.Contains(w, "passphrase") || strings.Contains(w, "secret")
}
