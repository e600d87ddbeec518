// Package serverplan is what the guest that plays the servers of a network is
// told to do, as /plan.json of its initramfs.
package serverplan

// Plan is what it does, in this order.
type Plan struct {
	Modules  []string          // to load, by path
	Files    map[string]string // to write
	Tree     string            // tar file to unpack to Root, "" for none
	Disk     string            // or a block device to mount there
	Root     string            // directory that is exported
	Commands []Command         // then these
}

// Command is one program, or one of
//
//	@write FILE TEXT
//	@mkdir DIRECTORY
//	@link TARGET FILE
//	@remove FILE
//	@mount WHAT DIRECTORY TYPE
//	@connected PORT       wait until a client has a TCP connection to the port
//	@greets ADDRESS       wait until a server at ADDRESS:PORT has said something to who connects
//	@kill FILE            kill the process group whose number is in the file
type Command struct {
	Argv []string
	// Stays is a program that does not end.
	Stays bool
	// After is the time in milliseconds that passes before.
	After int
	// Ready tells the harness before it is run that the server is ready: what
	// comes after is late.
	Ready bool
}
