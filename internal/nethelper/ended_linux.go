package nethelper

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// whenEnded is a file descriptor that can be read once the program is told to
// end.
func whenEnded() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("wait for the end: %w", err)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM)
	go func() {
		<-told
		unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}()
	return fd, nil
}
