package image

import (
	"bytes"
	"io"
	"strings"

	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod/columns"
)

// original is the content of an entry as a reader of images wants it: a kernel
// module that lies in the image by columns as it was before, and anything else
// as it is. What only looks like such a module is left as it is too.
func original(h *cpio.Header, body io.Reader) io.Reader {
	if h.Type() != cpio.TypeRegular || h.Size == 0 || !strings.HasSuffix(h.Name, ".ko") {
		return body
	}
	return &restored{body: body}
}

// restored reads nothing before it is read itself: many entries are passed over.
type restored struct {
	body, out io.Reader
}

// Read implements io.Reader.
func (r *restored) Read(p []byte) (int, error) {
	if r.out != nil {
		return r.out.Read(p)
	}
	var head [len(columns.Magic)]byte
	n, err := io.ReadFull(r.body, head[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), r.body)
	r.out = whole
	if columns.Is(head[:n]) {
		b, err := io.ReadAll(whole)
		if err != nil {
			return 0, err
		}
		arranged := bytes.Clone(b)
		if columns.Restore(b) != nil {
			b = arranged
		}
		r.out = bytes.NewReader(b)
	}
	return r.out.Read(p)
}
