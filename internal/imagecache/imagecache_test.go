package imagecache

import (
	"strings"
	"testing"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
)

func TestWhatIsKeptIsUsedOnlyIfItIsRight(t *testing.T) {
	const url = "http://server/root.sfs"
	u, err := fetchplan.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	ours := Record{URL: url, Known: `"1"`, Sum: strings.Repeat("ab", 32), Done: 10}
	for name, c := range map[string]struct {
		keep fetchplan.Keep
		f    Found
		want Choice
	}{
		"right":                            {fetchplan.Keep{}, Found{File: true, Ours: true, Right: true}, Choice{Step: Use}},
		"right, put there by a person":     {fetchplan.Keep{}, Found{File: true, Right: true}, Choice{Step: Use}},
		"right, and the network is not up": {fetchplan.Keep{Offline: true, Newer: 9}, Found{File: true, Ours: true, Right: true, Record: ours}, Choice{Step: Use}},
		"right, and perhaps old":           {fetchplan.Keep{Newer: 9}, Found{File: true, Ours: true, Right: true, Record: ours}, Choice{Step: Ask, Known: `"1"`}},
		"right, from another place":        {fetchplan.Keep{Newer: 9}, Found{File: true, Ours: true, Right: true, Record: Record{URL: "http://x/y", Known: `"1"`}}, Choice{Step: Use}},
		"wrong":                            {fetchplan.Keep{}, Found{File: true, Ours: true, Record: ours}, Choice{Step: Get}},
		"none, offline":                    {fetchplan.Keep{Offline: true}, Found{}, Choice{Step: Absent}},
		"none":                             {fetchplan.Keep{}, Found{}, Choice{Step: Get}},
		"in part":                          {fetchplan.Keep{}, Found{Part: Record{URL: url, Known: `"2"`, Done: 7}, PartSize: 9}, Choice{Step: Get, From: 7, Known: `"2"`}},
		"in part, without a name":          {fetchplan.Keep{}, Found{Part: Record{URL: url, Done: 7}, PartSize: 9}, Choice{Step: Get}},
		"in part, of another URL":          {fetchplan.Keep{}, Found{Part: Record{URL: url + "x", Known: `"2"`, Done: 7}, PartSize: 9}, Choice{Step: Get}},
	} {
		if got, err := Choose(fetchplan.Plan{Into: Dir + "/d/root.sfs", Keep: &c.keep}, u, c.f); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	_, err = Choose(fetchplan.Plan{Into: Dir + "/d/root.sfs", Keep: &fetchplan.Keep{Disk: "/dev/vda1"}}, u, Found{File: true, Why: "it is wrong"})
	if r := fetch.Final(err); r == nil || !strings.Contains(r.Text, "not overwritten") {
		t.Error(err)
	}
}

func TestADiskIsNotFilled(t *testing.T) {
	if got := Room(100<<20, 1000<<20, 0); got != 50<<20 {
		t.Error(got)
	}
	if got := Room(10<<20, 1000<<20, 30<<20); got != 0 {
		t.Error(got)
	}
}

func TestOnlyPathsOnTheDiskAreTaken(t *testing.T) {
	if dir, name, err := Inside(Dir + "/a/b/root.sfs"); dir != "a/b" || name != "root.sfs" || err != nil {
		t.Error(dir, name, err)
	}
	for _, bad := range []string{"/etc/shadow", Dir, Dir + "/../x", Dir + "x/y", Dir + "//x"} {
		if dir, name, err := Inside(bad); err == nil {
			t.Errorf("%s was taken: %s, %s", bad, dir, name)
		}
	}
}

// A record is read from a disk, and what is in it is sent to a server.
func FuzzRecord(f *testing.F) {
	f.Add(Record{URL: "http://s/x", Known: `"1"`, Sum: strings.Repeat("ab", 32), Done: 1 << 40}.String())
	f.Add("firstlight-kept - url=x known=a\\x0d\\x0ab done=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ParseRecord(text)
		if !ok {
			return
		}
		if r.Done < 0 || strings.ContainsAny(r.Known, "\r\n\x00") {
			t.Errorf("%q: %+v", text, r)
		}
		if again, ok := ParseRecord(r.String()); !ok || again != r {
			t.Errorf("%q: %+v, then %+v", text, r, again)
		}
	})
}
