package main

import (
	"context"
	"flag"
	"path/filepath"
	"strings"

	"firstlight/test/bench"
	"firstlight/test/host"
)

// measure makes the table of figures: hours on a slow machine, so rows and
// peers can be picked.
func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	runs := flags.Int("runs", 5, "boots of each image with counted instructions, two at a time")
	walls := flags.Int("walls", 5, "boots of each image by the wall clock, on a host that does nothing else")
	builds := flags.Int("builds", 3, "times that each image is built; 0 takes the images of the last run")
	least := flags.Bool("memory", true, "look for the least memory that boots the first row")
	add := flags.Bool("add", false, "add to the figures of the last run")
	rows := flags.String("rows", "", "rows to measure, by letter, with commas between them")
	peers := flags.String("peers", "", "peers to measure, by name, with commas between them")
	out := flags.String("out", "", "directory for images and figures; default is bench in the cache")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cache, err := host.Cache()
	if err != nil {
		return err
	}
	if *out == "" {
		*out = filepath.Join(cache, "bench")
	}
	list := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
	return bench.Run(ctx, bench.Options{Runs: *runs, Walls: *walls, Build: *builds, Least: *least, Add: *add, Rows: list(*rows), Peers: list(*peers), Out: *out})
}
