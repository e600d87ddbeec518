package e2e

import "firstlight/test/disks"

// hibernated are machines whose memory was kept in a file of the root, of which
// the kernel is told the device and the first page: that is known once the file
// is there.
func hibernated() []Scenario {
	l := disks.HibernateFile
	return []Scenario{{Name: "hibernate-file", Packed: true, For: &Target{FS: "ext4", Needs: []string{"resume"}}, Layouts: on(l),
		Append: "rw " + uuid(l.FSUUID("root")) + " fltest.swap=/swapfile", Boots: []Boot{
			{Append: "fltest.do=hibernate", Want: Want{Hibernates: true, Timers: true}},
			{Append: "resume=UUID=" + l.FSUUID("root") + " resume_offset=" + swapOffset, Want: Want{Resumed: true}},
		}}}
}
