package sysctl

import (
	"strings"
	"testing"
)

// What counts of several settings of one parameter, and in what order they are applied.
func TestWhatIsApplied(t *testing.T) {
	for _, tt := range []struct{ text, table, says string }{
		{"kernel.sysrq = 1\n", "=kernel/sysrq=1\n", ""},
		{"# a\n; b\n\nkernel/sysrq=1\nvm.swappiness=10\nkernel.sysrq=  0 \n", "=vm/swappiness=10\n=kernel/sysrq=0\n", ""},
		{"net.ipv4.conf.enp3s0/200.forwarding=1", "=net/ipv4/conf/enp3s0.200/forwarding=1\n", ""},
		{"net/ipv4/conf/enp3s0.200/forwarding=1", "=net/ipv4/conf/enp3s0.200/forwarding=1\n", ""},
		{"-kernel.a=1", "-kernel/a=1\n", ""},
		{"net.ipv4.conf.lo.rp_filter=0\nnet.ipv4.conf.*.rp_filter=2\n-net.ipv4.conf.all.rp_filter\n", "!net/ipv4/conf/all/rp_filter\n*net/ipv4/conf/*/rp_filter=2\n=net/ipv4/conf/lo/rp_filter=0\n", ""},
		{"-net.*.x=1", "*-net/*/x=1\n", ""},
		{"kernel.core_pattern=|/bin/a b=c %p", "=kernel/core_pattern=|/bin/a b=c %p\n", ""},
		{"a\nb.c=1", "=b/c=1\n", "x.conf:1: \"a\" has no value"},
		{"../etc/passwd=1", "", "names no parameter"},
		{"a..b=1", "", "names no parameter"},
		{"a.[b=1", "", "syntax error"},
		{"=1", "", "names no parameter"},
	} {
		list, errs := Parse("x.conf", []byte(tt.text))
		said := ""
		for _, err := range errs {
			said += err.Error()
		}
		if got := string(Table(Order(list))); got != tt.table || (tt.says == "") != (said == "") || !strings.Contains(said, tt.says) {
			t.Errorf("%q: %q (%s), want %q", tt.text, got, said, tt.table)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a.b=1\n-c.*.d\n*=2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Parse("x", b)
		for line := range strings.Lines(string(Table(Order(list)))) {
			if strings.Contains(line, "/../") || strings.ContainsRune("!-*=", rune(line[0])) == false {
				t.Errorf("%q", line)
			}
		}
	})
}
