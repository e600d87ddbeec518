package ocihelper

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetchhelper"
	"firstlight/internal/netreport"
	"firstlight/internal/oci"
)

// TestMain is the program that fetches where it was started as that.
func TestMain(m *testing.M) {
	if os.Getenv("OCI_TEST_FETCH") != "" {
		text, _ := io.ReadAll(os.Stdin)
		h := fetchhelper.Helper{Say: func(r netreport.Report) { os.Stdout.WriteString(r.String() + "\n") }}
		h.Run(string(text))
		os.Exit(0)
	}
	os.Setenv("OCI_TEST_FETCH", "1")
	os.Exit(m.Run())
}

// layout is an image that is being made, by path.
type layout map[string][]byte

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

func (l layout) blob(b []byte) string {
	d := digest(b)
	l["blobs/sha256/"+strings.TrimPrefix(d, "sha256:")] = b
	return d
}

func (l layout) document(v any) (string, int) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return l.blob(b), len(b)
}

type object = map[string]any

// file is an entry of a layer.
type file struct {
	tar.Header
	text string
}

func archiveOf(files []file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		h.Size, h.ModTime = int64(len(f.text)), time.Unix(1e9, 0)
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		io.WriteString(w, f.text)
	}
	w.Close()
	return b.Bytes()
}

// image makes a layout of layers, packed in turn as they are, by gzip and by zstd.
func image(layers ...[]file) layout {
	l := layout{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	var diffs []string
	var list []object
	for i, files := range layers {
		b := archiveOf(files)
		diffs = append(diffs, digest(b))
		kind := "application/vnd.oci.image.layer.v1.tar"
		var z bytes.Buffer
		switch i % 3 {
		case 1:
			kind += "+gzip"
			w := gzip.NewWriter(&z)
			w.Write(b)
			w.Close()
			b = z.Bytes()
		case 2:
			kind += "+zstd"
			w, _ := zstd.NewWriter(&z)
			w.Write(b)
			w.Close()
			b = z.Bytes()
		}
		list = append(list, object{"mediaType": kind, "digest": l.blob(b), "size": len(b)})
	}
	config, n := l.document(object{"architecture": runtime.GOARCH, "os": "linux", "rootfs": object{"type": "layers", "diff_ids": diffs}})
	manifest, m := l.document(object{"schemaVersion": 2, "config": object{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": n}, "layers": list})
	const kind = "application/vnd.oci.image.manifest.v1+json"
	other, o := l.document(object{"schemaVersion": 2})
	inner, k := l.document(object{"schemaVersion": 2, "manifests": []object{
		{"mediaType": kind, "digest": other, "size": o, "platform": object{"os": "plan9", "architecture": runtime.GOARCH}},
		{"mediaType": kind, "digest": manifest, "size": m, "platform": object{"os": "linux", "architecture": runtime.GOARCH}}}})
	index, _ := json.Marshal(object{"schemaVersion": 2, "manifests": []object{{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": inner, "size": k}}})
	l["index.json"] = index
	return l
}

// tar is the layout as one file.
func (l layout) tar() []byte {
	var files []file
	for name, b := range l {
		files = append(files, file{tar.Header{Name: name}, string(b)})
	}
	return archiveOf(files)
}

// unpacked runs the helper for a plan, with a server that has the files.
func unpacked(t *testing.T, files layout, plan fetchplan.Plan) (root string, last netreport.Report) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("owners can be set by root alone")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			w.Header().Set("Location", "ftp://no/where") // which is refused at once
			w.WriteHeader(302)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	plan.URL, plan.Into, plan.Tree = s.URL+plan.URL, "/oci/root", true
	if plan.Limit == 0 {
		plan.Limit = 1 << 30
	}
	os.Mkdir(filepath.Join(dir, "oci"), 0o755)
	h := Helper{Root: dir, Fetch: "/proc/self/exe", Say: func(r netreport.Report) { last = r }}
	if err := h.Run(plan.String()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "oci/root"), last
}

var (
	capability = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	lower      = []file{
		{tar.Header{Name: "usr/", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		{tar.Header{Name: "usr/bin/", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		{tar.Header{Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"}, ""},
		{tar.Header{Name: "var/run", Typeflag: tar.TypeSymlink, Linkname: "/run"}, ""},
		{tar.Header{Name: "usr/bin/su", Mode: 0o4755, Uid: 0, Gid: 7}, "su"},
		{tar.Header{Name: "usr/bin/ping", Mode: 0o755, Uid: 3, PAXRecords: capability, Format: tar.FormatPAX}, "ping"},
		{tar.Header{Name: "usr/bin/ping6", Typeflag: tar.TypeLink, Linkname: "usr/bin/ping"}, ""},
		{tar.Header{Name: "tmp", Typeflag: tar.TypeDir, Mode: 0o1777}, ""},
		{tar.Header{Name: "etc/gone"}, "gone"},
		{tar.Header{Name: "etc/stays"}, "old"},
		{tar.Header{Name: "opt/all/of/this"}, "gone"},
		{tar.Header{Name: "opt/other"}, "gone"},
		{tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""},
		{tar.Header{Name: "run/fifo", Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
	}
	upper = []file{
		{tar.Header{Name: "./bin/new", Mode: 0o755}, "by the link"},
		{tar.Header{Name: "var/run/pid"}, "in /run"},
		{tar.Header{Name: "etc/.wh.gone"}, ""},
		{tar.Header{Name: "etc/stays", Uid: 5}, "new"},
		{tar.Header{Name: "opt/mine"}, "mine"},
		{tar.Header{Name: "opt/all/mine"}, "mine"},
		{tar.Header{Name: "opt/.wh..wh..opq"}, ""},
		{tar.Header{Name: ".wh..wh.plnk"}, ""},
	}
	top = []file{{tar.Header{Name: "sbin/init", Mode: 0o755}, "#!"}, {tar.Header{Name: "etc/.wh.none"}, ""}}
)

func TestLayersLieOverEachOther(t *testing.T) {
	root, last := unpacked(t, image(lower, upper, top), fetchplan.Plan{Unverified: true})
	if last.State != fetchplan.StateFetched {
		t.Fatal(last.String())
	}
	var got []string
	filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			s := info.Sys().(*syscall.Stat_t)
			var b []byte
			if info.Mode().Type() == 0 {
				b, _ = os.ReadFile(p)
			}
			got = append(got, fmt.Sprintf("%s %v %d:%d %d %s", strings.TrimPrefix(p, root), info.Mode(), s.Uid, s.Gid, s.Nlink, b))
			if info.Mode().Type() == 0 && info.ModTime().Unix() != 1e9 {
				t.Errorf("%s is of %v", p, info.ModTime())
			}
		}
		return nil
	})
	const want = `/bin Lrwxrwxrwx 0:0 1 
/etc/stays -rw-r--r-- 5:0 1 new
/opt/all/mine -rw-r--r-- 0:0 1 mine
/opt/mine -rw-r--r-- 0:0 1 mine
/run/fifo prw------- 0:0 1 
/run/pid -rw-r--r-- 0:0 1 in /run
/sbin/init -rwxr-xr-x 0:0 1 #!
/usr/bin/new -rwxr-xr-x 0:0 1 by the link
/usr/bin/ping -rwxr-xr-x 3:0 2 ping
/usr/bin/ping6 -rwxr-xr-x 3:0 2 ping
/usr/bin/su urwxr-xr-x 0:7 1 su
/var/run Lrwxrwxrwx 0:0 1 `
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("there is\n%s", text)
	}
	if info, _ := os.Stat(filepath.Join(root, "tmp")); info.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Error(info.Mode())
	}
	buf := make([]byte, 64)
	if n, err := unix.Lgetxattr(filepath.Join(root, "usr/bin/ping"), "security.capability", buf); err != nil || n != 20 {
		t.Error(n, err)
	}
	if list, _ := os.ReadDir(filepath.Dir(root)); len(list) != 1 {
		t.Errorf("parts are left: %v", list)
	}
}

func TestADigestIsEnough(t *testing.T) {
	l := image(lower, top)
	l["image.tar"] = l.tar()
	index := strings.TrimPrefix(digest(l["index.json"]), "sha256:")
	list, err := oci.ParseIndex(l["index.json"])
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]fetchplan.Plan{
		"the index":               {Sum: index},
		"what it names":           {Sum: list[0].Digest.Sum()},
		"the index in an archive": {URL: "/image.tar", Sum: index},
		"an archive":              {URL: "/image.tar", Sum: strings.TrimPrefix(digest(l["image.tar"]), "sha256:")},
	} {
		if root, last := unpacked(t, l, p); last.State != fetchplan.StateFetched || last.Get("by") == "" {
			t.Errorf("%s: %s", name, last.String())
		} else if _, err := os.Stat(filepath.Join(root, "sbin/init")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNotTheImageIsRefused(t *testing.T) {
	changed := func(change func(name string, b []byte) []byte) layout {
		l := image(lower, top)
		for name, b := range l {
			l[name] = change(name, bytes.Clone(b))
		}
		return l
	}
	for says, c := range map[string]struct {
		l layout
		p fetchplan.Plan
	}{
		"neither a sum nor a key":  {image(top), fetchplan.Plan{}},
		"no image with the digest": {image(top), fetchplan.Plan{Sum: strings.Repeat("ab", 32)}},
		"is not what its digest": {changed(func(n string, b []byte) []byte {
			if strings.HasPrefix(n, "blobs/") {
				b[len(b)/2] ^= 1
			}
			return b
		}), fetchplan.Plan{Unverified: true}},
		"can be had":                {image(lower, top), fetchplan.Plan{Unverified: true, Limit: 2000}},
		"leads upwards":             {image([]file{{tar.Header{Name: "../etc/passwd"}, "x"}}), fetchplan.Plan{Unverified: true}},
		"links lead from one":       {image([]file{{tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, ""}, {tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a"}, ""}, {tar.Header{Name: "a/x"}, "x"}}), fetchplan.Plan{Unverified: true}},
		"no file that is there":     {image([]file{{tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "etc/shadow"}, ""}}), fetchplan.Plan{Unverified: true}},
		"a name that leads upwards": {image([]file{{tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../../etc/shadow"}, ""}}), fetchplan.Plan{Unverified: true}},
		"oci-layout":                {layout{}, fetchplan.Plan{Unverified: true}},
	} {
		root, last := unpacked(t, c.l, c.p)
		if last.State != fetchplan.StateRefused || !strings.Contains(last.Get("text")+last.Get("try"), says) && says != "oci-layout" {
			t.Errorf("it does not say %q: %s", says, last.String())
		}
		if _, err := os.Lstat(root); err == nil {
			t.Errorf("%s: something is left", says)
		}
	}
}

// A link that a layer has leads to nothing outside of the root, whatever it is used
// for.
func TestNoLinkLeadsOutOfTheRoot(t *testing.T) {
	outside := t.TempDir()
	mine := filepath.Join(outside, "mine")
	os.WriteFile(mine, []byte("mine"), 0o600)
	up := strings.Repeat("../", 40) + outside[1:]
	_, last := unpacked(t, image([]file{
		{tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: outside}, ""},
		{tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: up}, ""},
		{tar.Header{Name: "a/mine", Mode: 0o777, Uid: 9}, "theirs"},
		{tar.Header{Name: "b/mine", Mode: 0o777, Uid: 9}, "theirs"},
		{tar.Header{Name: "a/new"}, "theirs"},
		{tar.Header{Name: "c", Typeflag: tar.TypeSymlink, Linkname: mine}, ""},
		{tar.Header{Name: "c", Mode: 0o777, Uid: 9}, "theirs"},
	}, []file{
		{tar.Header{Name: "a/.wh.mine"}, ""},
		{tar.Header{Name: "b/.wh..wh..opq"}, ""},
	}), fetchplan.Plan{Unverified: true})
	if last.State != fetchplan.StateFetched {
		t.Error(last.String())
	}
	list, _ := os.ReadDir(outside)
	b, _ := os.ReadFile(mine)
	info, _ := os.Stat(mine)
	if len(list) != 1 || string(b) != "mine" || info.Mode() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
		t.Errorf("%v, %q, %v", list, b, info.Mode())
	}
}
