package multipath

import (
	"errors"
	"strconv"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/parttable"

	"golang.org/x/sys/unix"
)

// setUp makes the device with its partitions, or gives one that is there another
// table. It returns the UUIDs of what is there then.
//
// While the disk is looked at, what is read fails when no path works, whatever
// the configuration says: the boot has its own deadlines.
func setUp(m machine.Machine, name, id string, d description) (uuids []string, err error) {
	mapper, err := m.Mapper()
	if err != nil {
		return nil, err
	}
	mangled, err := devmapper.Mangle(name)
	if err != nil {
		return nil, err
	}
	uuid := "mpath-" + id
	cookie := devmapper.NewCookie(d.cookie, 0)
	info, err := mapper.Info(devmapper.ByUUID(uuid))
	switch {
	case errors.Is(err, unix.ENXIO):
		info, err = devmapper.Activate(mapper, mangled, uuid, []devmapper.Target{d.line}, d.readOnly, cookie)
		info.Name = mangled
	case err == nil:
		err = replace(mapper, info.Name, d.line, d.readOnly, cookie)
	}
	if err != nil {
		return nil, err
	}
	info.UUID = uuid
	parts, answers, err := partitions(m, mapper, info, d, cookie)
	if err != nil {
		return nil, err
	}
	if answers && d.queuing.Type != "" {
		if err = replace(mapper, info.Name, d.queuing, d.readOnly, cookie); err != nil {
			return nil, err
		}
	}
	return append(parts, uuid), nil
}

// replace gives a device another table. What is written meanwhile waits.
func replace(mapper devmapper.Mapper, name string, line devmapper.Target, readOnly bool, cookie devmapper.Cookie) error {
	ref := devmapper.ByName(name)
	if _, err := mapper.Load(ref, []devmapper.Target{line}, devmapper.LoadOptions{ReadOnly: readOnly}); err != nil {
		return err
	}
	if _, err := mapper.Suspend(ref, devmapper.SuspendOptions{NoFlush: true, SkipLockFS: true}); err != nil {
		return err
	}
	_, err := mapper.Resume(ref, devmapper.ResumeOptions{Cookie: cookie, ReadOnly: readOnly, NoFlush: true, SkipLockFS: true})
	return err
}

// partitions maps the partitions of a device, as kpartx names them: the kernel
// does not look for any on a mapped device. Those that are mapped stay; where the
// paths so far could not be read, there are none yet, and answers is false.
func partitions(m machine.Machine, mapper devmapper.Mapper, disk devmapper.Info, d description, cookie devmapper.Cookie) (uuids []string, answers bool, err error) {
	b, err := m.OpenBlock("/dev/dm-" + strconv.FormatUint(uint64(disk.Dev.Minor), 10))
	if err != nil {
		return nil, false, err
	}
	defer b.Close()
	table, err := parttable.Read(b, b.Size(), b.SectorSize())
	if err != nil {
		return nil, errors.Is(err, parttable.ErrNone), nil
	}
	for i := range table.Entries {
		p := &table.Entries[i]
		if p.Extended() || p.Scheme != "" || p.Number == 0 {
			continue
		}
		number := strconv.Itoa(p.Number)
		uuid := "part" + number + "-" + disk.UUID
		uuids = append(uuids, uuid)
		if _, err := mapper.Info(devmapper.ByUUID(uuid)); err == nil {
			continue
		}
		line, err := devmapper.Linear(0, uint64(p.Size)/512, disk.Dev.String(), uint64(p.Start)/512)
		if err == nil {
			_, err = devmapper.Activate(mapper, disk.Name+"-part"+number, uuid, []devmapper.Target{line}, d.readOnly, cookie)
		}
		if err != nil {
			return nil, true, fmt.Errorf("partition %d: %w", p.Number, err)
		}
	}
	return uuids, true, nil
}
