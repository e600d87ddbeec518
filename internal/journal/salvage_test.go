package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// One spoilt line costs that line and no other, and is named.
func TestSalvageKeepsWhatCanBeRead(t *testing.T) {
	good := func(n int) string { return fmt.Sprintf("%d\t%d\t0\tsay\t\ttext %d\n", n, n*10, n) }
	for name, c := range map[string]struct {
		text  string
		kept  int
		lines []int
		why   string
	}{
		"nothing wrong":    {good(1) + good(2), 2, nil, ""},
		"cut off":          {good(1) + "2\t3", 1, []int{3}, "cut off"},
		"few columns":      {good(1) + "2\t20\t0\tsay\n" + good(3), 2, []int{3}, "4 of at least 6 columns"},
		"no number":        {good(1) + "x\t20\t0\tsay\t\t\n" + good(3), 2, []int{3}, `number "x" is no number`},
		"no time":          {good(1) + "2\t-1\t0\tsay\t\t\n" + good(3), 2, []int{3}, `time "-1" is no number`},
		"absurd time":      {good(1) + "2\t99999999999999999\t0\tsay\t\t\n" + good(3), 2, []int{3}, "longer than any boot"},
		"no cause":         {good(1) + "2\t1\t\tsay\t\t\n" + good(3), 2, []int{3}, `cause "" is no number`},
		"cause of later":   {good(1) + "2\t1\t2\tsay\t\t\n" + good(3), 2, []int{3}, "cause 2 is not an earlier record"},
		"number repeated":  {good(1) + good(1) + good(2), 2, []int{3}, "number 1 does not follow 1"},
		"empty line":       {good(1) + "\n" + good(2), 2, []int{3}, "1 of at least 6"},
		"two, and a crash": {"a\n" + good(1) + "b\n" + good(2) + "c", 2, []int{2, 4, 6}, "columns"},
	} {
		records, problems, err := Salvage(strings.NewReader(Header + c.text))
		var lines []int
		for _, p := range problems {
			lines = append(lines, p.Line)
			if p.Cut != (p.Why == "it was cut off") {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if err != nil || len(records) != c.kept || fmt.Sprint(lines) != fmt.Sprint(c.lines) || len(problems) > 0 && !strings.Contains(problems[0].Why, c.why) {
			t.Errorf("%s: %d records, %+v, %v", name, len(records), problems, err)
		}
	}
}

func TestSalvageOfWhatIsNoJournal(t *testing.T) {
	for _, text := range []string{"", "hello\n", "firstlight-journal 2\n", "firstlight-journal 1"} {
		if _, _, err := Salvage(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
	broken := errors.New("I/O error")
	if _, _, err := Salvage(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A file without end, or with nothing but faults, costs bounded memory.
func TestSalvageIsBounded(t *testing.T) {
	records, problems, err := Salvage(strings.NewReader(Header + strings.Repeat("1\t2\t0\ta\t\t\n", 20_000)))
	if err != nil || len(records) != 1 || len(problems) != MaxProblems+1 {
		t.Errorf("%d records, %d problems, %v", len(records), len(problems), err)
	}
	_, problems, err = Salvage(strings.NewReader(Header + "1\t2\t0\ta\t\t" + strings.Repeat("x", 2*MaxBytes)))
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Why, "longer than a journal can be") || problems[0].Cut {
		t.Errorf("%+v %v", problems, err)
	}
}

// Salvage finds whatever Read finds, and nothing else where Read finds no
// fault.
func FuzzSalvage(f *testing.F) {
	f.Add(Header + "1\t2\t0\tsay\t\ta\\tb\n2\t3\t1\tx\ty\tz\ta=b\n")
	f.Add(Header + "1\t2\t0\tsay\n\n3\t3\t1\tx\ty\tz")
	f.Fuzz(func(t *testing.T, text string) {
		want, cut, errRead := ReadCut(strings.NewReader(text))
		got, problems, err := Salvage(strings.NewReader(text))
		if len(problems) > MaxProblems+1 {
			t.Errorf("%d problems", len(problems))
		}
		if errRead != nil {
			if err == nil && len(problems) == 0 {
				t.Errorf("Read says %v, Salvage nothing", errRead)
			}
			return
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || cut != (len(problems) == 1 && problems[0].Cut) {
			t.Errorf("%v %v, want %v, cut %v", got, problems, want, cut)
		}
	})
}
