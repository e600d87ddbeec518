package truth

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/test/e2e"
	"firstlight/test/host"
)

func TestParametersStayBeforeWhatIsForInit(t *testing.T) {
	for line, want := range map[string]string{"ro root=x": "ro root=x a=b", "ro root=x -- one two": "ro root=x a=b -- one two"} {
		if got := extend(line, "a=b"); got != want {
			t.Errorf("%q", got)
		}
	}
}

// The table is what the claim of a hundred per cent stands on: a case that was
// not run, or differs, must show.
func TestTableShowsWhatWasNotRunAndWhatDiffers(t *testing.T) {
	base := e2e.Scenario{Name: "plain"}
	cases := []Case{{Name: "plain", Base: base, Suite: "bookworm"}, {Name: "plain", Base: base, Suite: "trixie"},
		{Name: "plain-minus-a", Base: base, Suite: "bookworm", Change: &Change{Drop: []string{"a.ko"}}},
		{Name: "plain-minus-b", Base: base, Suite: "bookworm", Change: &Change{Args: []Edit{{New: "root=b"}}}}}
	dir := t.TempDir()
	const results = `{"name":"plain","suite":"bookworm","check":"fails","real":"boots","agree":false}
{"name":"plain","suite":"bookworm","check":"boots","real":"boots","agree":true,"warnings":["beware"],"asked":{"kernel":"6.1"}}
{"name":"plain-minus-a","suite":"bookworm","check":"boots","real":"fails","agree":false,"asked":{"kernel":"6.1"}}
{"name":"plain-minus-b","suite":"bookworm","check":"fails","agree":false,"problem":"no | disks","asked":{"kernel":"6.1"}}
`
	if err := os.WriteFile(filepath.Join(dir, resultsFile), []byte(results), 0o644); err != nil {
		t.Fatal(err)
	}
	rows, err := Results(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := Document(cases, rows)
	for _, want := range []string{
		"**1 of 3 the same**, of 4 cases.",
		"| plain | bookworm | boots | boots | same, but warns of what is not so | beware |",
		"| plain | trixie | - | - | not run |  |",
		"| plain | without `a.ko` | boots | fails | differs |",
		"| plain | command line: `root=b` added | fails |  | not compared: no / disks |",
		"(6.1)",
		"**1 warnings of good images are false**",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A scenario that is merged without a row or a reason shows here, and not only
// when the whole comparison is made the next time.
func TestEveryScenarioHasARowOrAReason(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(checkout, "docs", "check-truth.md"))
	if err != nil {
		t.Fatal(err)
	}
	if list := Missing(cases, string(table)); len(list) > 0 {
		t.Errorf("docs/check-truth.md says nothing of these %d: run make check-truth RUN=..., then go run ./test/flt truth; or give the reason in cases.go\n%s", len(list), strings.Join(list, "\n"))
	}
	if !strings.HasSuffix(string(table), exceptions()) {
		t.Error("the reasons in docs/check-truth.md are not those of cases.go: go run ./test/flt truth")
	}
}

func TestMissingNamesWhatHasNoRow(t *testing.T) {
	base := e2e.Scenario{Name: "plain"}
	drop := &Change{Drop: []string{"a.ko"}}
	cases := []Case{{Name: "plain", Base: base, Suite: "bookworm"}, {Name: "plain", Base: base, Suite: "trixie"}, {Name: "plain-ro", Suite: "bookworm"},
		{Name: "plain-minus-a", Base: base, Suite: "bookworm", Change: drop}}
	rows := []Row{{Name: "plain", Suite: "bookworm", Check: Boots, Real: Boots, Agree: true}, {Name: "plain-minus-a", Suite: "bookworm", Check: Fails, Real: Fails, Agree: true}}
	if got := Missing(cases, Document(cases, rows)); !slices.Equal(got, []string{"plain/trixie", "plain-ro/bookworm"}) {
		t.Errorf("%q", got)
	}
	if got := Missing(cases, Document(cases[:1], rows)); !slices.Equal(got, []string{"plain/trixie", "plain-ro/bookworm", "plain-minus-a/bookworm"}) {
		t.Errorf("with rows of one: %q", got)
	}
}
