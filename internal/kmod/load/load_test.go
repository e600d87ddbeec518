package load

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firstlight/internal/kmod"

	"golang.org/x/sys/unix"
)

// fakeKernel takes its time over each module and remembers what it was asked.
type fakeKernel struct {
	took  map[string]time.Duration
	fails map[string]error
	panic string

	mu      sync.Mutex
	there   map[string]bool
	log     []string // "+name params" when loading begins, "-name" when it ends
	at, max int
}

func (k *fakeKernel) Loaded(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.there[name]
}

func (k *fakeKernel) Load(path, params string) error {
	name := strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".ko")
	k.mu.Lock()
	k.log = append(k.log, strings.TrimSpace("+"+name+" "+params))
	k.at++
	k.max = max(k.max, k.at)
	k.mu.Unlock()
	time.Sleep(k.took[name])
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at--
	k.log = append(k.log, "-"+name)
	if name == k.panic {
		panic("boom")
	}
	if k.fails[name] == nil {
		k.there[name] = true
	}
	return k.fails[name]
}

func newKernel() *fakeKernel {
	return &fakeKernel{took: map[string]time.Duration{}, fails: map[string]error{}, there: map[string]bool{}}
}

func (k *fakeKernel) count(entry string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, l := range k.log {
		if l == entry {
			n++
		}
	}
	return n
}

// before says whether a ended before b began.
func (k *fakeKernel) before(a, b string) bool {
	i, j := slices.Index(k.log, "-"+a), slices.Index(k.log, "+"+b)
	return i >= 0 && j >= 0 && i < j
}

func testIndex(t *testing.T) *kmod.Index {
	t.Helper()
	mod := func(name string, deps ...string) kmod.SourceModule {
		return kmod.SourceModule{Name: name, Path: "/m/" + name + ".ko", Deps: deps}
	}
	ext4 := mod("ext4", "jbd2", "mbcache")
	ext4.Aliases, ext4.Pre, ext4.Post = []string{"fs-ext4"}, []string{"crc"}, []string{"late"}
	soft, hard := mod("aesni"), mod("aes_generic")
	soft.Aliases, hard.Aliases = []string{"crypto-aes"}, []string{"crypto-aes"}
	black := mod("black")
	black.Blacklisted, black.Aliases = true, []string{"pci:*"}
	var b bytes.Buffer
	err := kmod.WriteIndex(&b, kmod.Source{
		Modules: []kmod.SourceModule{mod("crc"), mod("jbd2", "low"), mod("low"), mod("mbcache"), ext4, mod("late"),
			mod("dm-mod"), mod("dm_crypt", "dm-mod"), soft, hard, black,
			{Name: "xts", Builtin: true, Aliases: []string{"crypto-xts(aes)"}}},
		Options: []kmod.SourceOption{{Name: "low", Options: "x=1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ix, err := kmod.OpenIndex(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func TestModulesLoadInParallelAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		for _, m := range []string{"crc", "jbd2", "low", "mbcache", "ext4", "late"} {
			k.took[m] = time.Second
		}
		var cfg kmod.Config
		cfg.AddParam("low", "y=2")
		l := New(testIndex(t), cfg, Options{Kernel: k})
		start := time.Now()
		if err := l.Load("fs-ext4"); err != nil {
			t.Fatal(err)
		}
		// low, crc and mbcache together, then jbd2, ext4, late.
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		for _, p := range [][2]string{{"jbd2", "ext4"}, {"mbcache", "ext4"}, {"crc", "ext4"}, {"ext4", "late"}} {
			if !k.before(p[0], p[1]) {
				t.Errorf("%s was not before %s: %v", p[0], p[1], k.log)
			}
		}
		if k.count("+low x=1 y=2") != 1 || k.max != 3 {
			t.Errorf("at most %d at a time: %v", k.max, k.log)
		}
		synctest.Wait()
		if l.running != 0 || len(l.queue) != 0 {
			t.Errorf("%d workers and %d jobs are left", l.running, len(l.queue))
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		for _, m := range []string{"crc", "low", "mbcache"} {
			k.took[m] = time.Second
		}
		if err := New(testIndex(t), kmod.Config{}, Options{Kernel: k, Workers: 2}).Load("ext4"); err != nil {
			t.Fatal(err)
		}
		if k.max != 2 {
			t.Errorf("%d at a time", k.max)
		}
	})
}

func TestEachModuleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.took["low"] = time.Second
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		var wg sync.WaitGroup
		for range 20 {
			for _, name := range []string{"ext4", "jbd2", "dm-crypt", "dm_mod"} {
				wg.Go(func() {
					if err := l.Load(name); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if len(k.log) != 2*8 {
			t.Errorf("loaded %v", k.log)
		}
		if err := l.Load("ext4"); err != nil || len(k.log) != 2*8 {
			t.Errorf("loading again: %v, %v", err, k.log)
		}
	})
}

func TestFailedDependencyNamesTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.fails["low"] = fmt.Errorf("load /m/low.ko: %w", unix.ENOEXEC)
		k.took["crc"], k.took["low"] = time.Second, time.Millisecond
		var mu sync.Mutex
		var events []string
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k, Observe: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprint(e.Step.Name, " ", e.Err != nil))
		}})
		err := l.Load("fs-ext4")
		if want := "kmod: load ext4: needs jbd2, which needs low: load /m/low.ko: exec format error"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if !errors.Is(err, unix.ENOEXEC) {
			t.Error("the cause is lost")
		}
		if k.count("+ext4") != 0 || k.count("+jbd2") != 0 {
			t.Errorf("loaded without what they need: %v", k.log)
		}
		for _, want := range []string{"low true", "jbd2 true", "ext4 true", "mbcache false"} {
			if !slices.Contains(events, want) {
				t.Errorf("%q was not observed: %v", want, events)
			}
		}
		// A later request tries again.
		k.fails["low"] = nil
		if err := l.Load("fs-ext4"); err != nil {
			t.Error(err)
		}
		if k.count("+mbcache") != 1 {
			t.Error("mbcache was loaded again")
		}
	})
}

func TestSoftDependenciesMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.fails["crc"], k.fails["late"] = unix.ENODEV, unix.ENODEV
		if err := New(testIndex(t), kmod.Config{}, Options{Kernel: k}).Load("ext4"); err != nil {
			t.Error(err)
		}
		if !k.there["ext4"] || !k.before("crc", "ext4") {
			t.Errorf("%v", k.log)
		}
	})
}

func TestWhatIsThereIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.there["dm_mod"] = true
		k.fails["dm_crypt"] = fmt.Errorf("load: %w", unix.EEXIST)
		already := 0
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k, Workers: 1, Observe: func(e Event) {
			if e.Already {
				already++
			}
		}})
		if err := l.Load("dm-crypt"); err != nil || already != 2 {
			t.Errorf("%v, %d were there already", err, already)
		}
		if err := l.Load("crypto-xts(aes)"); err != nil {
			t.Errorf("built in: %v", err)
		}
	})
}

func TestOneOfAnAliasIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.fails["aesni"] = unix.ENODEV
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		if err := l.Load("crypto-aes"); err != nil {
			t.Error(err)
		}
		k = newKernel()
		k.fails["aesni"], k.fails["aes_generic"] = unix.ENODEV, unix.ENOMEM
		l = New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		if err := l.Load("crypto-aes"); !errors.Is(err, unix.ENODEV) || !errors.Is(err, unix.ENOMEM) {
			t.Error(err)
		}
	})
}

func TestForbiddenAndUnknownModules(t *testing.T) {
	l := New(testIndex(t), kmod.Config{Deny: []string{"dm-mod"}}, Options{Kernel: newKernel()})
	if err := l.Load("dm-crypt"); !errors.Is(err, ErrSkipped) || !strings.Contains(err.Error(), "dm_crypt: needs dm_mod, which is denied") {
		t.Error(err)
	}
	if err := l.Load("pci:x"); !errors.Is(err, ErrSkipped) {
		t.Error(err)
	}
	called := false
	if _, err := l.Want("nosuch", func(error) { called = true }); !errors.Is(err, kmod.ErrUnknown) || called {
		t.Error(err, called)
	}
}

func TestDoneMayLoadMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k, Workers: 1})
		ended := make(chan error)
		if _, err := l.Want("low", func(err error) {
			ended <- errors.Join(err, l.Load("ext4")) // with the only worker
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil || !k.there["ext4"] {
			t.Error(err)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.panic = "low"
		l := New(testIndex(t), kmod.Config{}, Options{Kernel: k})
		if err := l.Load("jbd2"); err == nil || err.Error() != "kmod: load jbd2: needs low: panic: boom" {
			t.Error(err)
		}
		if err := l.Load("crc"); err != nil {
			t.Error(err)
		}
	})
}
