package pid1

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/console"
	"firstlight/internal/handler"
)

// quiet stands in most boot entries by itself: it is weaker than whoever asks
// for more. What a person has to know is always shown.
func TestWhatTheConsolesShow(t *testing.T) {
	for cmdline, want := range map[string]handler.Urgency{
		"":                         handler.Normal,
		"quiet":                    handler.Loud,
		"quiet rd.info":            handler.Normal,
		"quiet rd.debug":           handler.Detail,
		"debug":                    handler.Detail,
		"rd.log=kmsg":              handler.Loud,
		"rd.log=kmsg rd.debug":     handler.Loud,
		"rd.log=file|kmsg rd.info": handler.Loud,
		"quiet rd.log=console":     handler.Normal,
		"quiet rdlog=all rd.debug": handler.Detail,
	} {
		cfg, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: cmdline})
		if got := shown(cfg.Log); got != want || len(problems) > 0 {
			t.Errorf("%q: %d, not %d; %v", cmdline, got, want, problems)
		}
	}
}

func TestMessagesAreKeptInAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	o := &output{console: &console.Console{}, log: openJournal(name, os.O_CREATE|os.O_APPEND, 0o600)}
	o.show(boot.Message{Urgency: handler.Detail, Text: "mounted /dev/sda2"})
	o.show(boot.Message{Urgency: handler.Loud, Text: "two\nlines"})
	b, err := os.ReadFile(name)
	if err != nil || !regexp.MustCompile(`^\[ *\d+\.\d{6}\] mounted /dev/sda2\n\[ *\d+\.\d{6}\] two\nlines\n$`).Match(b) {
		t.Errorf("%q, %v", b, err)
	}
}
