package elf

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// nameServices are glibc's functions that ask the name service switch
// (nsswitch.conf(5)).
var nameServices = []string{"getpwnam", "getpwnam_r", "getpwuid", "getpwuid_r", "getpwent", "getpwent_r", "getspnam", "getspnam_r",
	"getgrnam", "getgrnam_r", "getgrgid", "getgrgid_r", "getgrent", "getgrent_r", "getgrouplist", "initgroups",
	"getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_r", "gethostbyname2", "gethostbyname2_r", "gethostbyaddr", "gethostbyaddr_r",
	"getservbyname", "getservbyname_r", "getservbyport", "getservbyport_r", "getprotobyname", "getprotobyname_r", "getprotobynumber", "getnetbyname",
	"ether_hostton", "ether_ntohost", "getaliasbyname", "getrpcbyname"}

// switched are the services that a program has without a nsswitch.conf, and without
// a daemon that an initramfs does not have.
var switched = []string{"libnss_files.so.2", "libnss_dns.so.2"}

// behind names what the C library opens although no program has said so, by the
// functions that a program calls: always what ends a thread; and where the C library
// is old the services of names, which are part of glibc since 2.34.
func behind(calls []string) (always, old []string) {
	for _, name := range calls {
		switch {
		case name == "pthread_cancel" || name == "pthread_exit":
			always = []string{"libgcc_s.so.1"}
		case old == nil && slices.Contains(nameServices, name):
			old = switched
		}
	}
	return always, old
}

// imports are the functions that an object has from others.
func imports(f *elf.File) []string {
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil // static
	}
	var names []string
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF {
			names = append(names, s.Name)
		}
	}
	return names
}

// hasServices says whether a C library has the services of names in it.
func hasServices(f *elf.File) bool {
	versions, err := f.DynamicVersions()
	return err == nil && slices.ContainsFunc(versions, func(v elf.DynamicVersion) bool { return v.Name == "GLIBC_2.34" })
}

// maxText bounds what is read of an object's constants.
const maxText = 16 << 20

// charset is what may be the name of a character set, as a C string: short
// words such as "no" are aliases of some too, and are seldom meant.
var charset = regexp.MustCompile(`\x00([A-Za-z][A-Za-z0-9_.:-]{3,30}(?://[A-Z]*)?)\x00`)

// charsets are the character sets that an object names which converts text.
func charsets(f *elf.File, calls []string) []string {
	if !slices.Contains(calls, "iconv_open") {
		return nil
	}
	s := f.Section(".rodata")
	if s == nil || s.Size > maxText {
		return nil
	}
	b, err := s.Data()
	if err != nil {
		return nil
	}
	var names []string
	for b = append([]byte{0}, b...); ; {
		m := charset.FindSubmatchIndex(b)
		if m == nil {
			return names
		}
		name, _, _ := strings.Cut(string(b[m[2]:m[3]]), "//")
		if strings.ContainsAny(name, "0123456789-_") {
			names = append(names, strings.ToUpper(name))
		}
		b = b[m[3]:] // a byte that ends one string stands before the next
	}
}

// conversions is what a directory of glibc's converters says that it has: the
// files gconv-modules and gconv-modules.d/*.conf of iconv(1).
type conversions struct {
	dir     string
	tables  []string            // those files
	alias   map[string]string   // another name, to the name
	modules map[string][]string // a name, to the files of its converters
	in      map[string][]string // a name or alias, to the tables that speak of it
}

// errNoConverters is of a system without converters, or with musl, which needs none.
var errNoConverters = errors.New("no converters")

// conversions reads them for objects of o's kind.
func (r *Resolver) conversions(o *object) (*conversions, error) {
	for _, dir := range defaultDirs(o) {
		c := &conversions{dir: path.Join(dir, "gconv"), alias: map[string]string{}, modules: map[string][]string{}, in: map[string][]string{}}
		main := path.Join(c.dir, "gconv-modules")
		if !r.root.Exists(main) {
			continue
		}
		more, err := r.root.Glob(main + ".d/*.conf")
		if err != nil {
			return nil, err
		}
		for _, t := range append([]string{main}, more...) {
			b, err := r.root.ReadFile(t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t, err)
			}
			c.tables = append(c.tables, t)
			c.read(t, b)
		}
		return c, nil
	}
	return nil, errNoConverters
}

func (c *conversions) read(table string, text []byte) {
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		w := strings.Fields(string(line))
		if len(w) < 3 {
			continue
		}
		from, to := strings.TrimRight(strings.ToUpper(w[1]), "/"), strings.TrimRight(strings.ToUpper(w[2]), "/")
		switch {
		case w[0] == "alias":
			c.alias[from] = to
			c.in[from] = append(c.in[from], table)
		case w[0] == "module" && len(w) >= 4:
			for _, name := range []string{from, to} {
				if name != "INTERNAL" && !slices.Contains(c.modules[name], w[3]) {
					c.modules[name] = append(c.modules[name], w[3])
					c.in[name] = append(c.in[name], table)
				}
			}
		}
	}
}

// of returns the files that convert a character set, and the tables that lead
// there.
func (c *conversions) of(name string) (files, tables []string) {
	for range 8 { // aliases of aliases
		tables = append(tables, c.in[name]...)
		if files = c.modules[name]; files != nil {
			break
		}
		to, ok := c.alias[name]
		if !ok {
			return nil, nil
		}
		name = to
	}
	return files, tables
}

// converters adds what converts the character sets that an object names. Those that
// are in the C library itself have none.
func (c *closure) converters(p string, o *object) error {
	if len(o.charsets) == 0 {
		return nil
	}
	table, err := c.r.conversions(o)
	if errors.Is(err, errNoConverters) {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range o.charsets {
		files, tables := table.of(name)
		for _, f := range files {
			if !strings.HasSuffix(f, ".so") {
				f += ".so"
			}
			file := path.Join(table.dir, f)
			if !c.r.root.Exists(file) {
				continue // of a package that is not installed
			}
			if err := c.opened(file, name+": a character set of "+p); err != nil {
				return err
			}
		}
		if len(files) == 0 {
			continue
		}
		for _, t := range append(tables, table.tables[0]) { // the first must be there, or the others are not read
			if _, err := c.add(t, "names the converter of "+name); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
	}
	return nil
}

// opened adds a library that is opened by its path, with what it needs.
func (c *closure) opened(p, why string) error {
	real, err := c.add(p, why)
	if err != nil || c.done[real] {
		return err
	}
	c.done[real] = true
	o, err := c.r.object(real)
	if err != nil {
		return err
	}
	return c.libraries(&chain{path: real, origin: path.Dir(real), o: o})
}
