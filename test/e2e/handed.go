package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"firstlight/test/host"
)

// handed compares what the real system has of what systemd-stub left with what it
// must have, and PCR 11 in the machine with what was predicted from the image.
func (r *Runner) handed(ctx context.Context, w Want, dir string, boot int) (problems []string) {
	if len(w.Handed)+len(w.NoHanded) == 0 && w.Measured == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("handed%d", boot)))
	if err != nil {
		return []string{err.Error()}
	}
	text := string(b)
	for _, pattern := range w.Handed {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			problems = append(problems, fmt.Sprintf("no line of what was handed on matches %q:\n%s", pattern, text))
		}
	}
	for _, pattern := range w.NoHanded {
		if regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			problems = append(problems, fmt.Sprintf("what was handed on matches %q:\n%s", pattern, text))
		}
	}
	if w.Measured == "" {
		return problems
	}
	for _, bank := range []string{"sha1", "sha256"} {
		out, err := host.Run(ctx, r.Firstlight, "uki", "measure", "--phase", w.Measured, "--bank", bank, filepath.Join(dir, "unified.efi"))
		if err != nil {
			return append(problems, err.Error())
		}
		want := regexp.MustCompile(`(?m)^11:` + bank + `=([0-9a-f]+)`).FindString(out)
		if want == "" || !strings.Contains("\n"+text, "\n"+want+"\n") {
			problems = append(problems, fmt.Sprintf("PCR 11 is not %q as predicted for %s:\n%s", want, w.Measured, text))
		}
	}
	return problems
}
