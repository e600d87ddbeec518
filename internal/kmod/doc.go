// Package kmod says which kernel modules a device or a name asks for, and in
// what order they are loaded.
//
// The builder writes a compact table of the modules that are in an image
// (WriteIndex); /init opens it in place (OpenIndex) and asks it what matches a
// modalias (Index.Match) and what has to be loaded before what (Index.Plan).
// The answers are those of modprobe(8): the same pattern language, the same
// order of sources (configured aliases, names, the modules' own aliases,
// built-in names, built-in aliases), the same meaning of soft dependencies,
// options and blacklists.
//
// The package is pure: it opens no file, makes no system call and reads no
// clock. Loading is in package load, reading a modules directory in kmodtree.
//
// # The table
//
// All numbers are little endian; offsets count from the start of the table.
//
//	0    8   magic "flkmodix"
//	8    4   version (1)
//	12   4   size of the table in bytes
//	16   8   checksum of everything from byte 24 on
//	24   4   number of modules; built-in ones come last
//	28   4   number of modules that are not built in
//	32  12   root nodes: configured aliases, module aliases, built-in aliases
//	44  64   eight sections, each offset and length in bytes:
//	         strings, modules, names, lists, nodes, values, targets, options
//
// A module is 24 bytes: name offset (4) in strings, path offset (4), lists
// offset (4, counted in entries), name length (2), path length (2), numbers of
// dependencies, soft dependencies before and after it (2 each), flags (2). Its
// dependencies stand in lists as module numbers, in this order.
//
// names holds the module numbers sorted by name. options holds records of 16
// bytes sorted by name: name offset and length, value offset and length.
// targets holds, for each configured alias in the order of the configuration,
// a module number or 0xffffffff for a name that is not in the table.
//
// The patterns are three radix trees in nodes, 16 bytes each: label offset (4)
// in strings, label length (2), number of children (2), first child (3), first
// byte of the label (1, 0 for none), first value (4). Children stand together,
// those whose labels begin with a wildcard or an escape first, the others
// sorted by the first byte of their labels; a node's values end where the next node's begin, and one node
// without children ends the section. A value is a module number, or in the
// tree of configured aliases an index into targets. A label is pattern text
// in a form that needs no parsing: '*' and '?' stand for themselves, '\\' and
// a byte for that byte, '[' is followed by a count and that many pairs of
// first and last byte of a range, and any other byte stands for itself.
package kmod
