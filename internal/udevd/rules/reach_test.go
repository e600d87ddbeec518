package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/udevd/rules"
)

// TestDecidedAhead: deciding SUBSYSTEM and ACTION when the table is made, and
// leaving out what a GOTO always skips, changes nothing. Random rules are
// applied by the evaluator and, rule by rule, here.
func TestDecidedAhead(t *testing.T) {
	type cond struct {
		text  string
		holds func(subsystem, action, kernel string) bool
	}
	conds := []cond{
		{`SUBSYSTEM=="block"`, func(s, a, k string) bool { return s == "block" }},
		{`SUBSYSTEM!="block"`, func(s, a, k string) bool { return s != "block" }},
		{`SUBSYSTEM=="net|block"`, func(s, a, k string) bool { return s == "net" || s == "block" }},
		{`SUBSYSTEM!="n*"`, func(s, a, k string) bool { return !strings.HasPrefix(s, "n") }},
		{`SUBSYSTEM==i"NET"`, func(s, a, k string) bool { return strings.EqualFold(s, "net") }},
		{`SUBSYSTEM=="?*"`, func(s, a, k string) bool { return s != "" }},
		{`SUBSYSTEM=="|net"`, func(s, a, k string) bool { return s == "" || s == "net" }},
		{`SUBSYSTEM=="subsystem"`, func(s, a, k string) bool { return s == "bus" || s == "class" || s == "subsystem" }},
		{`ACTION=="add"`, func(s, a, k string) bool { return a == "add" }},
		{`ACTION!="remove|change"`, func(s, a, k string) bool { return a != "remove" && a != "change" }},
		{`ACTION=="[ab]*"`, func(s, a, k string) bool { return a[0] == 'a' || a[0] == 'b' }},
		{`KERNEL=="x"`, func(s, a, k string) bool { return k == "x" }},
		{`KERNEL!="x"`, func(s, a, k string) bool { return k != "x" }},
	}
	type rule struct {
		conds []cond
		set   bool
		jump  int // to the label after rule jump, -1
	}
	sys := fakeSys(t, map[string]string{"/class/.keep": ""})
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 150 {
		rs := make([]rule, 3+r.IntN(12))
		text := ""
		for i := range rs {
			x := &rs[i]
			x.jump = -1
			var keys []string
			for range r.IntN(3) {
				x.conds = append(x.conds, conds[r.IntN(len(conds))])
				keys = append(keys, x.conds[len(x.conds)-1].text)
			}
			if r.IntN(2) == 0 {
				x.jump = i + r.IntN(len(rs)-i)
				keys = append(keys, fmt.Sprintf(`GOTO="l%d"`, x.jump))
			}
			if x.jump < 0 || r.IntN(3) == 0 {
				x.set = true
				keys = append(keys, fmt.Sprintf(`ENV{X%d}="1"`, i))
			}
			text += strings.Join(keys, ", ") + fmt.Sprintf("\nLABEL=\"l%d\"\n", i)
		}
		tab := lenient(t, text)
		for _, s := range []string{"block", "net", "NET", "nfc", "misc", "bus", "class", ""} {
			for _, a := range []string{"add", "remove", "change", "bind", "offline", "odd"} {
				for _, k := range []string{"x", "y"} {
					want := ""
					for i := 0; i < len(rs); i++ {
						ok := true
						for _, c := range rs[i].conds {
							ok = ok && c.holds(s, a, k)
						}
						if ok && rs[i].set {
							want += fmt.Sprintf(" X%d", i)
						}
						if ok && rs[i].jump >= 0 {
							i = rs[i].jump // the label stands behind that rule
						}
					}
					dev := device.New(sys, "/devices/"+k, map[string]string{"SUBSYSTEM": s})
					if _, err := rules.Evaluate(tab, dev, rules.Event{Action: a}, &fakeEnv{}); err != nil {
						t.Fatal(err)
					}
					got := ""
					for i := range rs {
						if dev.HasProperty(fmt.Sprintf("X%d", i)) {
							got += fmt.Sprintf(" X%d", i)
						}
					}
					if got != want {
						t.Fatalf("round %d, %q %s %s: got%s, want%s\n%s", round, s, a, k, got, want, text)
					}
				}
			}
		}
	}
}
