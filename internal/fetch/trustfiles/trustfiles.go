// Package trustfiles reads what an image has that says which files of servers are
// the right ones: sums and keys, in fetch.Dir.
package trustfiles

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"firstlight/internal/fetch"
)

// GPGV is the distribution's. The boot runs it, when the image is there.
const GPGV = "/usr/bin/gpgv"

// maxSums bounds the file of sums, in bytes.
const maxSums = 1 << 20

// Read reads the keys of minisign, the names of the files of OpenPGP's, where gpgv
// is there, and the text with the sums. root is put before the paths of files of the
// image, "" but in tests.
func Read(root string) (keys []fetch.Key, rings []string, sums string, err error) {
	for _, name := range Files(root, ".pub") {
		b, err := ReadFile(root, name, fetch.MaxSignature)
		if err != nil {
			return nil, nil, "", err
		}
		k, err := fetch.ParseKey(string(b))
		if err != nil {
			return nil, nil, "", &fetch.Refusal{Text: name + ": " + err.Error(), Try: "put the key's .pub file into the image"}
		}
		keys = append(keys, k)
	}
	if _, err := os.Stat(root + GPGV); err == nil {
		rings = Files(root, ".gpg")
	}
	b, err := ReadFile(root, fetch.SumsFile, maxSums)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, "", err
	}
	return keys, rings, string(b), nil
}

// ReadFile reads a file of the image that is no longer than limit bytes.
func ReadFile(root, name string, limit int64) ([]byte, error) {
	f, err := os.Open(root + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &fetch.Refusal{Text: name + " is longer than " + strconv.FormatInt(limit, 10) + " bytes", Try: "rebuild the image"}
	}
	return b, err
}

// Files are those of fetch.Dir whose names end in a way.
func Files(root, end string) (names []string) {
	list, _ := os.ReadDir(root + fetch.Dir)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), end) {
			names = append(names, fetch.Dir+"/"+e.Name())
		}
	}
	return names
}
