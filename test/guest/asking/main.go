// Asking runs in a real Debian before the program that reports: once the boot has
// come to its end it asks the field's own tools what they see of the storage, and
// sends their answers. It goes on as debreport.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"

	"firstlight/test/guest/report"
)

const next = "/usr/lib/fltest/debreport"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "asking:", err)
	}
	if err := syscall.Exec(next, []string{next}, os.Environ()); err != nil {
		fmt.Fprintf(os.Stderr, "asking: %s: %v\n", next, err)
	}
}

func run() error {
	ask("systemctl is-system-running --wait")
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer w.Drain()
	return w.SendBytes("asked", []byte(asked()))
}

// question is a command of the shell. It is asked in every system, whatever that
// is on; a tool that finds nothing of its kind says so, or nothing.
type question struct {
	name    string
	command string
	ordered bool // the order of the answer's lines means something
}

var questions = []question{
	{"mdadm --detail", `for a in /dev/md[0-9]*; do [ -b $a ] && echo $a && mdadm --detail $a | ` + unnumbered + `; done`, true},
	{"mdadm --detail --export", `for a in /dev/md[0-9]*; do [ -b $a ] && mdadm --detail --export $a; done`, true},
	// Members stand in the order in which they came.
	{"/proc/mdstat", `tr ' ' '\n' </proc/mdstat`, false},
	{"/run/mdadm/map", `cat /run/mdadm/map`, false},
	{"md sysfs", `for a in /sys/block/md*/md; do [ -d $a ] && for f in array_state level degraded layout chunk_size consistency_policy sync_action safe_mode_delay; do [ -e $a/$f ] && echo $f $(cat $a/$f); done; done`, false},
	{"pvs", `pvs -a --noheadings --units s -o pv_name,pv_uuid,vg_name,pv_attr,pv_size,pv_free,pv_missing,pv_in_use`, false},
	{"vgs", `vgs --noheadings --units s -o vg_name,vg_uuid,vg_attr,pv_count,lv_count,snap_count,vg_size,vg_free,vg_seqno,vg_missing_pv_count`, false},
	{"lvs", `lvs -a --noheadings --units s -o vg_name,lv_name,lv_uuid,lv_attr,lv_size,segtype,devices,sync_percent,lv_active,lv_suspended,lv_live_table,lv_inactive_table,lv_read_ahead,lv_kernel_read_ahead,lv_health_status`, false},
	{"vgck", `vgck; echo status $?`, false},
	{"cryptsetup status", `for d in /dev/mapper/*; do [ -b $d ] && case "$(dmsetup info -c --noheadings -o uuid $d)" in CRYPT-LUKS*|CRYPT-PLAIN*) cryptsetup status $d;; CRYPT-VERITY*) veritysetup status $d;; CRYPT-INTEGRITY*) integritysetup status $d;; esac; done`, true},
	{"dmsetup table", `dmsetup table`, false},
	{"dmsetup status", `dmsetup status`, false},
	{"dmsetup info", `dmsetup info -c --noheadings -o name,uuid,attr,open,segments,read_ahead,blkdevs_used,tables_loaded`, false},
	{"dmsetup udev cookies", `dmsetup udevcookies`, false},
	{"btrfs", `findmnt --real -n -r -t btrfs -o TARGET | while read -r m; do btrfs device stats $m; btrfs filesystem show $m | grep -v used; btrfs filesystem df $m | sed 's/,.*//'; done`, false},
	{"bcache", `for b in /sys/block/bcache*/bcache; do [ -d $b ] && for f in state cache_mode dirty_data label running sequential_cutoff writeback_percent; do echo $f $(cat $b/$f); done; readlink $b/cache; readlink $b/dev; done; ls /sys/fs/bcache`, false},
	{"multipath -ll", `command -v multipath >/dev/null && multipath -ll`, true},
	// Who made a map, and what its daemon thinks of it and of its paths.
	{"multipathd", `command -v multipathd >/dev/null && { multipathd show maps raw format '%n %w %d %N %Q %p %r %t'; multipathd show paths raw format '%w %i %d %t %o %T %C %p'; }`, false},
	{"zpool status", `command -v zpool >/dev/null && zpool status -P`, true},
	{"zpool list", `command -v zpool >/dev/null && zpool list -v -H -P | ` + sized, true},
	{"zpool get", `command -v zpool >/dev/null && zpool get -H -p all | ` + settled, false},
	{"zfs get", `command -v zfs >/dev/null && zfs get -H -p all | ` + settled, false},
	{"mounts", `findmnt --real -n -l -o TARGET,SOURCE,FSTYPE,OPTIONS`, false},
	{"swap", `swapon --show=NAME,TYPE,SIZE --noheadings; cat /sys/power/resume /sys/power/resume_offset`, false},
	{"failed units", `systemctl --failed --plain --no-legend --no-pager`, false},
	{"units of storage", `systemctl list-units --all --plain --no-legend --no-pager 'lvm*' 'dm-event*' 'blk-availability*' 'systemd-cryptsetup*' 'systemd-verity*' 'systemd-integrity*' 'md*' 'mdadm*' 'systemd-hibernate*' 'systemd-fsck*' '*.swap' '*.mount' 'cryptsetup*'`, false},
	{"lsblk", `lsblk -n -l -o NAME,TYPE,FSTYPE,UUID,LABEL,RO,RA,MOUNTPOINTS`, false},
	{"links", `find /dev -type l -not -path '/dev/char/*' -not -path '/dev/block/*' -printf '%p %l\n'`, false},
	{"processes", `ps -e -o comm= | grep -E '^(mdadm|mdmon|dmeventd|lvm.*|systemd-crypts.*|multipathd)$'`, false},
}

// settled leaves out what ZFS says that no two boots of one disk share: what is
// written to the root meanwhile, and the number that each import gets.
const settled = `grep -vE '^\S+\s(free|allocated|used|available|referenced|usedby(dataset|children|snapshots)|written|logical(used|referenced)|(ref)?compressratio|capacity|load_guid|fragmentation)\s'`

// sized leaves the name and the health of each line of zpool list, whose other
// columns are sizes.
const sized = `awk '{ health = "-"; for (i = 2; i <= NF; i++) if ($i ~ /^(ONLINE|DEGRADED|FAULTED|OFFLINE|UNAVAIL|REMOVED|AVAIL)$/) health = $i; print $1, health }'`

// unnumbered leaves the major and minor numbers of members out, which their names
// are there for: the first is given in the order in which drivers are loaded.
const unnumbered = `sed -E 's/^( +([0-9]+|-) +)[0-9]+ +[0-9]+ +/\1/'`

// asked is what is answered, under the names of the questions.
func asked() string {
	names := numbers()
	var b strings.Builder
	for _, q := range questions {
		lines := strings.Split(number.ReplaceAllStringFunc(ask(q.command), func(s string) string {
			if n, ok := names[s]; ok {
				return n
			}
			return s
		}), "\n")
		if !q.ordered {
			sort.Strings(lines)
		}
		fmt.Fprintf(&b, "# %s\n%s\n", q.name, strings.Join(lines, "\n"))
	}
	return b.String()
}

// number is one that depends on the order in which devices came.
var number = regexp.MustCompile(`\b(?:(?:\d+:\d+|dm-\d+)\b|md\d+)`)

var array = regexp.MustCompile(`^md\d+$`)

// numbers are the names of such devices: of "253:0", "dm-0" and "md127".
func numbers() map[string]string {
	names := map[string]string{}
	arrays, _ := filepath.Glob("/dev/md/*")
	for _, link := range arrays {
		// Those of partitions lead to other names, which begin with the array's.
		if to, err := os.Readlink(link); err == nil && array.MatchString(filepath.Base(to)) {
			names[filepath.Base(to)] = "md:" + filepath.Base(link)
		}
	}
	dirs, _ := filepath.Glob("/sys/dev/block/*")
	for _, d := range dirs {
		to, err := filepath.EvalSymlinks(d)
		if err != nil {
			continue
		}
		name := filepath.Base(to)
		if b, err := os.ReadFile(to + "/dm/name"); err == nil {
			names[name] = "dm:" + strings.TrimSpace(string(b))
			name = strings.TrimSpace(string(b))
		}
		if n, ok := names[name]; ok { // of an array
			name = n
		}
		names[filepath.Base(d)] = name
	}
	return names
}

// ask is what a command of the shell prints.
func ask(command string) string {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
