package nethelper

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/aoe"
	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
)

// searcher implements aoe.Edge.
type searcher struct{ out int }

// FindAoE looks for the AoE disk of a name until it is there, and reports to the file
// descriptor out.
func FindAoE(name string, out int) error {
	d, _, ok := aoe.Parse(name)
	if !ok {
		return errors.New(name + " is no disk of AoE")
	}
	s, start := aoe.New(searcher{out}, d), time.Now()
	for s.Step(0); s.Next() != diskup.Never; s.Step(time.Since(start)) {
		time.Sleep(s.Next() - time.Since(start)) // no event tells that a server is there
	}
	return nil
}

// Discover implements aoe.Edge.
func (searcher) Discover() error {
	f, err := os.OpenFile("/dev/etherd/discover", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return errors.Join(err, f.Close())
}

// There implements aoe.Edge.
func (searcher) There(d aoe.Disk) bool {
	_, err := os.Stat("/sys/block/etherd!" + d.String())
	return err == nil
}

// Say implements aoe.Edge.
func (s searcher) Say(r netreport.Report) { unix.Write(s.out, []byte(r.String()+"\n")) }
