package keep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/postmortem"
)

// A boot that failed is found in every place where it can have left its
// reason, once, and its place is free again.
func TestFailedBootsAreCollected(t *testing.T) {
	o := options(t)
	note := func(text string) string { return string(postmortem.Format(text, nil, 4000)) }
	write(t, o.Stores[0]+"/pmsg-ramoops-0", note("the first")+note("the second"))
	write(t, o.Stores[0]+"/177/pmsg-ramoops-0", "other words "+strings.Repeat("x", 200)+note("the first")+note("the third"))
	write(t, o.Stores[0]+"/dmesg-ramoops-0", note("not ours"))
	write(t, filepath.Join(o.Variables, postmortem.Variable), "\x07\x00\x00\x00"+note("the fourth"))
	write(t, o.ESP[0], note("the fifth"))
	o.Count = 20
	res := run(t, o)
	if len(res.Failed) != 5 || res.Kept != "000006-b-1" {
		t.Errorf("%+v", res)
	}
	var texts []string
	for _, n := range res.Failed {
		b, err := os.ReadFile(filepath.Join(o.To, n, "failure.txt"))
		if err != nil {
			t.Error(err)
		}
		texts = append(texts, string(b))
	}
	slices.Sort(texts)
	if !slices.Equal(texts, []string{"the fifth\n", "the first\n", "the fourth\n", "the second\n", "the third\n"}) {
		t.Errorf("%q", texts)
	}
	for _, f := range []string{o.Stores[0] + "/pmsg-ramoops-0", filepath.Join(o.Variables, postmortem.Variable), o.ESP[0]} {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("%s is still there", f)
		}
	}
	for _, f := range []string{"/177/pmsg-ramoops-0", "/dmesg-ramoops-0"} {
		if _, err := os.Stat(o.Stores[0] + f); err != nil {
			t.Errorf("%s is another's too, and gone", f)
		}
	}
	if res := run(t, o); len(res.Failed) != 0 {
		t.Errorf("found again: %+v", res)
	}
}

// logged is what the kernel puts into the store of a note in its log.
func logged(text string, part string) string {
	out := part + "\n<6>[    0.000000] Linux version\n"
	for _, w := range postmortem.Lines(text, []byte("1\t5\t0\tstart\tfirstlight 1\t6.1\n"), 8000) {
		out += "<15>[   12.345678] " + strings.ReplaceAll(string(w), "\n", "\n<15>[   12.345678] ") + "\n"
	}
	return out + "<6>[   12.4] reboot: Power down\n"
}

// Most kernels keep only the end of their log; it goes when the machine was
// stopped because of us, and stays when the kernel died.
func TestFailureIsFoundInTheKernelsLog(t *testing.T) {
	o := options(t)
	dir := o.Stores[0] + "/"
	whole := logged("firstlight 1, boot b-failed\nThe system cannot be started.\nWanted: x\n", "Shutdown#1 Part2")
	cut := strings.Index(whole, "Wanted")
	cut = strings.LastIndexByte(whole[:cut], '\n') + 1
	write(t, dir+"dmesg-erst-2", "Shutdown#1 Part1\n"+whole[cut:])
	write(t, dir+"dmesg-erst-1", whole[:cut])
	write(t, dir+"dmesg-erst-0", "Shutdown#1 Part3\n<6>[    0.000000] earlier\n")
	write(t, dir+"dmesg-erst-9", logged("firstlight 1, boot b-2\nThe system cannot be started.\n", "Panic#2 Part1"))
	write(t, o.ESP[0], string(postmortem.Format("firstlight 1, boot b-failed\nThe system", nil, 4000)))
	res := run(t, o)
	if !slices.Equal(res.Failed, []string{"000001-failed", "000002-failed"}) {
		t.Errorf("%+v", res)
	}
	text, err := os.ReadFile(o.To + "/000001-failed/failure.txt")
	if err != nil || string(text) != "firstlight 1, boot b-failed\nThe system cannot be started.\nWanted: x\n" {
		t.Errorf("%q %v", text, err)
	}
	records, err := os.ReadFile(o.To + "/000001-failed/journal")
	if err != nil || string(records) != "firstlight-journal 1\n1\t5\t0\tstart\tfirstlight 1\t6.1\n" {
		t.Errorf("%q %v", records, err)
	}
	left, err := filepath.Glob(dir + "dmesg-*")
	if err != nil || !slices.Equal(left, []string{dir + "dmesg-erst-9"}) {
		t.Errorf("%v %v", left, err)
	}
	// What stays is not collected again, not even when what was kept is gone.
	for _, n := range res.Failed {
		os.RemoveAll(filepath.Join(o.To, n))
	}
	if res := run(t, o); len(res.Failed) != 0 {
		t.Errorf("found again: %+v", res)
	}
}

// A boot that gave up and then found its root after all is running: it is
// listed once, as what it is.
func TestBootThatWentOnIsNoFailure(t *testing.T) {
	o := options(t)
	write(t, o.ESP[0], string(postmortem.Format("firstlight 1, boot "+o.BootID+"\nThe system", nil, 4000)))
	if res := run(t, o); len(res.Failed) != 0 || res.Kept != "000001-b-1" {
		t.Errorf("%+v", res)
	}
	if _, err := os.Stat(o.ESP[0]); err == nil {
		t.Error("the note is still there")
	}
}
