package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// TestScripts: the scripts in testdata are examples of use: what is typed,
// what is printed, and the exit code. A script is lines of commands, and after
// them the files that they work on, each after a line "-- NAME --":
//
//	firstlight ARGS…        run it; the exit code must be 0
//	N firstlight ARGS…      the exit code must be N
//	run PROGRAM ARGS…       run a program; "<FILE" is its input
//	stdout REGEXP           the last output has a line that matches
//	stderr REGEXP           the same of the last messages
//	quiet                   there were no messages
//	golden FILE             the last output is that file; UPDATE=1 writes it
//	same FILE FILE          the two files have the same bytes
//	mode MODE FILE          as ls -l prints it
//	missing FILE            the file does not exist
//	fixture FILE            copy a file, named from testdata, into the directory
func TestScripts(t *testing.T) {
	testtool.Need(t, "zstd", "cpio", "mkswap", "sfdisk")
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			if filepath.Base(f) == "uki.txt" {
				testtool.Need(t, "openssl", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
			}
			runScript(t, filepath.Join(here, f))
		})
	}
}

type script struct {
	t          *testing.T
	out, errs  bytes.Buffer
	root, kver string
	goldenDir  string
	snapshots  string // of machines, made by test/truth
	cases      string // recorded boots
}

func runScript(t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, goldenDir: strings.TrimSuffix(name, ".txt"),
		snapshots: filepath.Join(filepath.Dir(name), "../../check/testdata"),
		cases:     filepath.Join(filepath.Dir(name), "../../replay/testdata/cases")}
	s.root, s.kver = testtool.Kernel(t, "bookworm")
	t.Setenv("NO_COLOR", "1")
	t.Chdir(t.TempDir())
	parts := strings.Split("\n"+string(text), "\n-- ")
	for _, p := range parts[1:] {
		file, body, _ := strings.Cut(p, " --")
		body = strings.TrimPrefix(body, "\n")
		if body != "" && !strings.HasSuffix(body, "\n") {
			body += "\n"
		}
		s.write(file, []byte(body))
	}
	s.write("init", staticELF())
	s.write("new.stub", testtool.EFIStub(".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".profile"))
	for n, line := range strings.Split(strings.TrimPrefix(parts[0], "\n"), "\n") {
		line = strings.NewReplacer("$SYSROOT", s.root, "$KERNEL", s.kver, "$SNAPSHOTS", s.snapshots, "$CASES", s.cases).Replace(line)
		if words := split(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			if problem := s.line(words); problem != "" {
				t.Fatalf("%s:%d: %s\n%s\nprinted: %s\nsaid: %s", filepath.Base(name), n+1, line, problem, &s.out, &s.errs)
			}
		}
	}
}

// split cuts a line into words; quotes keep blanks.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

func (s *script) write(name string, b []byte) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// line does one line and says what is wrong, or "".
func (s *script) line(w []string) string {
	if want, err := strconv.Atoi(w[0]); err == nil {
		return s.firstlight(w[2:], want)
	}
	switch w[0] {
	case "firstlight":
		return s.firstlight(w[1:], 0)
	case "run":
		return s.program(w[1:])
	case "stdout", "stderr":
		b := s.out.Bytes()
		if w[0] == "stderr" {
			b = s.errs.Bytes()
		}
		re, err := regexp.Compile("(?m)" + w[1])
		if err != nil {
			return err.Error()
		}
		if !re.Match(b) {
			return "no line matches"
		}
	case "quiet":
		if s.errs.Len() > 0 {
			return "something was said"
		}
	case "golden":
		return s.golden(w[1])
	case "same":
		a, err1 := os.ReadFile(w[1])
		b, err2 := os.ReadFile(w[2])
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			return "the files differ"
		}
	case "mode":
		st, err := os.Stat(w[2])
		if err != nil {
			return err.Error()
		}
		if st.Mode().String() != w[1] {
			return "it is " + st.Mode().String()
		}
	case "fixture":
		b, err := os.ReadFile(filepath.Join(filepath.Dir(s.goldenDir), w[1]))
		if err != nil {
			return err.Error()
		}
		s.write(filepath.Base(w[1]), b)
	case "missing":
		if exists(w[1]) {
			return "it exists"
		}
	default:
		return "unknown command"
	}
	return ""
}

func (s *script) firstlight(args []string, want int) string {
	if args[0] == "build" && !slices.Contains(args, "--no-cache") {
		args = append(args, "--cache-dir", ".cache")
	}
	s.out.Reset()
	s.errs.Reset()
	if got := Main(args, &s.out, &s.errs); got != want {
		return "exit code " + strconv.Itoa(got)
	}
	return ""
}

func (s *script) program(w []string) string {
	s.out.Reset()
	s.errs.Reset()
	var cmd *exec.Cmd
	if in, ok := strings.CutPrefix(w[len(w)-1], "<"); ok {
		f, err := os.Open(in)
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		cmd = exec.Command(testtool.Path(w[0]), w[1:len(w)-1]...)
		cmd.Stdin = f
	} else {
		cmd = exec.Command(testtool.Path(w[0]), w[1:]...)
	}
	cmd.Stdout, cmd.Stderr = &s.out, &s.errs
	if err := cmd.Run(); err != nil {
		return err.Error()
	}
	return ""
}

// golden compares the output with a file beside the script.
func (s *script) golden(name string) string {
	file := filepath.Join(s.goldenDir, name)
	got := strings.ReplaceAll(s.out.String(), s.kver, "KERNEL")
	// What was recorded has the kernel of its day, and the archive a later one.
	got = regexp.MustCompile(`\b6\.1\.0-[0-9]+-amd64\b`).ReplaceAllString(got, "KERNEL")
	got = regexp.MustCompile(`"warnings": \[\s+"the image is for kernel KERNEL, which is not installed here; there are: KERNEL"\s+\]`).ReplaceAllString(got, `"warnings": []`)
	// Sizes of files change with every kernel and every rule.
	got = regexp.MustCompile(`(?m)^(-[rwx-]{9}) +[1-9][0-9]* `).ReplaceAllString(got, "$1 SIZE ")
	if os.Getenv("UPDATE") == "1" {
		if err := os.MkdirAll(s.goldenDir, 0o755); err != nil {
			return err.Error()
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			return err.Error()
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if got != string(want) {
		return "not as in " + file + ":\n" + string(want)
	}
	return ""
}
