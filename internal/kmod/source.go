package kmod

// Source is what WriteIndex makes a table of.
type Source struct {
	// Modules are the modules in the image and the kernel's built-in ones
	// that matter. Their order is the order in which Index.Match gives those
	// that match one alias: kmod's is the order of modules.dep.
	Modules []SourceModule
	// Aliases are the alias lines of modprobe.d, in their order. They come
	// before everything else.
	Aliases []SourceAlias
	// Options are the options lines of modprobe.d, in their order. Several
	// for one name are joined by spaces.
	Options []SourceOption
}

// SourceModule describes one module. Names may be spelled with '-' or '_'.
type SourceModule struct {
	// Name is the module's name.
	Name string
	// Path is the file in the image, absolute. Built-in modules have none.
	Path string
	// Deps are the names of the modules that must be loaded before it, in
	// the order of loading; whether those that are needed only through
	// others are among them makes no difference.
	Deps []string
	// Pre and Post are the names of the modules that are loaded before and
	// after it if they are there: its soft dependencies, with aliases
	// resolved. Names that are not in the table are left out.
	Pre, Post []string
	// Aliases are the patterns of its own aliases, as in modules.alias.
	Aliases []string
	// Blacklisted modules are not loaded for an alias.
	Blacklisted bool
	// Builtin says that the kernel contains it.
	Builtin bool
}

// SourceAlias is an alias line of modprobe.d(5).
type SourceAlias struct {
	// Pattern is a wildcard pattern.
	Pattern string
	// Module is the name of the module, not another alias. A name that is
	// not in the table ("off", by custom) makes the alias load nothing.
	Module string
}

// SourceOption is an options line of modprobe.d(5).
type SourceOption struct {
	// Name is a module's name or an alias.
	Name string
	// Options are the parameters: "param=value", separated by spaces.
	Options string
}
