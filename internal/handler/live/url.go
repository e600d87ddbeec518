package live

import (
	"path"
	"runtime"
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// fetchedDir is where images are that came from a server.
const fetchedDir = fetchplan.Dir

// schemeOf is what stands before "://", "" for no URL.
func schemeOf(text string) string {
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		return ""
	}
	return scheme
}

// isURL says whether a scheme is one of URLs.
func isURL(scheme string) bool {
	switch scheme {
	case "http", "https", "ftp", "tftp":
		return true
	}
	return false
}

// public is what may be shown of what names an image.
func public(text string) string {
	if rest, ok := strings.CutPrefix(text, "oci:"); ok {
		rest, digest, _ := strings.Cut(rest, "@sha256:")
		if digest != "" {
			digest = "@sha256:" + digest
		}
		return "oci:" + public(rest) + digest
	}
	if !isURL(schemeOf(text)) {
		return text
	}
	u, err := fetchplan.ParseURL(text)
	if err != nil {
		return schemeOf(text) + "://…"
	}
	return u.String()
}

// archiso is where Arch's media have the image, below the URL of a server.
func archiso(server, dir string) string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	if dir == "" {
		dir = "arch"
	}
	return strings.TrimSuffix(server, "/") + "/" + strings.Trim(dir, "/") + "/" + arch + "/airootfs.sfs"
}

// setURL takes an image on a server.
func (o *options) setURL(text string) {
	u, err := fetchplan.ParseURL(text)
	switch {
	case err != nil:
		o.wrong = o.by + ": " + err.Error()
		return
	case u.Scheme == "ftp":
		o.wrong = o.by + " names an image by FTP, which Firstlight does not speak: let the server have it by http, https or tftp"
		return
	}
	o.url, o.file, o.device = text, path.Join(fetchedDir, u.File()), devspec.Spec{}
	if o.ondemand {
		o.file, o.disc = "", strings.EqualFold(path.Ext(u.File()), ".iso")
	}
}

// fromServer reads what live-boot, casper and make-initrd say of an image on a
// server, and how it is to be fetched.
func (o *options) fromServer(g given) {
	names := []string{}
	switch o.dialect {
	case debian:
		names = []string{"fetch", "httpfs", "ftpfs"}
	case casper:
		names = []string{"url"}
	}
	for _, name := range names {
		if v := g[name]; v != "" {
			o.by = name + "=" + public(v)
			o.setURL(v)
		}
	}
	if o.dialect != dracut && o.url == "" && g["nfsroot"] != "" && (g["netboot"] == "nfs" || g["netboot"] == "" && g.has("netboot")) {
		o.server = true
	}
	p := &o.plan
	p.Unverified, p.NoVerifyTLS, p.Proxy = g.on("rd.firstlight.unverified"), g.on("rd.noverifyssl"), g["proxy"]
}

// has says whether something is said, be it nothing.
func (g given) has(name string) bool { _, ok := g[name]; return ok }

// fetch is what is to be fetched.
func (o *options) fetch() *handler.Fetch {
	p := o.plan
	p.URL, p.Into, p.Sum = o.url, o.file, o.sha256
	if o.wrong != "" { // which is said
		return &handler.Fetch{URL: o.url, By: o.by}
	}
	return &handler.Fetch{URL: o.url, By: o.by, Into: o.file, Plan: p.String(), Reserve: o.reserve, OnDemand: o.ondemand}
}

// keepName is the parameter that says where an image from a server is kept.
const keepName = "rd.firstlight.keep"

// newer is how long the server is asked for a newer image where nothing says it, in
// seconds.
const newer = 20

// kept reads it: DEVICE[:/DIRECTORY][,newer[=SECONDS]], as rd.live.overlay= has device
// and path. live-boot's todisk= names a device for an image that is fetched, too.
func (o *options) kept(g given) {
	v, name, dir := g[keepName], keepName+"=", "/firstlight"
	if v == "" && o.dialect == debian && o.url != "" {
		v, name, dir, o.todisk = g["todisk"], "todisk=", "/live", devspec.Spec{}
	}
	if v == "" {
		return
	}
	words := strings.Split(v, ",")
	dev, sub, has := strings.Cut(words[0], ":/")
	if has {
		dir = path.Clean("/" + sub)
	}
	k := &fetchplan.Keep{Disk: dev}
	device, err := devspec.Parse(dev)
	switch {
	case err != nil || !device.IsDevice():
		o.wrong = name + v + " names no device"
	case dir == "/" || dotted(sub):
		o.wrong = name + v + " names no directory of its own on the device"
	case o.url == "":
		o.wrong = name + " is for an image that a server has"
	case o.plan.Tree:
		o.wrong = name + " keeps one file, and " + o.by + " is unpacked into memory"
	case o.ondemand:
		o.ondemand = false
		o.setURL(o.url)
		o.wrong = name + " keeps an image, and " + onDemand + " has none fetched"
	}
	for _, w := range words[1:] {
		n, value, has := strings.Cut(w, "=")
		seconds, err := strconv.ParseUint(value, 10, 16)
		if k.Newer = int(seconds); !has {
			k.Newer, err = newer, nil
		}
		if n != "newer" || err != nil || k.Newer == 0 {
			o.wrong = name + v + " has neither newer nor newer=SECONDS behind the comma"
		}
	}
	if o.wrong == "" {
		o.plan.Keep, o.file = k, path.Join(fetchplan.KeptDir, dir, path.Base(o.file))
	}
}

// Where an image of layers is unpacked: memory is mounted on ociDir.
const (
	ociDir  = "/run/initramfs/oci"
	ociRoot = ociDir + "/root"
)

// setOCI takes an image of the Open Container Initiative on a server:
// oci:URL[@sha256:DIGEST].
func (o *options) setOCI(text string) {
	url, digest, has := strings.Cut(strings.TrimPrefix(text, "oci:"), "@sha256:")
	scheme := schemeOf(url)
	ondemand := o.ondemand
	o.ondemand = false
	if o.setURL(url); o.wrong != "" {
		return
	}
	switch {
	case scheme != "http" && scheme != "https":
		o.wrong = o.by + " names no image by http or https"
	case ondemand:
		o.wrong = o.by + " is unpacked, and cannot be read as it is needed (" + onDemand + ")"
	case has && o.sha256 != "" && o.sha256 != digest:
		o.wrong = o.by + " and rd.firstlight.sha256= name different images"
	case has:
		o.sha256 = digest
	}
	o.plan.Tree, o.file = true, ociRoot
}

// layers makes what was unpacked the root.
func (h *Handler) layers(t *ueventd.Task) (devspec.Spec, ueventd.Outcome, bool) {
	if err := h.step(t, machine.Mount{Source: ociRoot, Target: handler.SysRoot, Flags: place}); err != nil {
		return h.fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	if !h.done["unpacked"] {
		h.done["unpacked"] = true
		if err := ueventd.Act(t, "unmount "+ociDir, func(m machine.Machine) error { return m.Unmount(ociDir, false) }); err != nil {
			t.Record("decision", ociDir+" stays mounted: "+err.Error())
		}
	}
	return devspec.Spec{}, ueventd.Outcome{}, true
}
