// Tables is put in front of the tiny root's init. It sends the live table of
// every device-mapper device, with its name and UUID, and then becomes the init
// behind it.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"syscall"

	"firstlight/internal/devmapper"
	"firstlight/test/guest/report"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("tables:", err)
	}
	if err := syscall.Exec("/usr/sbin/report-init", os.Args, os.Environ()); err != nil {
		fmt.Println("tables: exec:", err)
	}
}

func run() error {
	ctl, err := devmapper.Open(devmapper.Path)
	if err != nil {
		return err
	}
	defer ctl.Close()
	all, err := ctl.Devices()
	if err != nil {
		return err
	}
	var lines []string
	for _, d := range all {
		info, err := ctl.Info(devmapper.ByName(d.Name))
		if err != nil {
			return err
		}
		table, err := ctl.Table(devmapper.ByName(d.Name))
		if err != nil {
			return err
		}
		line := d.Name + "\t" + info.UUID
		for _, t := range table {
			// With the key, where the table has one: the oracle has it too.
			line += fmt.Sprintf("\t%d %d %s %s", t.Start, t.Length, t.Type, t.Params)
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	if err := w.SendBytes("tables", []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return err
	}
	w.Drain()
	return nil
}
