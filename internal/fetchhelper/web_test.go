package fetchhelper

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
)

// Parts come over connections that stay, also when the server closes them or sends
// elsewhere, and never of another file.
func TestPartsComeOverConnectionsThatStay(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	var tag atomic.Value
	tag.Store(`"a"`)
	var connections sync.Map
	h := http.NewServeMux()
	h.HandleFunc("/disk", func(w http.ResponseWriter, r *http.Request) {
		connections.Store(r.RemoteAddr, true)
		w.Header().Set("ETag", tag.Load().(string))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	h.Handle("/moved", http.RedirectHandler("/disk", http.StatusFound))
	s := httptest.NewServer(h)
	defer s.Close()
	u, err := fetchplan.ParseURL(s.URL + "/moved")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWeb(u, nil, false, 2, t.TempDir())
	buf := make([]byte, 100000)
	f, err := w.Part(0, buf, nil)
	if err != nil || f != (fetch.File{Size: int64(len(data)), Validator: `"a"`}) || !bytes.Equal(buf, data[:len(buf)]) {
		t.Fatal(f, err)
	}
	var wg sync.WaitGroup
	failed := make(chan error, 64)
	for i := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			b, off := make([]byte, 5000), int64(i*4999)
			if _, err := w.Part(off, b, &f); err != nil || !bytes.Equal(b, data[off:off+5000]) {
				failed <- fmt.Errorf("part at %d: %v", off, err)
			}
		}()
		if i%8 == 7 {
			wg.Wait()
			s.CloseClientConnections() // what is kept has ended
		}
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	tail := bytes.Repeat([]byte{1}, 4096)
	if _, err := w.Part(int64(len(data))-100, tail, &f); err != nil || !bytes.Equal(tail, append(bytes.Clone(data[len(data)-100:]), make([]byte, 3996)...)) {
		t.Error("the end of the file:", err)
	}
	n := 0
	connections.Range(func(any, any) bool { n++; return true })
	before := n
	for range 10 {
		if _, err := w.Part(0, buf, &f); err != nil {
			t.Fatal(err)
		}
	}
	n = 0
	connections.Range(func(any, any) bool { n++; return true })
	if n > before+1 {
		t.Errorf("%d connections for ten parts, one after the other", n-before)
	}
	tag.Store(`"b"`)
	var changed *fetch.Changed
	if _, err := w.Part(0, buf, &f); !errors.As(err, &changed) {
		t.Error("another file was taken:", err)
	}
	s.Close()
	if _, err := w.Part(0, buf, &f); err == nil || !strings.Contains(err.Error(), "nothing serves") {
		t.Error(err)
	}
}
