package sim

import (
	"strconv"

	"firstlight/internal/parttable"
)

// partition reads the partition table of a disk as the kernel does when the
// disk appears, and makes the partitions appear.
func (m *Machine) partition(d *Disk) {
	if d.number > 0 || d.mapping != nil || len(d.parts) > 0 {
		return
	}
	var mark [2]byte
	if n, err := d.read(mark[:], 510); n != 2 || err != nil || mark != [2]byte{0x55, 0xaa} || m.readFails(d) {
		return
	}
	table, err := parttable.Read(reader{d}, d.size(), 512)
	if err != nil || table == nil {
		return
	}
	sep := ""
	if c := d.Name[len(d.Name)-1]; c >= '0' && c <= '9' {
		sep = "p"
	}
	for _, e := range table.Entries {
		if e.Start+e.Size > d.size() || e.Size <= 0 {
			continue
		}
		name := d.Name + sep + strconv.Itoa(e.Number)
		p := &Disk{Name: name, Size: e.Size, number: e.Number, above: d, devpath: d.devpath + "/" + name, ReadOnly: d.ReadOnly,
			major: d.major, minor: d.minor + e.Number}
		if e.Extended() {
			p.Size = 1024 // the kernel shows but the record itself
		}
		if e.Number > 15 || d.major == 9 {
			m.partMinor++
			p.major, p.minor = 259, 1<<16+m.partMinor
		}
		p.views = []view{{n: p.Size, on: d, base: d, life: d.life, from: e.Start}}
		m.sys.set(p.devpath+"/partition", strconv.Itoa(e.Number))
		m.sys.set(p.devpath+"/start", strconv.FormatInt(e.Start/512, 10))
		d.parts = append(d.parts, p)
		m.plugged(p)
	}
}
