// Package gen makes machines: from a seed the description of one with its
// disks, its command line, the person before it and what goes wrong. The
// description is plain data, which can be printed, kept and cut down.
//
// What a boot of it must come to is worked out from the description alone, by
// Truth; neither the parser of the command line nor any other part of what is
// being tested is asked.
package gen

import (
	"slices"
	"strings"
	"time"
)

// Kind is what a node is.
type Kind string

// Kinds of nodes. Group is the only one that is no block device, and what
// holds a filesystem or swap is a node of its own on a device.
const (
	Disk  Kind = "disk"
	Part  Kind = "part"
	Array Kind = "md"
	Group Kind = "vg"
	LV    Kind = "lv"
	LUKS  Kind = "luks"
	// Cached is a disk with a cache: it lies on the disk and the cache.
	Cached Kind = "bcache"
	Ext4   Kind = "ext4"
	Btrfs  Kind = "btrfs"
	Swap   Kind = "swap"
)

// Node is one object of a machine.
type Node struct {
	ID   int    `json:"id"`
	Kind Kind   `json:"kind"`
	On   []int  `json:"on,omitempty"` // what it lies on, by ID; of an array in the order of the slots
	UUID string `json:"uuid,omitempty"`
	// Name is a disk's ("vda"), an array's, a group's, a volume's, that of an
	// unlocked device, or a partition's label.
	Name  string `json:"name,omitempty"`
	Label string `json:"label,omitempty"` // of a filesystem
	Bus   string `json:"bus,omitempty"`   // of a disk
	Level int    `json:"level,omitempty"` // of an array
	Pass  string `json:"pass,omitempty"`  // opens an encrypted device
	Image bool   `json:"image,omitempty"` // a hibernated system is in the swap
	// Files are those of a filesystem.
	Files map[string]string `json:"files,omitempty"`
	// Profile is how a btrfs filesystem on several devices keeps its data:
	// "raid1" does without one device, "raid0" does not.
	Profile string `json:"profile,omitempty"`
}

// Subject is what a parameter means to the truth.
type Subject string

// Subjects of parameters. Noise means nothing to the outcome.
const (
	Root     Subject = "root"
	Usr      Subject = "usr"
	Resume   Subject = "resume"
	Unlock   Subject = "unlock"
	Timeout  Subject = "timeout"
	Degraded Subject = "degraded"
	// Uncached is Degraded for disks with caches alone.
	Uncached Subject = "uncached"
	NoShell  Subject = "noshell"
	Panic    Subject = "panic"
	Action   Subject = "action"
	NoResume Subject = "noresume"
	Off      Subject = "off"     // md, lvm or luks is switched off: Kind says which
	NoCheck  Subject = "nocheck" // no filesystem is checked
	Noise    Subject = ""
)

// Param is one parameter of the command line.
type Param struct {
	Text    string  `json:"text"`
	Subject Subject `json:"subject,omitempty"`
	Node    int     `json:"node,omitempty"`    // what it names
	By      string  `json:"by,omitempty"`      // how it names it: "uuid", "label", "partuuid", "path" …
	Kind    Kind    `json:"kind,omitempty"`    // Off: of what
	Seconds int     `json:"seconds,omitempty"` // Timeout, Degraded, Panic
	// How is, of Degraded, that it concerns arrays alone and how they are
	// started then: a Policy.
	How Policy `json:"how,omitempty"`
}

// Policy is how an array is started that lacks a member.
type Policy string

// Policies.
const (
	Writable Policy = "rw"
	ReadOnly Policy = "ro"
	Never    Policy = "never" // it is not
)

// Person is who sits before the machine.
type Person struct {
	// Wrong is how often something wrong is typed first for each device; from
	// 3 on, always.
	Wrong int `json:"wrong,omitempty"`
	// After is how long typing takes, in seconds; below 0: nobody is there.
	After int `json:"after,omitempty"`
	// Refuses presses Ctrl-D at every question.
	Refuses bool `json:"refuses,omitempty"`
}

// Trouble is a kind of fault.
type Trouble string

// Kinds of faults.
const (
	Missing   Trouble = "missing"   // the disk never comes
	Late      Trouble = "late"      // the disk comes at At
	Flaps     Trouble = "flaps"     // the disk goes at At and is back at Until
	Copy      Trouble = "copy"      // a copy of the disk is there as well, from At on
	Changes   Trouble = "changes"   // the kernel says N times from At on, every 100 ms, that the disk has changed
	Twice     Trouble = "twice"     // one in N of the kernel's messages comes twice
	Shuffle   Trouble = "shuffle"   // messages come up to Until late, those of one device in order
	Overflow  Trouble = "overflow"  // what the kernel says between At and Until is lost
	Stale     Trouble = "stale"     // member N of the array has an older superblock
	Split     Trouble = "split"     // members 0 and 1 of the array ran apart
	Dirty     Trouble = "dirty"     // the array was not stopped, or a cache has writes that its disk lacks
	Signature Trouble = "signature" // a second signature is on the device
	Fails     Trouble = "fails"     // operations that begin with What fail, N times; below 0 always
	Slow      Trouble = "slow"      // operations that begin with What take until Until
	Unread    Trouble = "unread"    // reading the disk gives errors
	NoDriver  Trouble = "nodriver"  // the image lacks the driver of the bus What
	Crash     Trouble = "crash"     // a handler panics at At
	Jump      Trouble = "jump"      // the clock jumps from At to Until
	Checker   Trouble = "checker"   // the checker of filesystems does What; see Checkers
)

// Checkers are what a checker may do besides finding nothing: it never ends, it
// is killed by a signal, it takes until Until, it mends something, it asks for
// a decision.
var Checkers = [...]string{Hangs, Crashes, Takes, Mends, Undecided}

// What checkers do.
const (
	Hangs     = "hangs"
	Crashes   = "crashes"
	Takes     = "takes long"
	Mends     = "mends"
	Undecided = "undecided"
)

// Fault is one thing that goes wrong. Times are in milliseconds of the boot.
type Fault struct {
	Trouble Trouble `json:"trouble"`
	Node    int     `json:"node,omitempty"`
	At      int     `json:"at,omitempty"`
	Until   int     `json:"until,omitempty"`
	N       int     `json:"n,omitempty"`
	What    string  `json:"what,omitempty"`
	Errno   string  `json:"errno,omitempty"` // Fails: with that error, "EBUSY"
}

// Machine is the description of a machine and of one boot of it.
type Machine struct {
	// Seed decides the order and duration of everything while it boots.
	Seed uint64 `json:"seed"`
	// Latency is the longest time that an operation takes, in milliseconds.
	Latency int     `json:"latency"`
	Nodes   []Node  `json:"nodes"`
	Params  []Param `json:"params"`
	Person  Person  `json:"person"`
	Faults  []Fault `json:"faults,omitempty"`
	// Drivers: the disks are behind buses whose drivers are modules of the
	// image; otherwise everything is built in.
	Drivers bool `json:"drivers,omitempty"`
	// Check: the image has a checker of filesystems.
	Check bool `json:"check,omitempty"`
	// Cards is how many network cards there are. Each has a link that comes up
	// some time after the card.
	Cards int `json:"cards,omitempty"`
	// Order is the order in which the disks come where it is not that of
	// Nodes, and Gap the time between two of them in milliseconds.
	Order []int `json:"order,omitempty"`
	Gap   int   `json:"gap,omitempty"`
}

// Node returns the node with that ID, or nil.
func (m *Machine) Node(id int) *Node {
	i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &m.Nodes[i]
}

// Param returns the parameter that counts of a subject, the last, or nil.
func (m *Machine) Param(s Subject) *Param {
	for i := len(m.Params) - 1; i >= 0; i-- {
		if m.Params[i].Subject == s {
			return &m.Params[i]
		}
	}
	return nil
}

// Cmdline is the command line.
func (m *Machine) Cmdline() string {
	var text string
	for i, p := range m.Params {
		if i > 0 {
			text += " "
		}
		text += p.Text
	}
	return text
}

// Disks are the disks, in the order in which they come.
func (m *Machine) Disks() []*Node {
	var list []*Node
	for _, id := range m.Order {
		if n := m.Node(id); n != nil && n.Kind == Disk {
			list = append(list, n)
		}
	}
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Kind == Disk && !slices.Contains(m.Order, n.ID) {
			list = append(list, n)
		}
	}
	return list
}

// Faults of one kind that concern a node.
func (m *Machine) faults(id int, t Trouble) []Fault {
	var list []Fault
	for _, f := range m.Faults {
		if f.Trouble == t && f.Node == id {
			list = append(list, f)
		}
	}
	return list
}

func (m *Machine) has(id int, t Trouble) bool { return len(m.faults(id, t)) > 0 }

// Has says whether there is a fault of a kind at all.
func (m *Machine) Has(t Trouble) bool {
	return slices.ContainsFunc(m.Faults, func(f Fault) bool { return f.Trouble == t })
}

// Above returns the nodes that lie on a node.
func (m *Machine) Above(id int) []*Node {
	var list []*Node
	for i := range m.Nodes {
		if slices.Contains(m.Nodes[i].On, id) {
			list = append(list, &m.Nodes[i])
		}
	}
	return list
}

// Below returns a node and all that it lies on.
func (m *Machine) Below(id int) []*Node {
	return m.below(nil, id)
}

func (m *Machine) below(list []*Node, id int) []*Node {
	n := m.Node(id)
	if n == nil || slices.Contains(list, n) {
		return list
	}
	list = append(list, n)
	for _, on := range n.On {
		list = m.below(list, on)
	}
	return list
}

// Valid says whether a description makes sense: everything lies on something
// that is there and that nothing else lies on.
func (m *Machine) Valid() bool {
	if r := m.root(); r == nil || strings.Contains(r.Files["/etc/fstab"], " /usr ") && m.usr() == nil {
		return false
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		users, parts := 0, 0
		for _, a := range m.Above(n.ID) {
			switch {
			case a.Kind == Part:
				parts++
			case n.Kind == Group:
			case a.Kind == LV: // on a physical volume of its group
				if g := m.Node(a.On[0]); g == nil || !slices.Contains(g.On, n.ID) {
					return false
				}
			default:
				users++
			}
		}
		if users > 1 || users > 0 && parts > 0 || n.Kind == LV && len(n.On) < 2 {
			return false
		}
		for j, on := range n.On {
			if m.Node(on) == nil || slices.Contains(n.On[:j], on) || (n.Kind == LV && j == 0) != (m.Node(on).Kind == Group) {
				return false
			}
		}
	}
	return true
}

// Depth is how many layers lie below a node, itself counted; a group and its
// volumes are one.
func (m *Machine) Depth(id int) int {
	n := m.Node(id)
	deepest := 0
	for _, on := range n.On {
		deepest = max(deepest, m.Depth(on))
	}
	if n.Kind == Group {
		return deepest
	}
	return deepest + 1
}

// Deadline is how long the root is waited for.
func (m *Machine) Deadline() time.Duration {
	if p := m.Param(Timeout); p != nil {
		return time.Duration(p.Seconds) * time.Second
	}
	return 90 * time.Second
}

// Degraded is how long missing members are waited for: by default 15 s, or two
// thirds of the time after which the boot is given up where that is less.
func (m *Machine) Degraded() time.Duration {
	if p := m.Param(Degraded); p != nil && p.How == "" {
		return time.Duration(p.Seconds) * time.Second
	}
	if d := m.Deadline(); d > 0 {
		return min(15*time.Second, d/3*2)
	}
	return 15 * time.Second
}

// DegradedArrays is what becomes of arrays that lack a member: how long it is
// waited for, and how they are started then.
func (m *Machine) DegradedArrays() (time.Duration, Policy) {
	if p := m.Param(Degraded); p != nil && p.How != "" {
		wait := m.Degraded()
		if p.Seconds > 0 {
			wait = time.Duration(p.Seconds) * time.Second
		}
		return wait, p.How
	}
	return m.Degraded(), Writable
}

// DegradedCaches is DegradedArrays for disks without their caches.
func (m *Machine) DegradedCaches() (time.Duration, Policy) {
	if p := m.Param(Uncached); p != nil {
		wait := m.Degraded()
		if p.Seconds > 0 {
			wait = time.Duration(p.Seconds) * time.Second
		}
		return wait, p.How
	}
	return m.Degraded(), Writable
}

// Clone returns a copy that shares nothing.
func (m *Machine) Clone() *Machine {
	c := *m
	c.Nodes = slices.Clone(m.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].On = slices.Clone(c.Nodes[i].On)
		c.Nodes[i].Files = cloneFiles(c.Nodes[i].Files)
	}
	c.Params, c.Faults, c.Order = slices.Clone(m.Params), slices.Clone(m.Faults), slices.Clone(m.Order)
	return &c
}

func cloneFiles(f map[string]string) map[string]string {
	if f == nil {
		return nil
	}
	out := make(map[string]string, len(f))
	for k, v := range f {
		out[k] = v
	}
	return out
}
