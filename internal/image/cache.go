package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// cacheMagic starts each file of the cache; the sum of what follows stands
// behind it.
const cacheMagic = "firstlight segment 1\n"

// cacheLimit is how many bytes the cache may hold before Trim removes what
// has not been used for longest.
const cacheLimit = 256 << 20

// Cache keeps compressed archives by what they were made from. It can be
// removed at any time; it holds only what would be computed anyway, and never
// a secret. Trouble with it is no trouble of the build: it is then not used.
type Cache struct {
	dir     string
	shipped string // looked into too, never written; "" is none
	now     time.Time
}

// PackedDir is the directory beside /init in which PackInit leaves it
// compressed: the one part that is the same in every image, and takes longest.
const PackedDir = "packed"

// Ship makes the cache look into a directory that came with the programs too.
// One that others may write to is left alone, as OpenCache would.
func (c *Cache) Ship(dir string) {
	if st, err := os.Stat(dir); err == nil && st.IsDir() && owned(st, 0) {
		c.shipped = dir
	}
}

// owned says whether a directory belongs to the user who runs the program, or
// to another who is trusted anyway, and to nobody else.
func owned(st os.FileInfo, trusted ...int) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && slices.Contains(append(trusted, os.Geteuid()), int(sys.Uid)) && st.Mode().Perm()&0o022 == 0
}

// DefaultCacheDir is where the cache is kept unless told: /var/cache/firstlight
// for root, so that root trusts no directory of another user, else
// $XDG_CACHE_HOME/firstlight or ~/.cache/firstlight. "" means there is none.
func DefaultCacheDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/firstlight"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "firstlight")
}

// OpenCache opens the cache in dir, which is made if need be. Whoever can
// write there decides what is in the image, so that a directory of another
// user, or one that others may write to, is refused. now marks what is used.
func OpenCache(dir string, now time.Time) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	if !owned(st) || !st.IsDir() {
		return nil, fmt.Errorf("cache %s: it must be a directory of yours that nobody else may write to", dir)
	}
	return &Cache{dir: dir, now: now}, nil
}

// cacheKey is a sum of everything that the frame depends on. Contents of files are in
// it by their own sums, each of which is known already; how long one is stands in the
// header before it.
func cacheKey(ident string, a *archived) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n", ident, a.size)
	for _, p := range a.parts {
		if p.sum != "" {
			io.WriteString(h, p.sum)
		} else {
			h.Write(p.data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Cache) get(key string) ([]byte, bool) {
	frame, ok := c.read(filepath.Join(c.dir, key))
	if !ok && c.shipped != "" {
		frame, ok = c.read(filepath.Join(c.shipped, key))
	}
	return frame, ok
}

func (c *Cache) read(name string) ([]byte, bool) {
	b, err := os.ReadFile(name)
	if err != nil || len(b) < len(cacheMagic)+sha256.Size || !bytes.HasPrefix(b, []byte(cacheMagic)) {
		return nil, false
	}
	b = b[len(cacheMagic):]
	sum, frame := b[:sha256.Size], b[sha256.Size:]
	if got := sha256.Sum256(frame); !bytes.Equal(got[:], sum) {
		return nil, false
	}
	// Trim goes by the time of last use; not being able to set it costs only
	// a file that is removed early.
	_ = os.Chtimes(name, c.now, c.now)
	return frame, true
}

// put keeps a frame. A cache that cannot be written is as good as none.
func (c *Cache) put(key string, frame []byte) {
	f, err := os.CreateTemp(c.dir, "new-")
	if err != nil {
		return
	}
	sum := sha256.Sum256(frame)
	_, err = f.Write(slices.Concat([]byte(cacheMagic), sum[:], frame))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, key))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

// Trim removes what has not been used for longest until the rest fits the
// cache's limit, and what an interrupted run left behind.
func (c *Cache) Trim() error { return c.trim(cacheLimit) }

func (c *Cache) trim(limit int64) error {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("cache %s: %w", c.dir, err)
	}
	var files []fs.FileInfo
	for _, d := range list {
		st, err := d.Info()
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		_, err = hex.DecodeString(d.Name())
		stale := len(d.Name()) > 4 && d.Name()[:4] == "new-" && c.now.Sub(st.ModTime()) > time.Hour
		if stale {
			_ = os.Remove(filepath.Join(c.dir, d.Name()))
		}
		if err == nil && len(d.Name()) == 2*sha256.Size {
			files = append(files, st)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var total int64
	for _, st := range files {
		if total += st.Size(); total > limit {
			if err := os.Remove(filepath.Join(c.dir, st.Name())); err != nil {
				return fmt.Errorf("cache %s: %w", c.dir, err)
			}
		}
	}
	return nil
}
