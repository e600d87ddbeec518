package live

import (
	"path"
	"runtime"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/handler"
)

// fetchedDir is where images are that came from a server.
const fetchedDir = "/run/initramfs/fetched"

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
	o.get = handler.Fetch{Unverified: g.on("rd.firstlight.unverified"), NoVerifyTLS: g.on("rd.noverifyssl"), Proxy: g["proxy"]}
}

// has says whether something is said, be it nothing.
func (g given) has(name string) bool { _, ok := g[name]; return ok }

// fetch is what is to be fetched.
func (o *options) fetch() *handler.Fetch {
	f := o.get
	f.URL, f.By, f.Into, f.Sum, f.Reserve, f.OnDemand = o.url, o.by, o.file, o.sha256, o.reserve, o.ondemand
	return &f
}
