package sysfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// That a change ends the wait takes a real driver: the boots with
// rd.md.waitclean wait for one.
func TestWaitEndsAtOnceWhereThereIsNothingToWaitFor(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sync_action"), []byte("idle\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Dir(dir).Wait("/sync_action", "idle") }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for what is there")
	}
	if err := Dir(dir).Wait("/gone", "idle"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
