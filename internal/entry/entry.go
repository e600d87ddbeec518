// Package entry holds the first instructions of /init, which run before the
// Go runtime does (entry_amd64.s). They are in the program if the linker is
// told so (-E firstlight/internal/entry.start, see the Makefile); without
// them /init does the same, later.
//
// They do three things that are too late in main:
//
//   - The kernel is told to give this process no pages of 2 MiB. A runtime
//     that starts touches a little of several, and clearing them would be most
//     of what the start costs.
//   - The kernel may let this process's sleeps last a fifth of a millisecond
//     longer. The runtime has a thread that looks after the others every 20
//     microseconds; where there is one processor, as in a small machine, its
//     waking was a tenth of a boot. Whatever is executed by this process gets
//     what is usual back (firstlight/internal/pid1).
//   - The kernel looks for each cipher that it composes ("xts(aes)",
//     "cryptd(__xts-aes-aesni)") by calling modprobe twice, in vain: a module
//     of that name exists nowhere, and while its ciphers test themselves a
//     driver composes a score. Where the request begins with "crypto-" and
//     the image's list of such names (Names) has not got it, the process ends
//     at once with 1, as modprobe ends. Of an array the kernel asks for the
//     driver of its level ("md-level-1") also when it is there; where a file
//     in Loaded says so, the process ends with 0. Everything else is for main.
//
// It decides nothing else, and must write nothing.
package entry

// Names is where the image has its list: all names and aliases of its modules
// that begin with "crypto-", with '_' for '-', one a line, each line ended.
// A list that is missing, empty or longer than MaxNames is not used.
const Names = "/etc/firstlight/crypto-names"

// Loaded is the directory in which a file of the name says that the module of
// an alias "md-level-…" is loaded, with '_' for '-'. PID 1 makes both.
const Loaded = "/etc/firstlight/loaded"

// MaxNames is the most that a list may have, in bytes.
const MaxNames = 16<<10 - 1
