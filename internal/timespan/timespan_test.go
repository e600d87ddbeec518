package timespan

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
)

var spans = []struct {
	text string
	want time.Duration
}{
	{"90", 90 * time.Second}, {"0", 0}, {"90s", 90 * time.Second}, {"1min30s", 90 * time.Second},
	{"1min 30s", 90 * time.Second}, {"1.5", 1500 * time.Millisecond}, {"2h", 2 * time.Hour},
	{"500ms", 500 * time.Millisecond}, {"1d 2 hours", 26 * time.Hour}, {"5m", 5 * time.Minute},
	{".5min", 30 * time.Second}, {"1w", 168 * time.Hour}, {"1y", 31557600 * time.Second},
	{"1M", 2629800 * time.Second}, {"3us", 3 * time.Microsecond}, {"20 sec", 20 * time.Second},
}

func TestParse(t *testing.T) {
	for _, c := range spans {
		if got, err := Parse(c.text); err != nil || got != c.want {
			t.Errorf("Parse(%q) = %v, %v; want %v", c.text, got, err, c.want)
		}
	}
	if got, err := Parse("infinity"); err != nil || got != Forever {
		t.Errorf("infinity is %v, %v", got, err)
	}
	for _, text := range []string{"", " ", "-1", "s", "1x", "1 min x", "99999999999999999999", "400y", "1e3", "."} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v; want an error", text, got)
		}
	}
}

// systemd itself reads the same.
func TestParsesAsSystemd(t *testing.T) {
	testtool.Need(t, "systemd-analyze")
	args := []string{"timespan"}
	for _, c := range spans {
		args = append(args, c.text)
	}
	out, err := exec.Command(testtool.Path("systemd-analyze"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	i := 0
	for line := range strings.Lines(string(out)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "s: ")
		if !ok || name != "μ" && name != "u" {
			continue
		}
		us, err := strconv.ParseInt(value, 10, 64)
		if err != nil || i >= len(spans) {
			t.Fatalf("systemd-analyze: %q, %v", line, err)
		}
		if got := spans[i].want.Microseconds(); got != us {
			t.Errorf("%q: %d µs; systemd has %d", spans[i].text, got, us)
		}
		i++
	}
	if i != len(spans) {
		t.Errorf("systemd-analyze answered %d of %d", i, len(spans))
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range spans {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := Parse(text); d < 0 || err != nil && d != 0 {
			t.Fatalf("%q: %v, %v", text, d, err)
		}
	})
}
