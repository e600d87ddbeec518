package bootcmd

// ProblemKind says what is wrong with a parameter.
type ProblemKind uint8

// The kinds of problems.
const (
	Unknown     ProblemKind = iota // nobody knows the parameter
	Malformed                      // its value cannot be read; it has no effect
	Deprecated                     // it has an effect, and a newer spelling
	NotYet                         // known, but Firstlight cannot do it yet
	Conflicting                    // it takes the effect of others away
)

// String is a word for the kind: "unknown", "malformed" …
func (k ProblemKind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case Malformed:
		return "malformed"
	case Deprecated:
		return "deprecated"
	case NotYet:
		return "not supported"
	}
	return "conflicting"
}

// Problem is something the person who wrote the command line ought to know.
// Each parameter and value is reported once.
type Problem struct {
	Kind   ProblemKind
	Source string // where it stands: "/proc/cmdline"
	Param  string // as written
	Value  string // as written, or "…" if it holds a secret
	Reason string // why, for a sentence
	// Nearest is the known parameter with the most similar name, for an
	// Unknown; the new spelling, for a Deprecated; the feature of an image that
	// has it, for a NotYet. It may be empty.
	Nearest string
}

// String is one line for a person: what is wrong, where, and what to try.
func (p Problem) String() string {
	s := p.Source + ": " + p.Param
	if p.Value != "" {
		s += "=" + p.Value
	}
	s += ": " + p.Reason
	if p.Nearest != "" {
		switch p.Kind {
		case Deprecated:
			s += "; write " + p.Nearest
		case NotYet:
			s += "; rebuild it with --feature " + p.Nearest
		default:
			s += "; did you mean " + p.Nearest + "?"
		}
	}
	return s
}
