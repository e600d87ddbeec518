// Package stay makes a helper program one that outlives the initramfs, since the
// root is on what it serves.
package stay

import (
	"os"
	"unsafe"

	"syscall"
)

// onFault locks pages when they are first used (MCL_ONFAULT, linux/mman.h).
const onFault = 4

// Process has this process stay: in memory with all it needs, with a name that
// begins with '@', so that neither the end of the initramfs nor systemd's last round
// at shutdown ends it (systemd.io/ROOT_STORAGE_DAEMONS).
func Process() {
	// Nobody may read any more what is said. Package os/signal would be more than all
	// the rest.
	ignore := struct{ handler, flags, restorer, mask uintptr }{handler: 1} // SIG_IGN
	for _, s := range [...]syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP} {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
	}
	if name := os.Args[0]; name != "" {
		*unsafe.StringData(name) = '@' // the kernel's own copy of the arguments
	}
	// Best effort, both: the device is the better for it, and not in need of it.
	syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE | onFault)
	os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
}
