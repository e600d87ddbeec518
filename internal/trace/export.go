package trace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"firstlight/internal/journal"
	"firstlight/internal/version"
)

// Exported is everything that is known of a boot, in one value for JSON.
// Times are nanoseconds since the start of the kernel.
type Exported struct {
	Format     string              `json:"format"` // "firstlight-trace 1"
	Summary    *Summary            `json:"summary"`
	Critical   *Path               `json:"critical_path"`
	Timeline   *Timeline           `json:"timeline"`
	Operations []*Operation        `json:"operations"`
	Waits      []*Wait             `json:"waits"`
	Devices    map[string]*Device  `json:"devices"` // by subject
	Records    []journal.Record    `json:"records"`
	Inferred   []ExportedInference `json:"inferred_causes"`
}

// ExportedInference is a cause that the journal does not name.
type ExportedInference struct {
	Record uint64 `json:"record"`
	Cause  uint64 `json:"cause"`
}

// Export returns everything.
func (b *Boot) Export() *Exported {
	e := &Exported{Format: "firstlight-trace 1", Summary: b.Summary(10), Critical: b.CriticalPath(), Timeline: b.Timeline(),
		Operations: b.Operations, Waits: b.Waits, Devices: b.devices, Records: b.Records, Inferred: []ExportedInference{}}
	for r, c := range b.inferred {
		e.Inferred = append(e.Inferred, ExportedInference{r, c})
	}
	slices.SortFunc(e.Inferred, func(x, y ExportedInference) int { return cmp.Compare(x.Record, y.Record) })
	return e
}

// Perfetto is a trace in the Trace Event Format (JSON object form) that
// ui.perfetto.dev and chrome://tracing open.
type Perfetto struct {
	TraceEvents     []PerfettoEvent `json:"traceEvents"`
	DisplayTimeUnit string          `json:"displayTimeUnit"` // "ms"
	OtherData       map[string]any  `json:"otherData"`
}

// PerfettoEvent is one event; times are microseconds since the start of the
// kernel.
type PerfettoEvent struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"` // M metadata, X complete, b and e an asynchronous span, i instant, s and f a flow
	Time  float64        `json:"ts"`
	Dur   *float64       `json:"dur,omitempty"`
	Pid   int            `json:"pid"`
	Tid   int            `json:"tid"`
	ID    string         `json:"id,omitempty"`
	Scope string         `json:"s,omitempty"`  // of an instant: t, p or g
	Bind  string         `json:"bp,omitempty"` // of the end of a flow: e
	Color string         `json:"cname,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// Rows of the trace that are no subject's.
const (
	perfettoPid   = 1
	tidCritical   = 1
	tidGoals      = 2
	tidFirstQueue = 10
)

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Perfetto converts a boot: a thread for each queue and device, the critical
// path as one of its own, waits beside the operations, arrows from what ended
// a wait to what went on.
func (b *Boot) Perfetto() *Perfetto {
	p := &Perfetto{DisplayTimeUnit: "ms", OtherData: map[string]any{"writer": "firstlight " + version.Version}}
	add := func(e PerfettoEvent) {
		e.Pid = perfettoPid
		p.TraceEvents = append(p.TraceEvents, e)
	}
	meta := func(tid int, what, key string, value any) {
		add(PerfettoEvent{Name: what, Phase: "M", Tid: tid, Args: map[string]any{key: value}})
	}
	span := func(tid int, name, cat, color string, begin, end time.Duration, args map[string]any) {
		d := micro(max(end-begin, 0))
		add(PerfettoEvent{Name: name, Cat: cat, Phase: "X", Time: micro(begin), Dur: &d, Tid: tid, Color: color, Args: args})
	}
	meta(0, "process_name", "name", "firstlight")
	meta(tidCritical, "thread_name", "name", "critical path")
	meta(tidCritical, "thread_sort_index", "sort_index", 0)
	meta(tidGoals, "thread_name", "name", "goals")
	meta(tidGoals, "thread_sort_index", "sort_index", 1)
	path := b.CriticalPath()
	for i := range path.Steps {
		s := &path.Steps[i]
		span(tidCritical, s.Title+": "+s.What, string(s.Class), "", s.Begin, s.End(), map[string]any{"record": s.Record, "inferred": s.Inferred})
	}
	tids := map[string]int{}
	for _, l := range b.Timeline().Lanes {
		if l.quiet {
			continue
		}
		tid := tidFirstQueue + len(tids)
		tids[l.Subject] = tid
		meta(tid, "thread_name", "name", l.Label)
		meta(tid, "thread_sort_index", "sort_index", tid)
	}
	for _, o := range b.Operations {
		color := ""
		args := map[string]any{"record": o.Record, "queue": o.Subject}
		cat := "operation"
		if o.Person {
			cat = "person"
		}
		if o.Error != "" {
			args["error"], color = o.Error, "terrible"
		}
		if o.Result == 0 {
			args["unfinished"] = true
		}
		span(tids[o.Subject], o.What, cat, color, o.Begin, o.End, args)
	}
	for _, w := range b.Waits {
		if b.Idle(w) {
			continue
		}
		id := fmt.Sprint("wait-", w.Record)
		tid := tids[w.Subject]
		args := map[string]any{"record": w.Record, "queue": w.Subject, "topics": w.Topics, "expired": w.Expired, "unfinished": w.Ended == 0}
		add(PerfettoEvent{Name: "wait: " + w.Reason, Cat: "wait", Phase: "b", Time: micro(w.Begin), Tid: tid, ID: id, Args: args})
		add(PerfettoEvent{Name: "wait: " + w.Reason, Cat: "wait", Phase: "e", Time: micro(max(w.End, w.Begin)), Tid: tid, ID: id})
		if end := b.Record(w.Ended); end != nil && w.Waker != "" {
			if by := b.Record(end.Cause); by != nil {
				flow := fmt.Sprint("wake-", w.Ended)
				add(PerfettoEvent{Name: "wakes", Cat: "wake", Phase: "s", Time: micro(by.Time), Tid: tids[by.Subject], ID: flow})
				add(PerfettoEvent{Name: "wakes", Cat: "wake", Phase: "f", Bind: "e", Time: micro(end.Time), Tid: tid, ID: flow})
			}
		}
	}
	for i := range b.Records {
		r := &b.Records[i]
		tid, ok := tids[r.Subject]
		scope := "t"
		switch r.Kind {
		case kindGoal:
			tid, ok, scope = tidGoals, true, "p"
		case kindSwitch, kindDeadline:
			ok, scope = true, "g"
		case kindDecision, kindNote, kindPanic, "warning":
		default:
			continue
		}
		if ok {
			add(PerfettoEvent{Name: r.Kind + " " + r.Subject + ": " + r.Text, Cat: r.Kind, Phase: "i", Time: micro(r.Time), Tid: tid, Scope: scope, Args: map[string]any{"record": r.Number}})
		}
	}
	slices.SortStableFunc(p.TraceEvents, func(a, b PerfettoEvent) int { return cmp.Compare(a.Time, b.Time) })
	return p
}

// OTLP is an ExportTraceServiceRequest of the OpenTelemetry protocol in its
// JSON encoding (opentelemetry-proto, trace/v1): identifiers are hexadecimal,
// 64-bit numbers are strings.
type OTLP struct {
	ResourceSpans []OTLPResourceSpans `json:"resourceSpans"`
}

// OTLPResourceSpans are the spans of one resource: the boot.
type OTLPResourceSpans struct {
	Resource   OTLPResource     `json:"resource"`
	ScopeSpans []OTLPScopeSpans `json:"scopeSpans"`
}

// OTLPResource describes what the spans are of.
type OTLPResource struct {
	Attributes []OTLPAttribute `json:"attributes"`
}

// OTLPScopeSpans are the spans of one instrumentation.
type OTLPScopeSpans struct {
	Scope OTLPScope  `json:"scope"`
	Spans []OTLPSpan `json:"spans"`
}

// OTLPScope names the instrumentation.
type OTLPScope struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// OTLPSpan is a stretch of time.
type OTLPSpan struct {
	TraceID    string          `json:"traceId"` // 32 digits
	SpanID     string          `json:"spanId"`  // 16 digits
	ParentID   string          `json:"parentSpanId,omitempty"`
	Name       string          `json:"name"`
	Kind       int             `json:"kind"` // 1: internal
	Start      string          `json:"startTimeUnixNano"`
	End        string          `json:"endTimeUnixNano"`
	Attributes []OTLPAttribute `json:"attributes,omitempty"`
	Events     []OTLPEvent     `json:"events,omitempty"`
	Links      []OTLPLink      `json:"links,omitempty"`
	Status     OTLPStatus      `json:"status"`
}

// OTLPEvent is a point in time within a span.
type OTLPEvent struct {
	Time       string          `json:"timeUnixNano"`
	Name       string          `json:"name"`
	Attributes []OTLPAttribute `json:"attributes,omitempty"`
}

// OTLPLink points to a span that led to this one.
type OTLPLink struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
}

// OTLPStatus is 0 unset, 1 ok, 2 error.
type OTLPStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

// OTLPAttribute is a name with a value.
type OTLPAttribute struct {
	Key   string    `json:"key"`
	Value OTLPValue `json:"value"`
}

// OTLPValue is one of a string, a number or a truth value.
type OTLPValue struct {
	String *string `json:"stringValue,omitempty"`
	Int    *string `json:"intValue,omitempty"`
	Bool   *bool   `json:"boolValue,omitempty"`
}

func otlpString(key, v string) OTLPAttribute {
	return OTLPAttribute{key, OTLPValue{String: &v}}
}

func otlpInt(key string, v uint64) OTLPAttribute {
	s := fmt.Sprint(v)
	return OTLPAttribute{key, OTLPValue{Int: &s}}
}

func otlpBool(key string, v bool) OTLPAttribute { return OTLPAttribute{key, OTLPValue{Bool: &v}} }

// OTLP converts a boot to spans: the boot; in it the kernel, the goals and
// each queue and device; in those the operations and waits. epoch is the time
// of day at which the kernel started, which a journal does not know. The
// identifiers are made from the journal's content: the same boot has the same.
func (b *Boot) OTLP(epoch time.Time) *OTLP {
	h := sha256.New()
	for i := range b.Records {
		r := &b.Records[i]
		fmt.Fprintf(h, "%d\t%d\t%d\t%q\t%q\t%q\n", r.Number, r.Time, r.Cause, r.Kind, r.Subject, r.Text)
	}
	sum := h.Sum(nil)
	trace := hex.EncodeToString(sum[:16])
	id := func(kind, name string) string {
		x := sha256.Sum256([]byte(trace + "\x00" + kind + "\x00" + name))
		return hex.EncodeToString(x[:8])
	}
	at := func(d time.Duration) string { return fmt.Sprint(epoch.UnixNano() + int64(max(d, 0))) }
	var spans []OTLPSpan
	add := func(s OTLPSpan, begin, end time.Duration) *OTLPSpan {
		s.TraceID, s.Kind, s.Start, s.End = trace, 1, at(begin), at(max(begin, end))
		spans = append(spans, s)
		return &spans[len(spans)-1]
	}
	sm := b.Summary(0)
	root := id("boot", "")
	boot := OTLPSpan{SpanID: root, Name: "boot", Status: OTLPStatus{Code: 1},
		Attributes: []OTLPAttribute{otlpString("firstlight.version", sm.Version), otlpString("firstlight.kernel", sm.Kernel), otlpBool("firstlight.switched", sm.Switched)}}
	if !sm.Switched {
		boot.Status = OTLPStatus{2, "the real system was not started"}
	}
	for i := range b.Records {
		switch r := &b.Records[i]; r.Kind {
		case kindSwitch, kindDeadline, kindPanic, "warning", "overflow":
			boot.Events = append(boot.Events, OTLPEvent{at(r.Time), r.Kind, []OTLPAttribute{otlpString("firstlight.subject", r.Subject), otlpString("firstlight.text", r.Text), otlpInt("firstlight.record", r.Number)}})
		}
	}
	add(boot, 0, b.Ended)
	add(OTLPSpan{SpanID: id("kernel", ""), ParentID: root, Name: "kernel"}, 0, b.Started)
	t := b.Timeline()
	for _, g := range t.Goals {
		s := OTLPSpan{SpanID: id("goal", g.Subject), ParentID: root, Name: "goal " + g.Subject, Attributes: []OTLPAttribute{otlpString("firstlight.want", g.Longest)}}
		if g.Error != "" {
			s.Status = OTLPStatus{2, g.Error}
		}
		add(s, g.Begin, g.End)
	}
	critical := map[uint64]time.Duration{}
	for _, s := range b.CriticalPath().Steps {
		critical[s.Operation] += s.Took
	}
	loud := map[string]bool{} // subjects that have a span
	for _, l := range t.Lanes {
		loud[l.Subject] = !l.quiet
	}
	for _, l := range t.Lanes {
		if l.quiet {
			continue
		}
		queue := id("queue", l.Subject)
		add(OTLPSpan{SpanID: queue, ParentID: root, Name: l.Label, Attributes: []OTLPAttribute{otlpString("firstlight.queue", l.Subject), otlpBool("firstlight.critical", l.Critical)}}, l.Begin, l.End)
		for _, w := range b.bySubject().waits[l.Subject] {
			if b.Idle(w) {
				continue
			}
			s := OTLPSpan{SpanID: id("wait", fmt.Sprint(w.Record)), ParentID: queue, Name: "wait: " + w.Reason,
				Attributes: []OTLPAttribute{otlpInt("firstlight.record", w.Record), otlpBool("firstlight.wait", true), otlpBool("firstlight.expired", w.Expired)}}
			if loud[w.Waker] {
				s.Links = []OTLPLink{{trace, id("queue", w.Waker)}}
			}
			add(s, w.Begin, w.End)
		}
		for _, o := range b.bySubject().operations[l.Subject] {
			s := OTLPSpan{SpanID: id("operation", fmt.Sprint(o.Record)), ParentID: queue, Name: o.What, Status: OTLPStatus{Code: 1},
				Attributes: []OTLPAttribute{otlpInt("firstlight.record", o.Record), otlpBool("firstlight.person", o.Person), otlpInt("firstlight.critical_ns", uint64(max(critical[o.Record], 0)))}}
			switch {
			case o.Error != "":
				s.Status = OTLPStatus{2, o.Error}
			case o.Result == 0:
				s.Status = OTLPStatus{}
			}
			add(s, o.Begin, o.End)
		}
	}
	return &OTLP{[]OTLPResourceSpans{{
		Resource: OTLPResource{[]OTLPAttribute{otlpString("service.name", "firstlight"), otlpString("service.version", sm.Version), otlpString("os.type", "linux"), otlpString("os.version", sm.Kernel)}},
		ScopeSpans: []OTLPScopeSpans{{
			Scope: OTLPScope{"firstlight", version.Version},
			Spans: spans,
		}},
	}}}
}
