package bootcmd

import "strings"

// Names returns every parameter that has an effect, in the table's order, by
// the name that documents give it, and then those that handlers read.
func Names() []string {
	out := make([]string, 0, len(table)+len(rare))
	for i := range table {
		out = append(out, table[i].name)
	}
	for i := range rare {
		out = append(out, rare[i].name)
	}
	for name := range strings.FieldsSeq(ofHandlers) {
		out = append(out, strings.ReplaceAll(name, "_", "-"))
	}
	for _, a := range Areas() {
		if a.Feature != "" {
			out = append(out, a.Names...)
		}
	}
	return out
}

// Spelling is another name of a parameter.
type Spelling struct {
	Old, Name string
	Value     string // what the bare old name stands for, "" if its value is handed on
	Obsolete  bool   // using it is reported
}

// Spellings returns all other names of parameters.
func Spellings() []Spelling {
	out := make([]Spelling, len(aliases))
	for i, a := range aliases {
		value, old := strings.CutPrefix(a.value, "!")
		out[i] = Spelling{a.old, a.name, value, old}
	}
	return out
}

// Area is a subject whose parameters are known and not supported yet, or only
// by an image with a feature.
type Area struct {
	Subject string
	Feature string // that an image needs for it; "" where it is not supported
	Names   []string
}

// Areas returns what is known and not supported yet; using any of these
// parameters is reported.
func Areas() []Area {
	out := make([]Area, len(areas))
	for i := range areas {
		subject, feature, _ := strings.Cut(areas[i].area, "@")
		out[i] = Area{subject, feature, strings.Fields(areas[i].names)}
	}
	return out
}

// Elsewhere says whether a parameter is known to be for somebody else: the
// kernel, the real system, or a handler that reads it by itself.
func Elsewhere(name string) bool { return isElsewhere(name) }

// OfHandlers are the parameters that handlers of the full /init read by
// themselves, by the name that documents give them.
func OfHandlers() []string {
	var out []string
	for i := range rare {
		out = append(out, rare[i].name)
	}
	for name := range strings.FieldsSeq(ofHandlers) {
		out = append(out, strings.ReplaceAll(name, "_", "-"))
	}
	return out
}
