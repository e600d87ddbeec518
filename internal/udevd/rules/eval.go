package rules

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/rules/tab"
)

// Bounds of what a substitution may give, in bytes, as udev has them. A
// condition whose value would be longer fails; an assignment is not made.
const (
	maxName = 511
	maxPath = 1023
	maxLine = 16383
)

// escaping is what OPTIONS="string_escape=" said in the rule at hand.
type escaping uint8

const (
	escapeDefault escaping = iota
	escapeNone
	escapeReplace
)

// eval is one evaluation.
type eval struct {
	t        *Table
	dev      *device.Device
	ev       Event
	env      Env
	out      *Outcome
	parent   *device.Device // the one that KERNELS and the like found last
	result   string         // of PROGRAM
	escape   escaping
	line     uint32
	builtins uint64 // bits of those that run once and have run
	failed   uint64 // of these, those that failed
	final    uint8  // what := has closed
	links    bool   // SYMLINK was touched
	stop     error
}

const (
	finalName = 1 << iota
	finalOwner
	finalGroup
	finalMode
	finalLinks
	finalRun
	finalWatch
)

// Evaluate applies the rules of t to dev, which carries the properties of the
// event and none of the links and tags that an earlier event gave it. It
// changes dev's properties, links and tags. The error is that of an Env which
// wants the evaluation to stop (ErrStop); dev and the Outcome then are as far
// as they came.
func Evaluate(t *Table, dev *device.Device, ev Event, env Env) (*Outcome, error) {
	// Most devices only get a driver: room for that comes with the Outcome.
	room := &struct {
		out Outcome
		run [1]Command
	}{}
	room.out.Run = room.run[:0]
	e := eval{t: t, dev: dev, ev: ev, env: env, out: &room.out}
	mask := uint16(tab.HasGoto | tab.HasUpdate)
	if ev.Action != "remove" {
		if dev.HasProperty("MAJOR") {
			mask |= tab.HasDevlink
		}
		if dev.HasProperty("IFINDEX") {
			mask |= tab.HasName
		}
	}
	first, n := t.candidates(dev.Subsystem(), ev.Action)
	for i := range n {
		at := t.u32(tab.Index, first+i)
		if at < e.line { // passed over by a GOTO
			continue
		}
		l := t.line(at)
		if l.flags&mask == 0 {
			continue
		}
		e.line = at
		if e.rule(l) && l.target != tab.NoLine {
			e.line = l.target
		}
		if e.stop != nil {
			return e.out, fmt.Errorf("rules: %s: %w", t.where(at), e.stop)
		}
	}
	if e.links && e.out.LinkPriority != 0 {
		for _, name := range dev.Links() {
			dev.AddLink(name, e.out.LinkPriority)
		}
	}
	return e.out, nil
}

// rule applies one rule; ok is false if a condition did not hold.
func (e *eval) rule(l line) (ok bool) {
	e.escape = escapeDefault
	parents := false
	for i := range uint32(l.n) {
		k := e.t.token(l.token + i)
		switch {
		case k.kind.OfParents():
			if parents {
				continue
			}
			parents = true
			if !e.parents(l, i) {
				return false
			}
		case k.kind.IsMatch():
			if !e.match(k, e.dev) {
				return false
			}
		default:
			e.assign(k)
		}
		if e.stop != nil {
			return false
		}
	}
	return true
}

// parents looks for the device, from the event's own upwards, for which all
// conditions of the rule on parents hold.
func (e *eval) parents(l line, from uint32) bool {
	for e.parent = e.dev; e.parent != nil; e.parent = e.parent.Parent() {
		all := true
		for i := from; all && i < uint32(l.n); i++ {
			if k := e.t.token(l.token + i); k.kind.OfParents() {
				all = e.match(k, e.parent)
			}
		}
		if all {
			return true
		}
	}
	return false
}

// note records a decision that has failed: the others show in what came of
// them.
func (e *eval) note(d Decision) {
	if d.Err == nil {
		return
	}
	d.From = e.t.where(e.line)
	e.out.Decisions = append(e.out.Decisions, d)
}

// check keeps an error that asks to stop.
func (e *eval) check(err error) {
	if err != nil && errors.Is(err, ErrStop) {
		e.stop = err
	}
}

// property gives a property as ENV{} and $env{} see it: with those that are
// made up of the device's links and tags.
func (e *eval) property(key string) (string, bool) {
	if e.dev.HasProperty(key) {
		return e.dev.Property(key), true
	}
	switch key {
	case "ACTION":
		return e.ev.Action, true
	case "DEVLINKS":
		links := e.dev.Links()
		for i := range links {
			links[i] = "/dev/" + links[i]
		}
		return strings.Join(links, " "), len(links) > 0
	case "TAGS", "CURRENT_TAGS":
		if tags := e.dev.Tags(); len(tags) > 0 {
			return ":" + strings.Join(tags, ":") + ":", true
		}
	}
	return "", false
}

// patterns says whether one of the patterns of k matches s.
func (t *Table) patterns(k token, s string) bool {
	for i := range uint32(k.n) {
		r := t.rec(tab.Patterns, k.value+i)
		p := t.str(binary.LittleEndian.Uint32(r[4:]))
		if matchPattern(binary.LittleEndian.Uint32(r), p, s, k.flags&tab.Fold != 0) {
			return true
		}
	}
	return false
}

// isSubsystemWord: the three words are one to SUBSYSTEM.
var subsystemWords = [...]string{"subsystem", "bus", "class"}

func isSubsystemWord(s string, fold bool) bool {
	return slices.ContainsFunc(subsystemWords[:], func(w string) bool {
		return matchPattern(tab.Exact, w, s, fold)
	})
}
