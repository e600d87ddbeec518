package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"firstlight/internal/sim/gen"
	"firstlight/internal/sim/prove"
)

// simulate boots generated machines and says which of them break a rule, cut
// down to what is needed for that.
func simulate(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	seeds := flags.Uint64("seeds", 10_000, "how many machines are booted")
	start := flags.Uint64("start", 0, "the first seed")
	most := flags.Int("failures", 3, "after how many failures to stop; 0 for never")
	brief := flags.Bool("brief", false, "say the seed and the rule of a failure, and nothing else")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "how many boots run at a time")
	replay := flags.String("replay", "", "boot the machine described in this `file` instead, and print its journal")
	out := flags.String("out", "", "keep in this `file` how far it is and what came of it, and go on from there")
	slice := flags.Duration("for", 0, "stop after so long, to go on another time; 0 for never")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *replay != "" {
		return replayMachine(*replay)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a boot leaves nothing: the heap stays small all the same
	}
	s, err := openSoak(*out, *start)
	if err != nil {
		return err
	}
	began, last := time.Now(), time.Now()
	before, failures := s.Done(), 0
	const stride = 4096
	goOn := func() bool {
		return ctx.Err() == nil && (*most == 0 || failures < *most) && (*slice == 0 || time.Since(began) < *slice)
	}
	for s.Done() < *seeds && goOn() {
		stridden := time.Now()
		n := min(stride, *seeds-s.Done())
		sum := prove.Seeds(*start+s.Done(), n, *workers, func(f prove.Failure) bool {
			failures++
			s.Broken = append(s.Broken, brokenSeed{f.Seed, f.Result.Violations[0].Rule})
			tellFailure(f, *brief)
			return *out != "" || *most == 0 || failures < *most
		})
		if err := s.add(sum, time.Since(stridden)); err != nil {
			return err
		}
		if !*brief && time.Since(last) > 10*time.Second {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "sim: %d of %d seeds, %.0f a second\n", s.Done(), *seeds, float64(s.Done()-before)/time.Since(began).Seconds())
		}
	}
	if !*brief {
		rate := float64(s.Done()-before) / time.Since(began).Seconds()
		fmt.Printf("sim: seeds %d to %d, %d failures; %.0f seeds/s, %.0f for each of %d workers\n",
			*start, *start+s.Done()-1, len(s.Broken), rate, rate/float64(*workers), *workers)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(s.Broken) > 0:
		return fmt.Errorf("%d machines broke a rule", len(s.Broken))
	}
	return nil
}

// tellFailure prints a seed with the smallest machine that still breaks its
// rule.
func tellFailure(f prove.Failure, brief bool) {
	v := f.Result.Violations[0]
	if brief {
		fmt.Printf("seed %d: %s\n", f.Seed, v.Rule)
		return
	}
	fmt.Printf("== seed %d\n%s", f.Seed, f.Result)
	small := prove.Shrink(f.Result.Machine, v.Rule, 400)
	text, err := json.Marshal(small)
	if err != nil {
		text = []byte(err.Error())
	}
	fmt.Printf("-- cut down to %d nodes, %d parameters, %d faults:\n%s\n-- command line: %s\n%s", len(small.Nodes), len(small.Params), len(small.Faults),
		text, small.Cmdline(), prove.Safe(small))
}

func replayMachine(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var m gen.Machine
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	r := prove.Safe(&m)
	if r.Sim != nil {
		os.Stdout.Write(r.Sim.Journal)
	}
	fmt.Print(r)
	if len(r.Violations) > 0 {
		return errors.New("a rule was broken")
	}
	return nil
}
