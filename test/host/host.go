// Package host is what the test drivers need of the machine they run on: the
// checkout, the cache, running a tool and saying what it said when it failed,
// and results that are made once however many processes ask for them.
//
// It writes only below the cache and below directories it is given.
package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/mountinfo"
)

// Checkout returns the directory of go.mod at or above the working directory.
func Checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the checkout: no go.mod at or above the working directory")
		}
		dir = up
	}
}

// Cache returns the directory of everything downloaded or generated:
// $FIRSTLIGHT_CACHE, else .cache in the checkout.
func Cache() (string, error) {
	if dir := os.Getenv("FIRSTLIGHT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := Checkout()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, ".cache"), nil
}

// Cmd is a tool to run. The zero value of every field but Argv is useful.
type Cmd struct {
	Argv  []string
	Dir   string    // working directory
	Env   []string  // added to the environment
	Stdin io.Reader // nil: /dev/null
	Log   io.Writer // gets a copy of all output
}

// Run runs a tool and returns its standard output. An error names the command
// and ends with the last lines it wrote. sbin directories are searched too.
// The tool gets the environment but for SOURCE_DATE_EPOCH: the times in a disk of
// a test are those its arguments give, and mksquashfs refuses to be told both.
func (c Cmd) Run(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, Tool(c.Argv[0]), c.Argv[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SOURCE_DATE_EPOCH=") })
	cmd.Env = append(append(cmd.Env, "LC_ALL=C.UTF-8"), c.Env...)
	var out, all bytes.Buffer
	both := io.Writer(&all)
	if c.Log != nil {
		both = io.MultiWriter(&all, c.Log)
	}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, both), both
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(c.Argv, " "), err, Tail(all.String(), 20))
	}
	return out.String(), nil
}

// Run runs a tool without standard input and returns what it printed.
func Run(ctx context.Context, argv ...string) (string, error) {
	return Cmd{Argv: argv}.Run(ctx)
}

// Tool returns the path of a program, looked for in PATH and in the sbin
// directories; the name itself when it is in none of them, so that running it
// gives the usual error.
func Tool(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode()&0o111 != 0 {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// Tail returns the last n lines of a text.
func Tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// Hash returns a short hexadecimal digest of parts. Each part is framed by
// its length, so that no two lists give the same input.
func Hash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:20]
}

// Once makes the directory dir by calling make with a directory beside it,
// which is renamed into place when make succeeds. If dir is there already,
// nothing happens. Processes that ask for the same directory wait for each
// other.
func Once(dir string, make func(tmp string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	unlock, err := Lock(dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp := dir + ".part"
	if err := RemoveAll(tmp); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := make(tmp); err != nil {
		return errors.Join(err, RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return nil
}

// RemoveAll is os.RemoveAll but for a directory in which something is mounted: a tool
// that was interrupted can leave the machine's own /proc or /dev there, of which
// nothing may be removed.
func RemoveAll(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	for _, m := range mountinfo.Parse(string(text)) {
		if m.Target == dir || strings.HasPrefix(m.Target, dir+"/") {
			return fmt.Errorf("remove %s: something is mounted on %s: run umount %s first", dir, m.Target, m.Target)
		}
	}
	return os.RemoveAll(dir)
}

// Lock takes an exclusive lock on a file, which it makes when it is missing,
// and waits for whoever holds it. The function it returns gives the lock back.
func Lock(file string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
	}
}

// GoBuild builds a static program of this module into dir and returns its
// path. The build is reproducible; Go's own cache makes it quick.
func GoBuild(ctx context.Context, pkg, dir string) (string, error) {
	checkout, err := Checkout()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, filepath.Base(pkg))
	_, err = Cmd{
		Argv: []string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-buildvcs=false", "-o", out, pkg},
		Dir:  checkout, Env: []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS="},
	}.Run(ctx)
	return out, err
}
