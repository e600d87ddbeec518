package report

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/inputs"
)

func record() []byte {
	l := inputs.New(inputs.Setup{Version: "1", Image: struct{ Version string }{"1"}})
	l.Start()
	l.Advance(time.Second)
	return bytes.Clone(l.Take())
}

func sample() *Report {
	r := &Report{}
	r.Add("boot/journal", []byte("firstlight-journal 1\n"))
	r.Add("boot/inputs", record())
	r.AddCommandLine("cmdline", `root=/dev/sda cifspass=hunter2 rd.x.password="two words" nfsroot=nfs://me:swordfish@nas/x rootflags=user=a,password=letmein -- secret=z`)
	r.AddKernelLog("kernel.log", "<5>[0.0] Command line: root=/dev/sda cifspass=hunter2\n<5>[0.1] Kernel command line: x.password=\"two words\" quiet\n<6>[2] ok\n")
	r.AddText("mounts", "1 2 0:5 / /mnt rw - cifs //nas/x rw,username=a,password=letmein,vers=3\n")
	r.AddText("about", "firstlight 1\n")
	return r
}

func archive(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What a person gives away with a report opens nothing.
func TestReportHoldsNoSecrets(t *testing.T) {
	r := sample()
	for _, f := range r.Files {
		for _, secret := range []string{"hunter2", "two words", "swordfish", "letmein", "secret=z"} {
			if bytes.Contains(f.Data, []byte(secret)) {
				t.Errorf("%s holds %q:\n%s", f.Name, secret, f.Data)
			}
		}
	}
	for name, want := range map[string]string{"cmdline": "root=/dev/sda", "kernel.log": "ok\n", "mounts": "vers=3"} {
		if !strings.Contains(string(r.File(name)), want) {
			t.Errorf("%s lost %q:\n%s", name, want, r.File(name))
		}
	}
}

func TestReportIsReadAsWritten(t *testing.T) {
	r := sample()
	b := archive(t, r)
	if !bytes.Equal(b, archive(t, r)) {
		t.Error("the same files give different archives")
	}
	got, err := Read(bytes.NewReader(b))
	if err != nil || len(got.Files) != len(r.Files) {
		t.Fatal(err, got)
	}
	for _, f := range r.Files {
		if !bytes.Equal(got.File(f.Name), f.Data) {
			t.Errorf("%s differs", f.Name)
		}
	}
}

func TestCaseOfAReport(t *testing.T) {
	same := func(b []byte) ([]byte, error) { return b, nil }
	dir := filepath.Join(t.TempDir(), "new/case")
	if err := sample().Case(dir, same); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/inputs.zst"); err != nil || !bytes.Equal(b, record()) {
		t.Error(err)
	}
	if err := sample().Case(dir, same); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a case was written over: %v", err)
	}
	r := &Report{}
	r.AddText("about", "x")
	if err := r.Case(dir+"2", same); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	r = sample()
	r.Files[1].Data = []byte("nonsense")
	if err := r.Case(dir+"3", same); !errors.Is(err, inputs.ErrFormat) {
		t.Error(err)
	}
}

// An archive from elsewhere writes nowhere and fills no memory.
func TestForeignArchivesAreRefused(t *testing.T) {
	for name, h := range map[string]tar.Header{
		"outside":  {Name: "/etc/passwd", Typeflag: tar.TypeReg},
		"climbing": {Name: Prefix + "../x", Typeflag: tar.TypeReg},
		"link":     {Name: Prefix + "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"large":    {Name: Prefix + "x", Typeflag: tar.TypeReg, Size: 1 << 40},
		"nothing":  {Name: Prefix + "x", Typeflag: tar.TypeReg},
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if h.Size == 0 {
			w.Close()
		}
		z.Close()
		if _, err := Read(bytes.NewReader(b.Bytes())); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(strings.NewReader("no archive")); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: Prefix + "about", Typeflag: tar.TypeReg, Size: 1}); err != nil {
		f.Fatal(err)
	}
	w.Write([]byte("x"))
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		// Compressed here, so that the fuzzer works on the archive.
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		if _, err := Read(&z); err != nil && !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	})
}
