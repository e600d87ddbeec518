package detect

import (
	"fmt"

	"firstlight/internal/ucode"
)

// cpus notes the processors, which may need microcode at the very beginning of a
// boot. A virtual machine's do not, and other architectures' have none.
func (d *detector) cpus() {
	text, err := d.s.Root.ReadFile("/proc/cpuinfo")
	if err != nil {
		return // a copy of a machine that has not got it
	}
	platform, _ := d.s.Sys.Read("devices/system/cpu/cpu0/microcode/processor_flags") // of Intel's alone
	d.need.CPUs = ucode.FromCPUInfo(string(text), platform)
	for _, c := range d.need.CPUs {
		d.fact("need:microcode", fmt.Sprintf("the processor is %s, family %d, model %d, stepping %d", c.Vendor, c.Family, c.Model, c.Stepping))
	}
}
