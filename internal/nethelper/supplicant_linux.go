package nethelper

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/netid"
	"firstlight/internal/rtnl"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// supplicants are where wpa_supplicant may be; who builds it has it in the first.
var supplicants = [...]string{"/usr/local/sbin/wpa_supplicant", "/usr/sbin/wpa_supplicant", "/sbin/wpa_supplicant"}

// supplicant is a running one.
type supplicant struct {
	link int
	pid  int
	log  string // the file that it writes to
}

// supplicantConfig is the file that says how a link is let in, and wpa_supplicant's
// name for the way to its driver; both are "" where there is none. The names of the
// files are those of its units for systemd.
func supplicantConfig(link string, radio bool, exists func(string) bool) (file, driver string) {
	const dir = "/etc/wpa_supplicant/wpa_supplicant"
	if !radio {
		if f := dir + "-wired-" + link + ".conf"; exists(f) {
			return f, "wired"
		}
		return "", ""
	}
	for _, f := range [...]string{dir + "-" + link + ".conf", dir + "-nl80211-" + link + ".conf", dir + ".conf"} {
		if exists(f) {
			return f, "nl80211"
		}
	}
	return "", ""
}

func exists(name string) bool {
	_, err := sysfile.Stat(name)
	return err == nil
}

// Authenticate implements netup.Authenticator. The program stays when the real
// system starts: its name begins with '@', as that of a process that the root needs
// (systemd.io/ROOT_STORAGE_DAEMONS).
func (k kernel) Authenticate(l rtnl.Link) (by string, ok bool, err error) {
	sys := sysfs.Dir("/sys")
	radio := netid.DevType(sys, l.Name) == "wlan" || sys.Exists("/class/net/"+l.Name+"/phy80211")
	config, driver := supplicantConfig(l.Name, radio, exists)
	if config == "" {
		return "", !radio, nil
	}
	program := ""
	for _, p := range supplicants {
		if program == "" && exists(p) {
			program = p
		}
	}
	if program == "" {
		return "", true, fmt.Errorf("wpa_supplicant, which %s is for, is not in this image: build it with --feature wifi", config)
	}
	log := "/run/firstlight-wpa-" + l.Name + ".log"
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", true, err
	}
	defer out.Close()
	p, err := os.StartProcess(program, []string{"@wpa_supplicant", "-i", l.Name, "-c", config, "-D", driver},
		&os.ProcAttr{Dir: "/", Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Files: []*os.File{nil, out, out}, Sys: &unix.SysProcAttr{Setsid: true}})
	if err != nil {
		return "", true, fmt.Errorf("start %s: %w", program, err)
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err == nil {
		err = k.h.watch(fd)
	}
	if err != nil {
		return "", true, fmt.Errorf("watch %s: %w", program, err)
	}
	k.h.supplicants[fd] = supplicant{l.Index, p.Pid, log}
	return "wpa_supplicant with " + config, true, nil
}

// supplicantEnded takes in the end of one, and its last words.
func (h *Helper) supplicantEnded(fd int) {
	s := h.supplicants[fd]
	delete(h.supplicants, fd)
	unix.Close(fd)
	unix.Wait4(s.pid, nil, 0, nil)
	h.core.Unauthenticated(now(), s.link, lastLine(s.log))
}

// lastLine is the last line of a file that is no more than a few KiB.
func lastLine(name string) string {
	b, err := sysfile.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(b[max(len(b)-4096, 0):]))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
