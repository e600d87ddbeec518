package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// runLimit bounds the boot of `make run`, emulated on a slow machine.
const runLimit = 10 * time.Minute

// run boots a Debian from LUKS2 on LVM on RAID1 across two disks with an
// image that Firstlight built, types the passphrase, and shows how it went.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	interactive := flags.Bool("interactive", false, "leave the console to the person")
	suite := flags.String("suite", "bookworm", "the Debian release to boot")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := prepareRun(ctx, *suite)
	if err != nil {
		return err
	}
	m := vm.Machine{Kernel: r.kernel.Image(), Initrd: r.image, Memory: 1024, Disks: r.disks, Append: r.cmdline}
	if *interactive {
		return r.interactive(ctx, m)
	}
	return r.unattended(ctx, m)
}

// prepared is everything that a run boots from.
type prepared struct {
	dir        string // of this run
	firstlight string
	kernel     debian.Kernel
	image      string
	disks      []vm.Disk
	cmdline    string
}

func prepareRun(ctx context.Context, suite string) (*prepared, error) {
	checkout, err := host.Checkout()
	if err != nil {
		return nil, err
	}
	cache, err := host.Cache()
	if err != nil {
		return nil, err
	}
	r := &prepared{dir: filepath.Join(cache, "run"), firstlight: filepath.Join(checkout, "bin/firstlight")}
	if err := os.RemoveAll(r.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	fmt.Println("== kernel, Debian root and disks (made once, then cached)")
	if r.kernel, err = debian.GetKernel(ctx, suite); err != nil {
		return nil, err
	}
	layout := disks.DebianStack(suite)
	made, err := disks.Make(ctx, layout)
	if err != nil {
		return nil, err
	}
	for _, d := range layout.Disks {
		overlay := filepath.Join(r.dir, d.Name+".qcow2")
		if err := vm.Overlay(ctx, made[layout.Name].Files[d.Name], overlay); err != nil {
			return nil, err
		}
		r.disks = append(r.disks, vm.Disk{File: overlay, Serial: d.Name})
	}
	fmt.Println("== image")
	r.image = filepath.Join(r.dir, "firstlight.img")
	start := time.Now()
	argv := []string{r.firstlight, "build", "--kernel", r.kernel.Release, "--modules-dir", r.kernel.Modules(), "--generic",
		"--cache-dir", filepath.Join(cache, "firstlight"), "--output", r.image}
	if _, err := (host.Cmd{Argv: argv, Log: os.Stdout}).Run(ctx); err != nil {
		return nil, err
	}
	st, err := os.Stat(r.image)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: %.1f MB, built in %.2f s\n", r.image, float64(st.Size())/1e6, time.Since(start).Seconds())
	// On a busy host an emulated machine takes minutes to derive a key.
	r.cmdline = "console=ttyS0 quiet panic=-1 no_timer_check rd.timeout=600 ro rd.luks.name=" + layout.UUID("crypt") + "=cryptroot root=/dev/mapper/cryptroot"
	return r, nil
}

// unattended boots, types, waits for the report and shows the timeline.
func (r *prepared) unattended(ctx context.Context, m vm.Machine) error {
	booting, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	console := filepath.Join(r.dir, "console.log")
	log, err := os.Create(console)
	if err != nil {
		return err
	}
	defer log.Close()
	m.Log = io.MultiWriter(log, os.Stdout)
	fmt.Printf("== boot: %s\n", m.Append)
	v, err := vm.Run(booting, m)
	if err != nil {
		return err
	}
	defer v.Close()
	typed := make(chan error, 1)
	go func() {
		_, err := v.Console.Expect(booting, 0, "Passphrase for ")
		if err == nil {
			err = v.Console.Type(disks.Passphrase + "\r")
		}
		typed <- err
	}()
	waited := v.Wait(booting)
	cancel()
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err := errors.Join(waited, err); err != nil {
		return err
	}
	var d *report.Debian
	for _, m := range ms {
		if m.Debian != nil {
			d = m.Debian
		}
	}
	if d == nil {
		return errors.Join(fmt.Errorf("debian was not reached; the console is in %s", console), <-typed)
	}
	journal := filepath.Join(r.dir, "journal")
	if err := os.WriteFile(journal, report.Files(ms)["journal"], 0o644); err != nil {
		return err
	}
	fmt.Println("\n== timeline")
	if _, err := (host.Cmd{Argv: []string{r.firstlight, "trace", "show", journal}, Log: os.Stdout}).Run(ctx); err != nil {
		return err
	}
	fmt.Printf("\n== systemd\n%s\nsystemctl is-system-running: %s\nsystemctl --failed: %s\n", d.Analyze, d.State, orNone(d.Failed))
	fmt.Printf("\n== left behind\nimage    %s\nconsole  %s\njournal  %s\n", r.image, console, journal)
	if d.State != "running" {
		return fmt.Errorf("the system is %s, not running:\n%s", d.State, d.Log)
	}
	return nil
}

// interactive gives the console to the person on the terminal.
func (r *prepared) interactive(ctx context.Context, m vm.Machine) error {
	m.Interactive = true
	m.Append += " fltest.stay"
	fmt.Printf("== the passphrase is %q; log in as root without a password; poweroff ends it, or Ctrl-A X\n", disks.Passphrase)
	v, err := vm.Run(ctx, m)
	if err != nil {
		return err
	}
	defer v.Close()
	err = v.Wait(ctx)
	fmt.Printf("\nimage %s\n", r.image)
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
