package fetch

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"firstlight/internal/fetch/fetchplan"
)

func mustURL(t testing.TB, s string) fetchplan.URL {
	t.Helper()
	u, err := fetchplan.ParseURL(s)
	if err != nil {
		t.Fatal(s, err)
	}
	return u
}

func TestHeads(t *testing.T) {
	h, err := ParseHead("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-199/1000\r\nContent-Length: 100\r\nETag: \"a\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n")
	if err != nil || h.Code != 206 || h.Start != 100 || h.Total != 1000 || h.Length != 100 || h.ETag != `"a"` {
		t.Fatal(h, err)
	}
	for _, bad := range []string{"", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 20 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 206 P\r\nContent-Range: bytes 5-4/9\r\n\r\n",
		"HTTP/1.1 206 P\r\nContent-Range: bytes 5-9/9\r\n\r\n"} {
		if h, err := ParseHead(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, h)
		}
	}
	// What is sent back has no ends of lines or bytes that are none of ASCII.
	if h, _ := ParseHead("HTTP/1.1 200 OK\r\nETag: \"\x01\"\r\n\r\n"); h.ETag != "" {
		t.Error("an ETag that cannot be sent back was kept")
	}
}

func TestABodyInPieces(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"))
	h, err := ReadHead(r)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(Body(h, r)); err != nil || string(b) != "abcdef" {
		t.Fatalf("%q, %v", b, err)
	}
	r = bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
	h, _ = ReadHead(r)
	if _, err := io.ReadAll(Body(h, r)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a body that was broken off was taken for whole:", err)
	}
}

func head(t *testing.T, lines ...string) Head {
	t.Helper()
	h, err := ParseHead(strings.Join(lines, "\r\n") + "\r\n\r\n")
	if err != nil {
		t.Fatal(lines, err)
	}
	return h
}

func TestABreakIsResumed(t *testing.T) {
	s := NewSession(mustURL(t, "http://s/root.sfs"), 1000)
	if step, err := s.Head(head(t, "HTTP/1.1 200 OK", "Content-Length: 100", `ETag: "v1"`)); step != Take || err != nil {
		t.Fatal(step, err)
	}
	s.Took(40)
	if s.Ended() == nil {
		t.Error("40 of 100 bytes are all")
	}
	if q := Ask(s.URL, s.Offset, s.Validator, "", false, ""); !strings.Contains(q, "Range: bytes=40-\r\n") || !strings.Contains(q, "If-Range: \"v1\"\r\n") {
		t.Error(q)
	}
	if step, err := s.Head(head(t, "HTTP/1.1 206 P", "Content-Range: bytes 40-99/100", `ETag: "v1"`)); step != Take || err != nil {
		t.Fatal(step, err)
	}
	s.Took(60)
	if err := s.Ended(); err != nil {
		t.Error(err)
	}
}

// A file that has changed on the server is never put together from two.
func TestAChangedFileIsFetchedAnew(t *testing.T) {
	begin := func() *Session {
		s := NewSession(mustURL(t, "http://s/root.sfs"), 1000)
		s.Head(head(t, "HTTP/1.1 200 OK", "Content-Length: 100", `ETag: "v1"`))
		s.Took(40)
		return s
	}
	s := begin()
	if step, err := s.Head(head(t, "HTTP/1.1 200 OK", "Content-Length: 90", `ETag: "v2"`)); step != Restart || err != nil || s.Offset != 0 || s.Total != 90 {
		t.Error(step, err, s.Offset, s.Total)
	}
	for _, lines := range [][]string{
		{"HTTP/1.1 206 P", "Content-Range: bytes 40-99/100", `ETag: "v2"`},
		{"HTTP/1.1 206 P", "Content-Range: bytes 40-119/120"},
		{"HTTP/1.1 206 P", "Content-Range: bytes 30-99/100", `ETag: "v1"`},
		{"HTTP/1.1 206 P"},
		{"HTTP/1.1 416 R", "Content-Range: bytes */30"},
	} {
		s := begin()
		if _, err := s.Head(head(t, lines...)); err == nil || Final(err) != nil || s.Offset != 0 || s.Total != -1 {
			t.Errorf("%q: %v, offset %d", lines, err, s.Offset)
		}
	}
	s = begin()
	s.Took(60)
	if step, err := s.Head(head(t, "HTTP/1.1 416 R", "Content-Range: bytes */100")); step != Complete || err != nil {
		t.Error(step, err)
	}
}

// Of a file without a name nobody can tell whether the rest belongs to it.
func TestAFileWithoutANameIsFetchedAnew(t *testing.T) {
	s := NewSession(mustURL(t, "http://s/root.sfs"), 1000)
	s.Head(head(t, "HTTP/1.1 200 OK", "Content-Length: 100"))
	s.Took(40)
	if s.Pause(); s.Offset != 0 {
		t.Error("the rest is asked for, from", s.Offset)
	}
}

func TestRedirections(t *testing.T) {
	s := NewSession(mustURL(t, "https://u:secret@s/a/root.sfs"), 1000)
	if step, err := s.Head(head(t, "HTTP/1.1 302 F", "Location: ../b/root.sfs?x=1")); step != Follow || err != nil || s.URL.String() != "https://s/b/root.sfs?x=1" || s.URL.Password != "secret" {
		t.Fatal(step, err, s.URL)
	}
	if step, err := s.Head(head(t, "HTTP/1.1 302 F", "Location: https://other/root.sfs")); step != Follow || err != nil || s.URL.Password != "" {
		t.Fatal("the password goes to another server", step, err, s.URL)
	}
	for _, to := range []string{"http://s/root.sfs", "ftp://s/x", "file:///etc/shadow", ""} {
		s := NewSession(mustURL(t, "https://s/root.sfs"), 1000)
		if _, err := s.Head(head(t, "HTTP/1.1 302 F", "Location: "+to)); Final(err) == nil {
			t.Errorf("%q was followed: %v", to, err)
		}
	}
	s = NewSession(mustURL(t, "http://s/root.sfs"), 1000)
	n := 0
	for ; n < 100; n++ {
		if _, err := s.Head(head(t, "HTTP/1.1 301 M", "Location: /root.sfs")); err != nil {
			break
		}
	}
	if n != MaxRedirects {
		t.Error("followed", n, "times")
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	s := NewSession(mustURL(t, "http://s/root.sfs"), 1000)
	if _, err := s.Head(head(t, "HTTP/1.1 200 OK", "Content-Length: 1001")); Final(err) == nil {
		t.Error(err)
	}
	s = NewSession(mustURL(t, "http://s/root.sfs"), 1000)
	s.Head(head(t, "HTTP/1.1 200 OK"))
	if s.Took(1000) != nil || Final(s.Took(1)) == nil {
		t.Error("a size that was not said has no bound")
	}
}

func TestPausesGrowToABound(t *testing.T) {
	s := NewSession(mustURL(t, "http://s/x"), 1000)
	var last time.Duration
	for range 100 {
		if p := s.Pause(); p < last || p > lastPause {
			t.Fatal(p, last)
		} else {
			last = p
		}
	}
	if s.Took(1); s.Pause() > time.Second {
		t.Error("the pause does not begin anew when something came")
	}
}

func TestWhatSaysThatAnImageIsRight(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	u := mustURL(t, "https://s/dir/root.sfs")
	none := fetchplan.Plan{}
	if _, err := Choose(none, u, "", nil, false); Final(err) == nil {
		t.Error("an image of which nothing is known is taken")
	}
	if _, err := Choose(fetchplan.Plan{Unverified: true}, u, "", nil, false); err != nil {
		t.Error(err)
	}
	if _, err := Choose(fetchplan.Plan{Unverified: true, NoVerifyTLS: true}, u, "", nil, false); Final(err) == nil {
		t.Error("neither the server nor the image is verified")
	}
	if tr, err := Choose(none, u, sum+"  root.sfs\n", nil, false); err != nil || tr.Sum != sum {
		t.Error(tr, err)
	}
	if tr, err := Choose(none, u, sum+" *https://s/dir/root.sfs\n", nil, false); err != nil || tr.Sum != sum {
		t.Error(tr, err)
	}
	for _, bad := range []string{"12  root.sfs\n", sum + "  root.sfs\n" + strings.Repeat("cd", 32) + "  root.sfs\n"} {
		if _, err := Choose(none, u, bad, nil, false); Final(err) == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Choose(none, u, sum+"  other.sfs\n"+sum+"  https://t/dir/root.sfs\n", nil, false); Final(err) == nil {
		t.Error("the sum of another file counts")
	}
	if tr := (Trust{Sum: sum}); tr.Verified(u, strings.Repeat("cd", 32)) == nil || tr.Verified(u, sum) != nil {
		t.Error("sums are not compared")
	}
}

// signed makes what minisign writes.
func signed(key ed25519.PrivateKey, data []byte, alg, comment string) (public, signature string) {
	const id = "\x01\x02\x03\x04\x05\x06\x07\x08"
	sum := blake2b.Sum512(data)
	sig := ed25519.Sign(key, sum[:])
	global := ed25519.Sign(key, append(bytes.Clone(sig), comment...))
	b := base64.StdEncoding.EncodeToString
	return "untrusted comment: a key\n" + b([]byte("Ed"+id+string(key.Public().(ed25519.PublicKey)))) + "\n",
		"untrusted comment: x\n" + b([]byte(alg+id+string(sig))) + "\ntrusted comment: " + comment + "\n" + b(global) + "\n"
}

func TestMinisign(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	public, text := signed(key, []byte("image"), "ED", "file:root.sfs")
	k, err := ParseKey(public)
	if err != nil || k.String() != "0807060504030201" {
		t.Fatal(k, err)
	}
	s, err := ParseSignature(text)
	if err != nil || s.Comment != "file:root.sfs" {
		t.Fatal(s, err)
	}
	sum, other := blake2b.Sum512([]byte("image")), blake2b.Sum512([]byte("Image"))
	if !s.Verify(k, sum[:]) || s.Verify(k, other[:]) {
		t.Error("the signature is taken for that of another image, or not for its own")
	}
	forged := s
	forged.Comment = "file:other"
	if forged.Verify(k, sum[:]) {
		t.Error("the comment is not verified")
	}
	if _, err := s.Of([]Key{{}}); err == nil {
		t.Error("any key will do")
	}
	if _, old := signed(key, []byte("image"), "Ed", ""); true {
		if _, err := ParseSignature(old); err == nil {
			t.Error("a signature of the old kind is taken for one of the new")
		}
	}
}

// transfer runs a TFTP server of blocks against the receiver, with loss.
func transfer(t *testing.T, seed int64, size int, window int) []byte {
	t.Helper()
	rnd := rand.New(rand.NewSource(seed))
	file := make([]byte, size)
	rnd.Read(file)
	r := NewReceiver()
	var got []byte
	opts := "\x00\x06tsize\x00" + itoa(size) + "\x00blksize\x00512\x00"
	if window > 1 {
		opts += "windowsize\x00" + itoa(window) + "\x00"
	}
	take := func(b []byte) []byte {
		data, reply, err := r.Packet(b)
		if err != nil {
			t.Fatal(seed, err)
		}
		got = append(got, data...)
		return reply
	}
	lost := func() bool { return rnd.Intn(10) == 0 }
	ack := take([]byte(opts))
	last := size / 512 // numbered from 0
	for range 100000 {
		if r.Done {
			if !bytes.Equal(got, file) || r.Total != int64(size) {
				t.Fatal(seed, "what came is not the file")
			}
			return got
		}
		if ack == nil || lost() {
			if ack = r.Again(); ack == nil {
				ack = take([]byte(opts))
			}
			continue
		}
		n := int(binary.BigEndian.Uint16(ack[2:]))
		// The server knows which of the blocks of that number is meant.
		base := len(got) / 512
		for n != base&0xffff && base > 0 {
			base--
		}
		ack = nil
		for i := base; i < base+window && i <= last; i++ {
			b := append([]byte{0, opData, byte((i + 1) >> 8), byte(i + 1)}, file[i*512:min(size, (i+1)*512)]...)
			if lost() {
				continue
			}
			if reply := take(b); reply != nil {
				ack = reply
			}
			if rnd.Intn(20) == 0 && !r.Done { // doubled
				take(b)
			}
		}
	}
	t.Fatal(seed, "the transfer does not end")
	return nil
}

func itoa(n int) string { return string(appendInt(nil, n)) }

func appendInt(b []byte, n int) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

func TestTFTPWithLoss(t *testing.T) {
	for seed := range int64(300) {
		transfer(t, seed, int(seed*97%20000), 1+int(seed%2)*15)
	}
	transfer(t, 1, 70000*512+3, 16) // the numbers of blocks wrap
}

func FuzzParseHead(f *testing.F) {
	f.Add("HTTP/1.1 206 P\r\nContent-Range: bytes 1-2/3\r\nTransfer-Encoding: chunked\r\n\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHead(s)
		if err != nil {
			return
		}
		u, _ := fetchplan.ParseURL("http://s/x")
		ses := NewSession(u, 1<<20)
		ses.Head(h)
		ses.Took(10)
		if step, err := ses.Head(h); err == nil && step == Take && ses.Offset > ses.Limit {
			t.Error("more than the limit is taken")
		}
		if strings.ContainsAny(ses.Validator, "\r\n") {
			t.Error("what is sent back has an end of line in it")
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add("4\r\nabcd\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		b, _ := io.ReadAll(Body(Head{Chunked: true, Length: -1}, bufio.NewReader(strings.NewReader(s))))
		if len(b) > len(s) {
			t.Error("more came out than went in")
		}
	})
}

func FuzzTFTP(f *testing.F) {
	f.Add([]byte("\x00\x06tsize\x0010\x00blksize\x00512\x00\x00\x00"), []byte("\x00\x03\x00\x01abc"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := NewReceiver()
		n := 0
		for _, p := range [][]byte{a, b, a, b} {
			data, _, _ := r.Packet(p)
			n += len(data)
		}
		if n > 2*(len(a)+len(b)) || r.block > tftpBlock || r.window > tftpWindow {
			t.Error("what a server says is not bounded")
		}
	})
}

func FuzzMinisign(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	public, text := signed(key, []byte("image"), "ED", "c")
	f.Add(public, text)
	f.Fuzz(func(t *testing.T, public, text string) {
		k, kerr := ParseKey(public)
		s, serr := ParseSignature(text)
		if kerr == nil && serr == nil {
			s.Verify(k, make([]byte, 64))
			s.Of([]Key{k})
		}
	})
}
