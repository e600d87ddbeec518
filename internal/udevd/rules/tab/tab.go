// Package tab is the layout of a compiled rule table: what the compiler
// writes and the evaluator reads. It holds declarations only.
//
// A table is one block of bytes, little endian, with records of fixed sizes:
//
//	0   magic, 8 bytes
//	8   version, u32
//	12  CRC-32 (IEEE) of everything from byte 16 on, u32
//	16  NumSections × (offset u32 from the start of the table, count u32)
//	…   the sections, in order, without gaps
//
// Everything that refers to a record does so by its index.
package tab

// Identification and sizes of the fixed parts, in bytes.
const (
	Magic      = "FLRULES\n"
	Version    = 1
	HeaderSize = 16 + NumSections*8
	// MaxSize bounds a table. All rules of a large distribution take well
	// under a megabyte.
	MaxSize = 16 << 20
)

// Sections, in the order in which they are stored.
const (
	Pool     = iota // bytes: all strings, one after the other
	Strings         // u32: where string i starts in the pool; one more entry than strings
	Files           // u32: string index, the name of a rules file
	Lines           // rules, see LineSize
	Tokens          // keys of rules, see TokenSize
	Patterns        // alternatives of match keys, see PatternSize
	Segments        // parts of values with substitutions, see SegmentSize
	Classes         // what applies to a subsystem, see ClassSize
	Lists           // (first u32, count u32) in Index
	Index           // u32: line index
	Static          // OPTIONS="static_node=…", see StaticSize
	NumSections
)

// RecordSize has the size of one record of each section, in bytes.
var RecordSize = [NumSections]int{1, 4, 4, LineSize, TokenSize, PatternSize, SegmentSize, ClassSize, 8, 4, StaticSize}

// LineSize is the size of a rule:
//
//	0   first token, u32
//	4   number of tokens, u16
//	6   Has… flags, u16
//	8   index of the line that GOTO leads to, u32; NoLine without one;
//	    the number of lines for the end of the rules
//	12  file, u16
//	14  zero, u16
//	16  line number in the file, u32
const LineSize = 20

// NoLine stands for "no GOTO".
const NoLine = 1<<32 - 1

// Flags of a line: what it needs of the device to be worth looking at.
const (
	HasName    = 1 << iota // NAME=: network interfaces only
	HasDevlink             // SYMLINK=, OWNER=, GROUP=, MODE=: only with a node, not at "remove"
	HasGoto                // GOTO=
	HasUpdate              // any other assignment, PROGRAM or IMPORT
)

// TokenSize is the size of a key of a rule:
//
//	0   Kind, u8
//	1   Op, u8
//	2   Match, u8: how the patterns are to be read
//	3   flags, u8
//	4   attr, u32: string index of what stands in {}, or its first segment
//	    (AttrFormat), or a number (mode, uid, gid, priority, level, switch)
//	8   value, u32: first pattern, first segment, or string index
//	12  number of patterns or segments of the value, u16
//	14  number of segments of attr (AttrFormat), u16; for a builtin that runs
//	    once per event: its bit, 1 to 64
const TokenSize = 16

// Kind is the kind of a key. The order is that in which the keys of one rule
// are looked at, whatever their order in the text: udev sorts them so.
type Kind uint8

// Kinds of match keys, then of assignments.
const (
	MAction Kind = iota
	MDevpath
	MKernel
	MSymlink
	MName
	MEnv
	MConst
	MTag
	MSubsystem
	MDriver
	MAttr
	MSysctl
	MKernels
	MSubsystems
	MDrivers
	MAttrs
	MTags
	MTest
	MProgram
	MImportFile
	MImportProgram
	MImportBuiltin
	MImportDB
	MImportCmdline
	MImportParent
	MResult

	ADump
	AEscapeNone
	AEscapeReplace
	ADBPersist
	AWatch
	ALinkPriority
	ALogLevel
	AOwner
	AGroup
	AMode
	AOwnerID
	AGroupID
	AModeID
	ATag
	AStaticNode
	ASeclabel
	AEnv
	AName
	ASymlink
	AAttr
	ASysctl
	ARunBuiltin
	ARunProgram
	NumKinds
)

// IsMatch says whether the key is a condition (IMPORT and PROGRAM are).
func (k Kind) IsMatch() bool { return k <= MResult }

// OfParents says whether the key is one that has to hold, together with the
// others of its rule, for one device on the way up.
func (k Kind) OfParents() bool { return k >= MKernels && k <= MTags }

// HasPatterns says whether the value of the key is a list of patterns.
func (k Kind) HasPatterns() bool { return k < MTest || k == MResult }

// HasFormat says whether the value of the key may hold substitutions.
func (k Kind) HasFormat() bool {
	switch k {
	case MTest, MProgram, MImportFile, MImportProgram, MImportBuiltin, MImportParent,
		AOwner, AGroup, AMode, ATag, ASeclabel, AEnv, AName, ASymlink, AAttr, ASysctl, ARunBuiltin, ARunProgram:
		return true
	}
	return false
}

// HasString says whether the value of the key is one string, taken as it is.
func (k Kind) HasString() bool { return k == MImportDB || k == MImportCmdline || k == AStaticNode }

// HasAttr says whether the key carries a string in {}.
func (k Kind) HasAttr() bool {
	switch k {
	case MEnv, MConst, MAttr, MSysctl, MAttrs, ASeclabel, AEnv, AAttr, ASysctl:
		return true
	}
	return false
}

// AttrCanFormat says whether what stands in {} may hold substitutions.
func (k Kind) AttrCanFormat() bool {
	return k == MAttr || k == MAttrs || k == MSysctl || k == ASysctl
}

// Op is the operator of a key.
type Op uint8

// Operators.
const (
	Match   Op = iota // ==
	NoMatch           // !=
	Add               // +=
	Remove            // -=
	Assign            // =
	Final             // :=
	NumOps
)

// How the patterns of a match key are to be read.
const (
	MatchEmpty     = iota // the empty string
	MatchAny              // one of the patterns
	MatchAnyEmpty         // one of the patterns, or the empty string
	MatchSubsystem        // "subsystem", "bus" or "class"
	NumMatches
)

// Flags of a token.
const (
	Fold       = 1 << iota // i"…": letters of either case are equal
	StripSpace             // trailing white space of the attribute is not looked at
	AttrFormat             // what stands in {} holds substitutions: attr is a segment
	AttrSubsys             // what stands in {} has the form [subsystem/sysname]attribute
	NoMode                 // TEST without a mode
)

// PatternSize is the size of a pattern: PatternKind u32, string index u32.
const PatternSize = 8

// Kinds of patterns, so that the common ones need no glob matching.
const (
	Exact  = iota // the string
	Prefix        // the string and whatever follows
	Glob          // a shell pattern
	NumPatternKinds
)

// SegmentSize is the size of a part of a value: kind u8, flags u8 (1: the
// "+" of $result{N+}), zero u16, string index (the literal, or what stands
// in {}) or number (of $result) u32.
const SegmentSize = 8

// Kinds of segments.
const (
	Literal = iota
	SubDevnode
	SubAttr
	SubEnv
	SubKernel
	SubNumber
	SubDriver
	SubDevpath
	SubID
	SubMajor
	SubMinor
	SubResult
	SubParent
	SubName
	SubLinks
	SubRoot
	SubSys
	NumSegmentKinds
)

// ClassSize is the size of a class: the string index of a subsystem's name
// and for each action the index of the list of lines that may apply. Class 0
// is for subsystems that no rule names; the others are sorted by name.
const ClassSize = 4 + 4*NumActions

// NumActions is the number of actions with lists of their own; the last
// stands for any other action.
const NumActions = 9

// StaticSize is the size of an OPTIONS="static_node=…": path below /dev
// (string index), mode, uid, gid (each NoID if the rule does not say) and
// line index, each u32. The tags are the ATag tokens of the line.
const StaticSize = 20

// NoID stands for "not set" where an owner, group or mode may be missing.
const NoID = 1<<32 - 1

// Action gives the number of an action in a class.
func Action(name string) int {
	switch name {
	case "add":
		return 0
	case "remove":
		return 1
	case "change":
		return 2
	case "move":
		return 3
	case "online":
		return 4
	case "offline":
		return 5
	case "bind":
		return 6
	case "unbind":
		return 7
	}
	return NumActions - 1
}

// ActionNames are the actions in the order of Action, without the last.
var ActionNames = [NumActions - 1]string{"add", "remove", "change", "move", "online", "offline", "bind", "unbind"}
