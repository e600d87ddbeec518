package e2e

import "firstlight/test/disks"

// asMdadmScript is run in a shell once Firstlight has started the array: it keeps
// what mdadm and the kernel say of it, stops it, has mdadm assemble it as the
// initramfs-tools do, and compares.
const asMdadmScript = `#!/bin/sh
see() {
  for a in /dev/md[0-9]*; do
    echo $a
    mdadm --detail --export $a
    mdadm --detail $a | grep -v ' Time :'
    for x in array_state level raid_disks degraded layout chunk_size component_size metadata_version consistency_policy resync_start reshape_position sync_action bitmap/location; do
      d=/sys/block/${a#/dev/}/md/$x
      if [ -e $d ]; then echo "$x $(cat $d 2>&1)"; fi
    done
  done
  # Its members stand in the order in which they were given to the kernel.
  while read -r line; do
    case "$line" in
    md*) for word in $line; do echo "$word"; done | sort ;;
    *) echo "$line" ;;
    esac
  done </proc/mdstat
  cat /run/mdadm/map
}
echo 1 >/sys/module/md_mod/parameters/start_ro
see >/run/ours
mdadm --stop --scan
mdadm --assemble --scan
see >/run/theirs
if busybox cmp /run/ours /run/theirs; then
  echo "compared: the same, $(grep -c . /run/theirs) lines"
else
  busybox diff /run/ours /run/theirs
  echo "compared: they differ"
fi
`

// asMdadm are arrays that are as mdadm --assemble --scan would have made them,
// in all that mdadm and the kernel say of them.
func asMdadm() []Scenario {
	var list []Scenario
	for _, a := range []struct {
		layout disks.Layout
		level  string
		quick  bool
	}{
		{disks.RAID1, "raid1", true}, {disks.RAIDMeta090, "raid1", false}, {disks.RAIDMeta10, "raid1", false}, {disks.RAIDMeta11, "raid1", false},
		{disks.RAIDLinear, "linear", false}, {disks.RAID0, "raid0", false}, {disks.RAID4, "raid4", false}, {disks.RAID5, "raid5", false},
		{disks.RAID6, "raid6", false}, {disks.RAID10, "raid10", false}, {disks.RAIDBitmap, "raid1", false}, {disks.RAIDSpare, "raid1", false},
		{disks.RAIDJournal, "raid5", true}, {disks.RAIDPPL, "raid5", false}, {disks.RAIDStale, "raid1", false}, {disks.RAIDReshape, "raid5", false},
	} {
		list = append(list, Scenario{Name: "as-mdadm-" + a.layout.Name, Full: !a.quick, For: small("ext4", "md-"+a.level), Layouts: on(a.layout),
			Features: []string{"shell", "md-external"}, Programs: []Include{{"/bin/as-mdadm", asMdadmScript}}, Writes: anything, // by mdadm
			Append: "ro rd.shell rd.break=pre-mount " + uuid(a.layout.FSUUID("array")),
			Boots: []Boot{{Do: []Action{{When: "firstlight# ", Type: "as-mdadm\r"}, {When: "compared: "}, {When: "firstlight# ", Type: "exit\r"}},
				Want: Want{Root: `/dev/md\S* ext4`, Timers: true, Console: []Seen{see(`compared: the same, \d{2,} lines`)}}}}})
	}
	return list
}
