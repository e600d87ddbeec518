// Package plan is what the harness asks of the guest that makes disks: for
// each layout a list of commands, run in order, with whole disks and archives
// named by their number on the guest's SCSI bus.
package plan

// Format changes when the guest understands a plan differently, so that disks
// made by an older one are made anew.
const Format = 1

// Plan is one run of the guest.
type Plan struct {
	Modules []string // to load, in this order
	Layouts []Layout
}

// Layout is the disks of one layout. The guest goes on with the next layout
// when a command fails.
type Layout struct {
	Name     string
	Disks    []int // logical unit numbers; "{0}" in a command is the first one's node
	Archives []int // likewise, "{a0}" is the first
	Commands []Command
	// Cleanup runs after the commands, whether they went well or not.
	Cleanup []Command
}

// Command is a program to run or, with an '@' before its name, one of the
// guest's own:
//
//	@mount DEVICE DIR TYPE [OPTIONS]
//	@umount DIR
//	@mkdir DIR
//	@remove DIR                 with everything in it
//	@untar DEVICE DIR [ONLY|-] [WITHOUT]
//	@poke DEVICE OFFSET HEX     a negative offset counts from the end
//	@write FILE                 what Stdin holds
//	@copy FROM TO               FROM's data is written over TO's start
//	@sign PARTITION FILE        the partition gets the signature of FILE's root hash
//	@halves DISK N M FILE       partitions N and M get the halves of FILE's root hash as UUIDs
type Command struct {
	Argv  []string
	Stdin []byte
	Env   []string
	// Tolerate is the highest exit status that counts as success.
	Tolerate int
}
