package fetch

import (
	"errors"
	"strings"
	"testing"

	"firstlight/internal/fetch/fetchplan"
)

func TestPartsOfAFile(t *testing.T) {
	u, err := fetchplan.ParseURL("https://u:p@server/disk.img")
	if err != nil {
		t.Fatal(err)
	}
	if got := AskPart(u, 4096, 512, `"a"`, false, ""); !strings.Contains(got, "\r\nRange: bytes=4096-4607\r\nIf-Range: \"a\"\r\n\r\n") || strings.Contains(got, "close") {
		t.Errorf("%q", got)
	}
	known := &File{Size: 5000, Validator: `"a"`}
	part := func(text string) Head {
		h, err := ParseHead(text)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		head  string
		known *File
		want  string // of the error, "" for none
		kind  byte   // r: refusal, c: changed, t: to be tried again
	}{
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5000\nContent-Length: 512\nETag: \"a\"", known, "", 0},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5000\nContent-Length: 512", known, "", 0},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5000\nContent-Length: 512\nETag: \"a\"", nil, "", 0},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5001\nContent-Length: 512\nETag: \"a\"", known, "another file", 'c'},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5000\nContent-Length: 512\nETag: \"b\"", known, "another file", 'c'},
		{"HTTP/1.1 200 OK\nContent-Length: 5000\nETag: \"b\"", known, "another file", 'c'},
		{"HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */10", known, "another file", 'c'},
		{"HTTP/1.1 200 OK\nContent-Length: 5000", nil, "all of the file", 'r'},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-511/5000\nContent-Length: 512\nETag: \"a\"", known, "which part", 't'},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4106/5000\nContent-Length: 11\nETag: \"a\"", known, "another part", 't'},
		{"HTTP/1.1 206 Partial Content\nContent-Range: bytes 4096-4607/5000\nETag: \"a\"", known, "another part", 't'},
		{"HTTP/1.1 404 Not Found", known, "answers 404 (Not Found) for /disk.img", 't'},
		{"HTTP/1.1 401 Unauthorized", known, "answers 401", 'r'},
		{"HTTP/1.1 302 Found\nLocation: http://server/disk.img", known, "from https to", 'r'},
	} {
		f, follow, err := Part(part(c.head), u, c.known, 4096, 512)
		var changed *Changed
		kind := byte('t')
		switch {
		case err == nil:
			kind = 0
		case Final(err) != nil:
			kind = 'r'
		case errors.As(err, &changed):
			kind = 'c'
		}
		if kind != c.kind || err != nil && !strings.Contains(err.Error(), c.want) || err == nil && (f != *known || follow != nil) {
			t.Errorf("%s: %+v, %c %v", c.head, f, kind, err)
		}
	}
	_, follow, err := Part(part("HTTP/1.1 302 Found\nLocation: /other.img"), u, known, 0, 512)
	if err != nil || follow == nil || follow.Path != "/other.img" || follow.Password != "p" {
		t.Errorf("%+v, %v", follow, err)
	}
}
