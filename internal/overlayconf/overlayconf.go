// Package overlayconf reads the files of Debian's overlayroot,
// /etc/overlayroot.conf and /etc/overlayroot.local.conf. It is pure, and for the
// builder as well as for /init.
package overlayconf

import "strings"

// Files are where the root has them; of two the last that says something counts.
func Files() [2]string { return [2]string{"/etc/overlayroot.conf", "/etc/overlayroot.local.conf"} }

// Asks says whether a value of overlayroot= asks for an overlay, and whether
// for an encrypted one.
func Asks(value string) (overlay, crypt bool) {
	return value != "" && value != "disabled", value == "crypt" || strings.HasPrefix(value, "crypt:")
}

// WithoutPassword is a file with nothing but what it says, and without the
// password in that.
func WithoutPassword(text string) string {
	value, ok := Parse(text)
	if !ok {
		return ""
	}
	words := strings.Split(value, ",")
	for i, w := range words {
		before, _, has := strings.Cut(w, "pass=")
		if has && (before == "" || strings.HasSuffix(before, ":")) {
			words[i] = before + "pass=hidden"
		}
	}
	return "overlayroot='" + strings.Join(words, ",") + "'\n"
}

// Parse returns what a file says: the last assignment to
// overlayroot. It is a script of the shell to overlayroot; here it is nothing but
// assignments.
func Parse(text string) (value string, ok bool) {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		v, is := strings.CutPrefix(strings.TrimPrefix(line, "export "), "overlayroot=")
		if !is {
			continue
		}
		switch {
		case strings.HasPrefix(v, `"`), strings.HasPrefix(v, `'`):
			end := strings.IndexByte(v[1:], v[0])
			if end < 0 {
				continue
			}
			v = v[1 : 1+end]
		default:
			if i := strings.IndexAny(v, " \t;#"); i >= 0 {
				v = v[:i]
			}
		}
		value, ok = v, true
	}
	return value, ok
}
