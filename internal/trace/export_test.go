package trace

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// decode is what another program sees of a value.
func decode(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The rules of the Trace Event Format: each phase has what it needs, spans of
// a thread nest, asynchronous spans and flows have both ends.
func TestPerfettoIsValid(t *testing.T) {
	for _, name := range fixtures {
		b := fixture(t, name)
		m := decode(t, b.Perfetto())
		if m["displayTimeUnit"] != "ms" {
			t.Errorf("%s: displayTimeUnit %v", name, m["displayTimeUnit"])
		}
		threads, open := map[float64]bool{}, map[string]int{}
		type span struct{ from, to float64 }
		spans := map[float64][]span{}
		complete, last := 0, 0.0
		for _, e := range m["traceEvents"].([]any) {
			e := e.(map[string]any)
			ts, okTime := e["ts"].(float64)
			tid, okTid := e["tid"].(float64)
			label, okName := e["name"].(string)
			if pid, ok := e["pid"].(float64); !ok || pid != perfettoPid || !okTid || !okName || !okTime || ts < 0 || label == "" || math.IsNaN(ts) {
				t.Fatalf("%s: %v", name, e)
			}
			if ts < last {
				t.Errorf("%s: not in order: %v", name, e)
			}
			last = ts
			key := fmt.Sprint(e["cat"], e["id"], e["name"])
			switch e["ph"] {
			case "M":
				if label == "thread_name" {
					threads[tid] = true
				}
				if _, ok := e["args"].(map[string]any); !ok {
					t.Errorf("%s: metadata without arguments: %v", name, e)
				}
			case "X":
				d, ok := e["dur"].(float64)
				if !ok || d < 0 {
					t.Errorf("%s: %v", name, e)
				}
				spans[tid] = append(spans[tid], span{ts, ts + d})
				complete++
			case "b", "s":
				open[key]++
			case "e", "f":
				open[key]--
				if e["ph"] == "f" && e["bp"] != "e" {
					t.Errorf("%s: %v", name, e)
				}
			case "i":
				if !slices.Contains([]any{"t", "p", "g"}, e["s"]) {
					t.Errorf("%s: %v", name, e)
				}
			default:
				t.Errorf("%s: phase %v", name, e["ph"])
			}
			if e["ph"] == "X" && !threads[tid] {
				t.Errorf("%s: thread %v has no name", name, tid)
			}
		}
		for k, n := range open {
			if n != 0 {
				t.Errorf("%s: %s has %d begins more than ends", name, k, n)
			}
		}
		for tid, l := range spans {
			for i, x := range l {
				for _, y := range l[i+1:] {
					if x.from < y.from && y.from < x.to-0.001 && y.to > x.to+0.001 {
						t.Errorf("%s: thread %v: %v and %v overlap", name, tid, x, y)
					}
				}
			}
		}
		if want := len(b.Operations) + len(b.CriticalPath().Steps); complete != want {
			t.Errorf("%s: %d spans, want %d", name, complete, want)
		}
	}
}

// The rules of OTLP's JSON encoding: identifiers in hexadecimal of their
// length, numbers of 64 bits as strings, parents and links that exist,
// children within the trace, attributes of one type each.
func TestOTLPIsValid(t *testing.T) {
	epoch := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range fixtures {
		b := fixture(t, name)
		m := decode(t, b.OTLP(epoch))
		attributes := func(l any) {
			if l == nil {
				return
			}
			for _, a := range l.([]any) {
				a := a.(map[string]any)
				v := a["value"].(map[string]any)
				if key, ok := a["key"].(string); !ok || key == "" || len(v) != 1 {
					t.Errorf("%s: attribute %v", name, a)
				}
				for k, x := range v {
					switch s, isString := x.(string); k {
					case "stringValue":
						if !isString {
							t.Errorf("%s: %v", name, a)
						}
					case "intValue":
						if _, err := strconv.ParseInt(s, 10, 64); err != nil {
							t.Errorf("%s: %v", name, a)
						}
					case "boolValue":
						if _, ok := x.(bool); !ok {
							t.Errorf("%s: %v", name, a)
						}
					default:
						t.Errorf("%s: attribute of type %s", name, k)
					}
				}
			}
		}
		rs := m["resourceSpans"].([]any)[0].(map[string]any)
		attributes(rs["resource"].(map[string]any)["attributes"])
		ss := rs["scopeSpans"].([]any)[0].(map[string]any)
		if ss["scope"].(map[string]any)["name"] != "firstlight" {
			t.Errorf("%s: scope %v", name, ss["scope"])
		}
		id := func(v any, bytes int) string {
			s, _ := v.(string)
			if raw, err := hex.DecodeString(s); err != nil || len(raw) != bytes || strings.Trim(s, "0") == "" {
				t.Errorf("%s: identifier %v", name, v)
			}
			return s
		}
		nano := func(v any) int64 {
			s, _ := v.(string)
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < epoch.UnixNano() || n > epoch.Add(b.Ended).UnixNano() {
				t.Errorf("%s: time %v", name, v)
			}
			return n
		}
		spans := ss["spans"].([]any)
		known := map[string]bool{}
		roots := 0
		for _, s := range spans {
			x := id(s.(map[string]any)["spanId"], 8)
			if known[x] {
				t.Errorf("%s: two spans have the identifier %s", name, x)
			}
			known[x] = true
		}
		for _, s := range spans {
			s := s.(map[string]any)
			id(s["traceId"], 16)
			if s["traceId"] != spans[0].(map[string]any)["traceId"] {
				t.Errorf("%s: another trace: %v", name, s)
			}
			if p, ok := s["parentSpanId"]; !ok {
				roots++
			} else if !known[id(p, 8)] {
				t.Errorf("%s: the parent of %v is missing", name, s["name"])
			}
			if nano(s["startTimeUnixNano"]) > nano(s["endTimeUnixNano"]) || s["kind"] != 1.0 || s["name"] == "" {
				t.Errorf("%s: %v", name, s)
			}
			if links, ok := s["links"].([]any); ok {
				for _, l := range links {
					l := l.(map[string]any)
					if id(l["traceId"], 16); !known[id(l["spanId"], 8)] {
						t.Errorf("%s: %v links to what is not there", name, s["name"])
					}
				}
			}
			if events, ok := s["events"].([]any); ok {
				for _, e := range events {
					e := e.(map[string]any)
					nano(e["timeUnixNano"])
					attributes(e["attributes"])
				}
			}
			attributes(s["attributes"])
			if code := s["status"].(map[string]any)["code"].(float64); code < 0 || code > 2 {
				t.Errorf("%s: status %v", name, s["status"])
			}
		}
		if roots != 1 {
			t.Errorf("%s: %d spans have no parent", name, roots)
		}
		if again, _ := json.Marshal(b.OTLP(epoch)); string(again) != func() string { x, _ := json.Marshal(fixture(t, name).OTLP(epoch)); return string(x) }() {
			t.Errorf("%s: the same boot is written differently", name)
		}
	}
}

func TestExportHoldsEverything(t *testing.T) {
	b := fixture(t, "raid-lvm-luks")
	m := decode(t, b.Export())
	if m["format"] != "firstlight-trace 1" || len(m["records"].([]any)) != len(b.Records) || len(m["operations"].([]any)) != len(b.Operations) ||
		len(m["waits"].([]any)) != len(b.Waits) || len(m["inferred_causes"].([]any)) == 0 || m["devices"].(map[string]any)["dev /devices/virtual/block/dm-1"] == nil {
		t.Errorf("%.300v", m)
	}
}

// svgTexts parses a picture and returns what is written in it and how many
// elements of each name it has.
func svgTexts(t *testing.T, name, svg string) (texts []string, elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, elements
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch x := tok.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(x)); s != "" {
				texts = append(texts, s)
			}
		case xml.StartElement:
			elements[x.Name.Local]++
			for _, a := range x.Attr {
				if v, err := strconv.ParseFloat(a.Value, 64); err == nil && (slices.Contains([]string{"width", "height"}, a.Name.Local) && v < 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
					t.Errorf("%s: %s %s=%s", name, x.Name.Local, a.Name.Local, a.Value)
				}
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || strings.Contains(a.Value, "http") && a.Name.Local != "xmlns" {
					t.Errorf("%s: it does not stand for itself: %s=%s", name, a.Name.Local, a.Value)
				}
			}
		}
	}
}

// The picture in the documentation is what the command draws.
func TestPictureInTheDocumentation(t *testing.T) {
	golden(t, "../../docs/boot.svg", fixture(t, "raid-lvm-luks").SVG(DefaultLines))
}

func TestPictureHoldsWhatMattered(t *testing.T) {
	for name, want := range map[string][]string{
		"raid-lvm-luks": {"22.58 s to the real system", "critical path", "unlock /dev/dm-0 as cryptroot", "goal root", "luks 13e535fd…", "waited", "/init 7.210 s"},
		"late":          {"23.94 s to the real system", "deadline: goal root", "emergency shell", "drawn short, not to scale"},
		"lost":          {"the real system was not started in 21.75 s", "deadline: goal root", "emergency shell"},
		"plain":         {"13.17 s to the real system", "vda2 (ext4)", "load fs-ext4"},
	} {
		svg := fixture(t, name).SVG(DefaultLines)
		texts, elements := svgTexts(t, name, svg)
		for _, w := range want {
			if !slices.Contains(texts, w) {
				t.Errorf("%s: %q is not in the picture", name, w)
			}
		}
		if !strings.Contains(svg, "prefers-color-scheme:dark") || elements["title"] < 15 || elements["pattern"] != 1 || elements["path"] < 3 || elements["script"] != 0 {
			t.Errorf("%s: %v", name, elements)
		}
	}
}

// The line of the critical path ends where the decision fell, at the row of
// what made it.
func TestPictureDrawsTheCriticalPath(t *testing.T) {
	b := fixture(t, "raid-lvm-luks")
	p := &plot{boot: b, t: b.Timeline()}
	p.kernel = kernelShare * (plotRight - plotLeft)
	svg := b.SVG(DefaultLines)
	_, rest, _ := strings.Cut(svg, `<path class="crit" d="M`)
	line, _, _ := strings.Cut(rest, `"`)
	if want := fmt.Sprintf("H%.1f", p.x(b.Record(b.Switched).Time)); !strings.HasSuffix(line, want) || !strings.HasPrefix(line, fmt.Sprintf("%.1f ", plotLeft)) {
		t.Errorf("%s: want it to end with %s", line, want)
	}
}

// Neither many devices, nor many operations of one, nor hostile text spoil
// the picture.
func TestPictureOfAnythingIsWellFormed(t *testing.T) {
	m := large(2000)
	if svg := New(m.records).SVG(DefaultLines); len(svg) > 100<<10 {
		t.Errorf("%d bytes", len(svg))
	}
	svgTexts(t, "all of 2000 devices", New(m.records).SVG(0))
	m = &maker{}
	q := m.add(0, 0, "queue", "root", "add")
	for i := range 50_000 {
		m.add(i, m.add(i, q, "do", "root", "again"), "result", "root", "ok")
	}
	if svg := New(m.records).SVG(DefaultLines); len(svg) > 1<<20 {
		t.Errorf("50000 operations in one row: %d bytes", len(svg))
	}
	m = &maker{}
	evil := "\x1b]0;x\a\u009b2J\x7f\xff\n<script>alert(1)</script>&amp;\"'\ufffe\u202e\x00]]>"
	q = m.add(0, 0, "queue", "dev /devices/"+evil, evil)
	m.add(5, m.add(1, q, "do", "dev /devices/"+evil, evil), "result", "dev /devices/"+evil, evil)
	m.add(5, q, "content", "dev /devices/"+evil, evil, "device="+evil, "name="+evil, "uuid="+evil)
	m.add(6, q, "wait", evil, evil, "topic="+evil)
	m.add(6, q, "goal", evil, "given up", "want="+evil, "reason="+evil)
	m.add(7, q, "deadline", evil, "passed")
	_, elements := svgTexts(t, "hostile", New(m.records).SVG(0))
	if elements["script"] != 0 {
		t.Error("a journal brought a script into the picture")
	}
	for _, records := range [][]int{{}, {0}} {
		m = &maker{}
		for _, ms := range records {
			m.add(ms, 0, "say", "", "x")
		}
		svgTexts(t, "empty", New(m.records).SVG(5))
	}
}

// A journal as large and as tangled as one can be is read in seconds.
func TestLargestJournalIsNotTooMuch(t *testing.T) {
	m := &maker{}
	last := m.add(0, 0, "start", "x", "y")
	for i := range 8_000 {
		s := fmt.Sprintf("dev /devices/virtual/block/dm-%d", i)
		if i%3 == 0 {
			s = fmt.Sprintf("q %d", i%50)
		}
		q := m.add(i, last*uint64(i%2), "queue", s, "add /dev/x")
		w := m.add(i, q, "wait", s, "x", "topic=y")
		k := m.add(i, last, "wake", s, "y", fmt.Sprint("wait=", w))
		last = m.add(i+1, m.add(i, k, "do", s, "read"), "result", s, "ok")
	}
	m.add(8_001, last, "switch-root", "boot", "/sbin/init")
	start := processTime(t)
	b := New(m.records)
	s := Style{Width: 80}
	_ = b.CriticalPath().Text(s, false) + b.Blame(ByQueue).Text(s, 5) + b.SVG(40) + b.SVG(0) + Compare(b, b).Text(s, 5, "a", "b") + b.Why(Target{Subject: "boot"}).Text(s) + b.Timeline().Text(s, 40)
	b.Perfetto()
	b.OTLP(time.Unix(0, 0))
	// It takes less than a second; what grew with the square would take minutes.
	if took := processTime(t) - start; took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// processTime is the time that this process has had the processor, which other
// processes do not lengthen.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano())
}

func TestTimesThatGoBack(t *testing.T) {
	m := &maker{}
	a := m.add(9, 0, "start", "x", "y")
	c := m.add(12, m.add(3, a, "do", "q", "x"), "result", "q", "ok")
	m.add(12, c, "switch-root", "boot", "/sbin/init")
	if p := New(m.records).CriticalPath(); p.Total != 12e6 || m.records[1].Time != 3e6 {
		t.Errorf("%+v", p)
	}
}
