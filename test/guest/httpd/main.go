// Httpd is an HTTP server for the guest that plays the servers of a network: the
// one of Go's standard library, with the faults that a test wants.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	dir := flag.String("dir", "/www", "directory that is served")
	listen := flag.String("listen", ":80", "address")
	cert := flag.String("cert", "", "PEM file with certificate and key: HTTPS")
	cut := flag.Int64("cut", 0, "bytes after which the first connection is broken off, and the server goes away")
	away := flag.Duration("away", 5*time.Second, "how long it stays away")
	redirect := flag.String("redirect", "", "URL before every path, to which everything is sent")
	changes := flag.Int64("changes", 0, "answers after which every file is another one")
	flag.Parse()
	if err := serve(*dir, *listen, *cert, *redirect, *cut, *changes, *away); err != nil {
		fmt.Fprintln(os.Stderr, "httpd:", err)
		os.Exit(1)
	}
}

func serve(dir, listen, cert, redirect string, cut, changes int64, away time.Duration) error {
	files := http.FileServer(http.Dir(dir))
	broken := make(chan struct{}, 1)
	var left, answers atomic.Int64
	left.Store(cut)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("httpd: %s %s, range %q, if-range %q\n", r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("If-Range"))
		// Files of an initramfs have no dates; what they are called does here.
		tag := r.URL.Path
		if n := answers.Add(1); changes > 0 && n > changes {
			tag += "?"
		}
		w.Header().Set("ETag", `"`+tag+`"`)
		switch {
		case redirect != "":
			http.Redirect(w, r, redirect+r.URL.Path, http.StatusFound)
		case left.Load() > 0:
			files.ServeHTTP(&cutting{w, &left, broken}, r)
		default:
			files.ServeHTTP(w, r)
		}
	})
	for {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return err
		}
		s := &http.Server{Handler: h}
		ended := make(chan error, 1)
		go func() {
			if cert != "" {
				ended <- s.ServeTLS(l, cert, cert)
			} else {
				ended <- s.Serve(l)
			}
		}()
		select {
		case err := <-ended:
			return err
		case <-broken:
			s.Close()
			fmt.Println("httpd: away")
			time.Sleep(away) // the fault that is tested
			fmt.Println("httpd: here again")
		}
	}
}

// cutting breaks the server off when enough was written.
type cutting struct {
	http.ResponseWriter
	left   *atomic.Int64
	broken chan struct{}
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	if c.left.Add(-int64(n)) <= 0 {
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case c.broken <- struct{}{}:
		default:
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}
