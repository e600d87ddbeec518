package report

import (
	"reflect"
	"testing"
)

// Lines as two kernels write them: 6.12 names the priority too.
const record = `# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
   systemd-udevd-212     [000] .....     2.103456: block_rq_issue: 254,0 R 4096 () 2048 + 8 [systemd-udevd]
     kworker/0:1H-58     [000] .....     2.203456: block_rq_issue: 254,0 WSM 512 () 2056 + 1 [kworker/0:1H]
     kworker/0:1H-58     [000] .....     2.303456: block_rq_issue: 254,16 FF 0 () 0 + 0 none,0,0 [kworker/0:1H]
             a b-77      [000] .....     2.403456: block_rq_issue: 254,16 D 4096 () 8 + 8 none,0,0 [a b]
             a b-77      [000] .....     2.503456: block_rq_issue: 7,0 W 4096 () 8 + 8 none,0,0 [a b]
             a b-77      [000] .....     2.603456: block_rq_issue: 254,16 RA 4096 () 8 + 8 none,0,0 [a b]
`

func TestRequestsOfTheKernelsRecord(t *testing.T) {
	names := map[string]string{"254,0": "d0", "254,16": "d1"}
	got := ParseRequests([]byte(record), func(dev string) string { return names[dev] })
	want := &Requests{Reads: map[string]int{"d0": 1, "d1": 1}, Micros: 2603456, Writes: []Write{
		{2203456, "d0", "WSM", 2056, 1, "kworker/0:1H"}, {2403456, "d1", "D", 8, 8, "b"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if s := got.Writes[0].String(); s != "d0 WSM 2056+1 by kworker/0:1H at 2.203456" {
		t.Error(s)
	}
}
