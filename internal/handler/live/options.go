package live

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/fetch/fetchplan"
)

// dialect is whose names of parameters, directories and files are meant.
type dialect uint8

// The dialects.
const (
	dracut dialect = iota // root=live:, rd.live.image
	debian                // boot=live
	casper                // boot=casper
)

// options are what the command line says of the image.
type options struct {
	dialect dialect
	by      string // what asks for it, for the person
	// file is the image in the initramfs, "" for one on a medium; device names
	// the medium, and is zero where any that has the image is meant.
	file   string
	device devspec.Spec
	// url is where a server has the image, with secrets; file is what it becomes.
	// server: the network's handler mounts the medium.
	// ondemand: what the server has becomes a disk, which is the root, or the medium
	// where it is a disc.
	url      string
	server   bool
	ondemand bool
	disc     bool
	plan     fetchplan.Plan
	// iso is a file on some disk, which is the medium; isoOn names that disk,
	// and is zero for any.
	iso   string
	isoOn devspec.Spec
	// size bounds the memory for what is written, as tmpfs(5) has it.
	size string
	// dir and images are where on the medium the image may be, the first that
	// is there counts.
	dir    string
	images []string
	// ram copies the image into memory, writable has it used without an
	// overlay, as a copy in memory; check verifies the sum of the medium.
	ram, writable, check bool
	covered              bool
	sha256               string // of the image, "" for none
	reserve              uint64 // memory that must be left, in bytes
	wrong                string // why the image cannot be used as it is asked for

	// modules names a file beside the image that lists the images of which the
	// root is made, the lowest first; "" is none. layered is casper's spelling: the name of the
	// uppermost, whose parts are the names of those below.
	modules, layered string
	// media says which disks may have the medium, and which what is kept.
	media, keeping media
	timeout        time.Duration // for the medium; 0 is that of the root
	anyUUID        bool          // the medium need not be that of the initramfs
	persist        persistence

	plain  bool         // the medium itself is the root
	expose bool         // directories of the root are covered, and not all of it
	offset uint64       // where the medium begins in the device, in bytes
	todisk devspec.Spec // a filesystem that the medium is copied to first
}

// media are disks.
type media uint8

// Which disks.
const (
	anyMedia media = iota
	removable
	removableUSB
)

// mediaNamed are the names of media of live-boot.
func mediaNamed(name string) (m media, ok bool) {
	switch name {
	case "removable":
		return removable, true
	case "removable-usb":
		return removableUSB, true
	}
	return anyMedia, false
}

// persistence is where changes are kept from boot to boot.
type persistence struct {
	on       bool
	labels   []string // of filesystems and partitions, and names of files
	path     string   // of such a file
	readOnly bool
	// What may hold it.
	plain, luks, filesystem, file bool
}

// onDemand has an image on a server read as it is needed.
const onDemand = "rd.firstlight.ondemand"

// reserve is what a real system needs at least to start, in bytes, where
// rd.minmem= says nothing.
const reserve = 64 << 20

// bits of what the parameters say, by name with '_' for '-', as the last of
// each says it.
type given map[string]string

func (g given) on(name string) bool {
	v, ok := g[name]
	switch strings.ToLower(v) {
	case "0", "no", "off", "false", "n", "f":
		return false
	}
	return ok
}

// read returns what the command line says of an image; ok is false where it
// asks for none. leased is the URL that a lease gives, "" for none.
func read(cfg *bootcmd.Config, leased string) (o options, ok bool) {
	g := given{}
	for _, p := range cfg.Params {
		g[strings.ReplaceAll(p.Name, "-", "_")] = p.Value
	}
	root, boot := cfg.Root.Device, g["boot"]
	named := strings.TrimPrefix(strings.Trim(g["root"], `"`), "live:")
	onServer := root.Kind == devspec.Other && (root.Scheme == "nfs" || root.Scheme == "nfs4")
	switch {
	case leased != "":
		boot, named = "", leased
	case root.Kind == devspec.Other && (isURL(root.Scheme) || root.Scheme == "oci"), g["archiso_http_srv"] != "":
		boot = ""
	case boot == "live" || boot == "casper":
	case root.Kind == devspec.Other && root.Scheme == "live", g.on("rd.live.image"), g.on("liveimg"), g.on(onDemand) && isURL(schemeOf(named)):
		boot = ""
	default:
		return o, false
	}
	alias := func(name, old string) string {
		if v, ok := g[name]; ok {
			return v
		}
		return g[old]
	}
	o = options{covered: true, ondemand: g.on(onDemand), reserve: reserve, sha256: strings.ToLower(g["rd.firstlight.sha256"]), iso: g["iso_scan/filename"]}
	switch boot {
	case "live":
		o.dialect, o.by, o.dir, o.images = debian, "boot=live", "/live", []string{"filesystem.squashfs"}
		if v := g["findiso"]; v != "" {
			o.iso = v
		}
	case "casper":
		o.dialect, o.by, o.dir, o.images = casper, "boot=casper", "/casper", []string{"filesystem.squashfs"}
	default:
		o.by, o.dir, o.images = "root=live:"+public(named), "/LiveOS", []string{"squashfs.img", "rootfs.img", "ext3fs.img"}
		if v := alias("rd.live.dir", "live_dir"); v != "" {
			o.dir = v
		}
		if v := g["rd.live.squashimg"]; v != "" {
			o.images = append([]string{v}, o.images[1:]...)
		}
		o.ram = g.on("rd.live.ram") || g.on("live_ram")
		o.check = g.on("rd.live.check")
		o.writable = g.on("rd.writable.fsimg")
		if v := g["rd.live.overlay.size"]; v != "" {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil || n == 0 {
				o.wrong = "rd.live.overlay.size=" + v + " is no number of MiB"
			}
			o.size = strconv.FormatUint(n, 10) + "m"
		}
		if o.server = onServer && leased == ""; o.server {
			o.by = "root=" + root.String()
		} else if srv := g["archiso_http_srv"]; srv != "" && leased == "" {
			o.by = "archiso_http_srv="
			o.setURL(archiso(srv, g["archisobasedir"]))
		} else {
			o.medium(named)
		}
	}
	o.fromServer(g)
	if o.dialect != dracut {
		o.ram = g.on("toram")
		if v := g["live_media_path"]; v != "" {
			o.dir = v
		}
		if v := g["live_media"]; v != "" {
			var ok bool
			if o.media, ok = mediaNamed(v); !ok {
				o.medium(v)
			}
		}
		o.more(g)
	}
	if o.dialect == debian {
		o.exposed(g, root)
	}
	o.kept(g)
	for _, name := range [...]string{"rd.overlay", "rd.live.overlay"} {
		if v, ok := g[name]; ok && (v == "none" || v != "" && !g.on(name)) {
			o.covered = false
		}
	}
	o.covered = o.covered && !o.writable && !archive(o.file) && !archive(o.images[0]) && !o.plan.Tree
	o.dir = path.Clean("/" + o.dir)
	if o.iso != "" {
		o.iso = path.Clean("/" + o.iso)
	}
	if v, ok := g["rd.minmem"]; ok {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			o.wrong = "rd.minmem=" + v + " is no number of MiB"
		}
		o.reserve = n << 20
	}
	if o.sha256 != "" && (len(o.sha256) != 64 || strings.Trim(o.sha256, "0123456789abcdef") != "") {
		o.wrong = "rd.firstlight.sha256= is not 64 hexadecimal digits"
	}
	if o.check && o.file != "" {
		o.wrong = "rd.live.check is for a medium, and " + o.by + " names a file"
	}
	return o, true
}

// more reads what only live-boot and casper know.
func (o *options) more(g given) {
	if v := g["toram"]; v != "" && strings.Contains(v, ".") { // the name of an image
		o.images, o.ram = []string{v}, true
	} else if o.dialect == debian {
		o.modules = "filesystem.module"
		if v := g["module"]; v != "" {
			o.modules = v + ".module"
		}
	}
	if v := g["layerfs_path"]; v != "" && o.dialect == casper {
		o.layered = path.Base(v)
	}
	for _, name := range [...]string{"fromiso", "isofrom"} {
		v := g[name]
		if v == "" {
			continue
		}
		i := strings.Index(strings.TrimPrefix(v, "/dev/"), "/")
		if i < 0 {
			o.wrong = name + "= is not DEVICE/PATH"
			return
		}
		i += len(v) - len(strings.TrimPrefix(v, "/dev/"))
		var err error
		if o.isoOn, err = devspec.Parse(v[:i]); err != nil || !o.isoOn.IsDevice() {
			o.wrong = name + "= names no device before the path"
		}
		o.iso = v[i:]
	}
	if v, ok := g["live_media_timeout"]; ok {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			o.wrong = "live-media-timeout=" + v + " is no number of seconds"
		}
		o.timeout = time.Duration(n) * time.Second
	}
	if v := g["overlay_size"]; v != "" {
		o.size = v
	}
	o.anyUUID = o.dialect != casper || g.on("ignore_uuid")
	p := &o.persist
	if o.dialect == casper {
		p.on, p.labels = g.on("persistent"), []string{"writable", "casper-rw", "home-rw"}
		p.plain, p.filesystem, p.file, p.path = true, true, true, "/"
		return
	}
	p.on = g.on("persistence") && !g.on("nopersistence")
	list := func(name, all string, words ...string) (has []bool) {
		v, ok := g[name]
		if !ok || v == "" {
			v = all
		}
		has = make([]bool, len(words))
		for w := range strings.SplitSeq(v, ",") {
			i := slices.Index(words, w)
			if i < 0 {
				o.wrong = strings.ReplaceAll(name, "_", "-") + "=" + v + " is none of " + strings.Join(words, ", ")
				return has
			}
			has[i] = true
		}
		return has
	}
	if !p.on {
		return
	}
	p.labels = strings.Split("persistence", ",")
	if v := g["persistence_label"]; v != "" {
		p.labels = strings.Split(v, ",")
	}
	has := list("persistence_encryption", "none", "none", "luks")
	p.plain, p.luks = has[0], has[1]
	has = list("persistence_storage", "filesystem,file", "filesystem", "file", "directory")
	p.filesystem, p.file = has[0], has[1]
	if has[2] {
		o.wrong = "persistence-storage=directory: changes are kept on a filesystem of their own or in a file, and in no directory of another one"
	}
	p.path = path.Clean("/" + g["persistence_path"])
	p.readOnly = g.on("persistence_read_only")
	if v := g["persistence_media"]; v != "" {
		var ok bool
		if o.keeping, ok = mediaNamed(v); !ok {
			o.wrong = "persistence-media=" + v + " is neither removable nor removable-usb"
		}
	}
	for _, label := range p.labels {
		if label == "" || strings.ContainsAny(label, "/") || label == "." || label == ".." {
			o.wrong = "persistence-label= has a name that no file can have"
		}
	}
}

// medium reads what names the image or the medium that it is on.
func (o *options) medium(text string) {
	switch {
	case text == "":
		return
	case strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "/dev/"):
		o.file = path.Clean(text)
		return
	case isURL(schemeOf(text)):
		o.setURL(text)
		return
	case strings.HasPrefix(text, "oci:"):
		o.setOCI(text)
		return
	case strings.HasPrefix(text, "CDLABEL="):
		text = text[len("CD"):]
	}
	spec, err := devspec.Parse(text)
	switch {
	case err != nil:
		o.wrong = o.by + ": " + err.Error()
	case spec.Kind == devspec.Other:
		o.wrong = o.by + " names " + spec.Value + ", which is no device of this machine"
	case !spec.IsDevice():
		o.wrong = o.by + " names no device"
	}
	o.device = spec
}

// archive says whether a file is one by its name: its content is unpacked, and
// not mounted.
func archive(file string) bool {
	base := path.Base(file)
	for _, end := range [...]string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"} {
		if strings.HasSuffix(base, end) && len(base) > len(end) {
			return true
		}
	}
	return false
}
