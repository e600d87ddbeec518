package bootcmd

import "testing"

// The cost of a usual line stands at the start of every boot.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		cmdline("BOOT_IMAGE=/boot/vmlinuz-6.1.0 root=UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff ro quiet splash " +
			"rd.luks.uuid=0a1b2c3d rd.lvm.lv=vg/root console=tty0 console=ttyS0,115200n8 i915.enable_psr=0 mitigations=off")
	}
}
