// Handed says what the real system has of what systemd-stub gave to the initramfs:
// the files, the variable of the environment, PCR 11 of the TPM and the log of what
// was measured. As the first process it then becomes the tiny root's init.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"firstlight/test/guest/report"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("handed:", err)
	}
	if os.Getpid() != 1 {
		return
	}
	if err := syscall.Exec("/usr/sbin/init", os.Args, os.Environ()); err != nil {
		fmt.Println("handed: exec:", err)
	}
}

func run() error {
	var b strings.Builder
	for _, dir := range []string{"/run/credentials", "/run/credstore.encrypted", "/run/systemd/stub", "/run/extensions"} {
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // it need not be there
			}
			st, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %v", p, st.Mode())
			if st.Mode().IsRegular() {
				text, _ := os.ReadFile(p)
				fmt.Fprintf(&b, " %q", text)
			}
			b.WriteByte('\n')
			return nil
		})
	}
	fmt.Fprintf(&b, "ENCRYPTED_CREDENTIALS_DIRECTORY=%s\n", os.Getenv("ENCRYPTED_CREDENTIALS_DIRECTORY"))
	for _, bank := range []string{"sha1", "sha256", "sha384"} {
		value, err := os.ReadFile("/sys/class/tpm/tpm0/pcr-" + bank + "/11")
		if err == nil {
			fmt.Fprintf(&b, "11:%s=%s\n", bank, strings.ToLower(strings.TrimSpace(string(value))))
		}
	}
	for _, p := range []string{"vm/swappiness", "net/ipv4/conf/lo/rp_filter", "net/ipv4/conf/all/rp_filter"} {
		value, _ := os.ReadFile("/proc/sys/" + p)
		fmt.Fprintf(&b, "%s=%s\n", p, strings.TrimSpace(string(value)))
	}
	log, _ := os.ReadFile("/run/log/systemd/tpm2-measure.log")
	b.WriteString(strings.ReplaceAll(string(log), "\x1e", "measured "))
	if os.Getpid() != 1 {
		for _, argv := range [][]string{{"systemd-creds", "--system", "list", "--no-pager"}, {"systemctl", "show-environment"}} {
			out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
			fmt.Fprintf(&b, "# %s\n%s%v\n", strings.Join(argv, " "), out, err)
		}
	}
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	if err := w.SendBytes("handed", []byte(b.String())); err != nil {
		return err
	}
	w.Drain()
	return nil
}
