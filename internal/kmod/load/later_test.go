package load

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firstlight/internal/kmod"
)

// Modules that nothing waits for take half of the workers at most, so that
// what the root needs is not behind them; and they are loaded in the end.
func TestWhatNothingWaitsForHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		slow := []string{"aesni", "aes_generic", "crc", "dm_crypt"}
		for _, m := range slow {
			k.took[m] = 10 * time.Second
		}
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		var all sync.WaitGroup
		for _, m := range slow {
			all.Go(func() {
				if err := l.LoadLater(m); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		for _, m := range []string{"jbd2", "mbcache"} {
			if err := l.Load(m); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("held up for %v by modules that nothing waits for", took)
		}
		all.Wait()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("the others took %v, two at a time", took)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running != 0 || l.spare != 0 || len(l.later)+len(l.queue) != 0 {
			t.Errorf("left: %d workers, %d of them spare, %d jobs", l.running, l.spare, len(l.later)+len(l.queue))
		}
	})
}

// A module that something waits for after all, by itself or for another one,
// is loaded at once, and once only.
func TestWhatSomethingWaitsForAfterAllIsHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		for _, m := range []string{"aesni", "aes_generic"} {
			k.took[m] = 10 * time.Second
		}
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		var all sync.WaitGroup
		for _, m := range []string{"aesni", "aes_generic", "jbd2"} {
			all.Go(func() {
				if err := l.LoadLater(m); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		start := time.Now()
		if err := l.Load("ext4"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		all.Wait()
		for _, m := range []string{"jbd2", "low x=1", "ext4"} {
			if n := k.count("+" + m); n != 1 {
				t.Errorf("%s was loaded %d times", m, n)
			}
		}
	})
}

// One worker is enough for both kinds, and errors are told.
func TestLaterWithOneWorkerAndWithoutSuchAModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k, Workers: 1})
		if err := l.LoadLater("ext4"); err != nil || k.count("+ext4") != 1 {
			t.Errorf("%v, loaded %v", err, k.log)
		}
		if err := l.LoadLater("nothing"); err == nil {
			t.Error("no error for a module that does not exist")
		}
	})
}
