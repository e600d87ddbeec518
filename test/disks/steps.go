package disks

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"firstlight/test/guest/plan"
)

// planner turns the steps of a layout into commands. Nodes of disks are not
// known before the guest runs: they are written as "{0}", "{1}" … until then.
type planner struct {
	layout   Layout
	nodes    map[string]string // name of a device -> node
	commands []plan.Command
	cleanup  []plan.Command
	tree     func(name string) ([]string, error) // the archives that make it up
	archives []string                            // paths of tar files, in the order of "{a0}", "{a1}" …
	arrays   int
}

// do adds commands, given as their arguments.
func (p *planner) do(argv ...string) {
	p.commands = append(p.commands, plan.Command{Argv: argv})
}

// undo adds a command to be run before all those that were added earlier.
func (p *planner) undo(argv ...string) {
	p.cleanup = append([]plan.Command{{Argv: argv}}, p.cleanup...)
}

// name gives a device its name in the layout.
func (p *planner) name(name, node string) error {
	if name == "" || p.nodes[name] != "" {
		return fmt.Errorf("device name %q is empty or taken", name)
	}
	p.nodes[name] = node
	return nil
}

func (p *planner) node(name string) (string, error) {
	if n := p.nodes[name]; n != "" {
		return n, nil
	}
	return "", fmt.Errorf("no device is called %q here", name)
}

func (p *planner) all(names []string) ([]string, error) {
	var nodes []string
	for _, n := range names {
		node, err := p.node(n)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// partition is the node of a partition: a 'p' goes before the number when the
// disk's own name ends in a digit.
func partition(disk string, number int) string {
	if strings.HasPrefix(disk, "/dev/md") {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}

func (s GPT) plan(p *planner) error {
	disk, err := p.node(s.On)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("label: gpt\nlabel-id: %s\n", p.layout.UUID(s.On))
	for i, part := range s.Parts {
		label := part.Label
		if label == "" {
			label = part.Name
		}
		kind := part.Type
		if kind == "" {
			kind = "linux"
		}
		script += fmt.Sprintf("type=%s, uuid=%s, name=\"%s\"%s\n", kind, p.layout.PartUUID(part.Name), label, size(part))
		if err := p.name(part.Name, partition(disk, i+1)); err != nil {
			return err
		}
	}
	p.commands = append(p.commands, plan.Command{Argv: []string{"sfdisk", "--wipe", "never", disk}, Stdin: []byte(script)})
	return nil
}

func (s MBR) plan(p *planner) error {
	disk, err := p.node(s.On)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("label: dos\nlabel-id: 0x%s\n", p.layout.MBRID(s.On))
	number := 0
	for _, part := range s.Parts {
		kind := part.Type
		if kind == "" {
			kind = "83"
		}
		if number++; part.Logical && number < 5 {
			script += "type=5\n" // the extended partition takes all that is left
			number = 5
		}
		script += "type=" + kind + size(part) + "\n"
		if err := p.name(part.Name, partition(disk, number)); err != nil {
			return err
		}
	}
	p.commands = append(p.commands, plan.Command{Argv: []string{"sfdisk", "--wipe", "never", disk}, Stdin: []byte(script)})
	return nil
}

func size(part Part) string {
	if part.MiB == 0 {
		return ""
	}
	return fmt.Sprintf(", size=%dMiB", part.MiB)
}

func (s MD) plan(p *planner) error {
	nodes, err := p.all(append(s.On[:len(s.On):len(s.On)], s.Spare...))
	if err != nil {
		return err
	}
	dev := fmt.Sprintf("/dev/md%d", p.arrays)
	p.arrays++
	if s.In != "" {
		in, err := p.node(s.In)
		if err != nil {
			return err
		}
		p.do("mdadm", "--create", dev, "--run", "--assume-clean", "--level="+s.Level, "--raid-devices="+strconv.Itoa(s.Members), "--name="+s.Name, in)
		p.undo("mdadm", "--stop", dev)
		p.undo("mdadm", "--wait-clean", dev)
		return p.name(s.Name, dev)
	}
	argv := []string{"mdadm", "--create", dev, "--run", "--assume-clean", "--level=" + s.Level, "--metadata=" + s.Metadata,
		"--uuid=" + p.layout.MDUUID(s.Name), "--raid-devices=" + strconv.Itoa(len(s.On)), "--homehost=any"}
	if s.Metadata != "0.90" {
		argv = append(argv, "--name="+s.Name) // 0.90 has no room for one
	}
	if len(s.Spare) > 0 {
		argv = append(argv, "--spare-devices="+strconv.Itoa(len(s.Spare)))
	}
	if s.Journal != "" {
		journal, err := p.node(s.Journal)
		if err != nil {
			return err
		}
		argv = append(argv, "--write-journal="+journal)
	}
	argv = append(argv, s.More...)
	p.do(append(argv, nodes...)...)
	p.undo("mdadm", "--stop", dev)
	if s.Dirty {
		p.undo(append([]string{"mdadm", "--assemble", "--readonly", "--update=resync", dev}, nodes...)...)
		p.undo("mdadm", "--stop", dev)
	}
	return p.name(s.Name, dev)
}

func (s Container) plan(p *planner) error {
	nodes, err := p.all(s.On)
	if err != nil {
		return err
	}
	dev := fmt.Sprintf("/dev/md%d", p.arrays)
	p.arrays++
	p.do(append([]string{"mdadm", "--create", dev, "--run", "--metadata=" + s.Metadata, "--raid-devices=" + strconv.Itoa(len(nodes))}, nodes...)...)
	p.undo("mdadm", "--stop", dev)
	return p.name(s.Name, dev)
}

// lvm runs without udev and leaves no backups in the guest.
var lvmConfig = []string{"--config", "activation{udev_sync=0 udev_rules=0} backup{backup=0 archive=0} devices{use_devicesfile=0} " +
	"global{event_activation=0 locking_type=1}"}

func (s VG) plan(p *planner) error {
	nodes, err := p.all(s.On)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		p.do(append([]string{"lvm", "pvcreate", "-ff", "-y", n}, lvmConfig...)...)
	}
	p.do(append(append([]string{"lvm", "vgcreate", s.Name}, nodes...), lvmConfig...)...)
	p.undo(append([]string{"lvm", "vgchange", "-an", s.Name}, lvmConfig...)...)
	return nil
}

func (s LV) plan(p *planner) error {
	argv := []string{"lvm", "lvcreate", "-y", "-Wn", "-Zn", "-n", s.Name}
	switch {
	case s.MiB == 0:
		argv = append(argv, "-l", "100%FREE")
	default:
		argv = append(argv, "-L", fmt.Sprintf("%dm", s.MiB))
	}
	if s.Stripes > 0 {
		argv = append(argv, "-i", strconv.Itoa(s.Stripes), "-I", "64k")
	}
	p.do(append(append(argv, s.VG), lvmConfig...)...)
	hyphens := strings.NewReplacer("-", "--")
	return p.name(s.VG+"/"+s.Name, "/dev/mapper/"+hyphens.Replace(s.VG)+"-"+hyphens.Replace(s.Name))
}

func (s LUKS) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	argv := []string{"cryptsetup", "luksFormat", "--batch-mode", "--type", fmt.Sprintf("luks%d", s.Version),
		"--uuid", p.layout.UUID(s.Name), "--key-file", "-", "--use-urandom"}
	if s.Cipher == "" {
		argv = append(argv, "--cipher", "aes-xts-plain64", "--key-size", "512")
	} else {
		argv = append(argv, "--cipher", s.Cipher)
	}
	if s.Label != "" {
		argv = append(argv, "--label", s.Label)
	}
	if s.SectorSize != 0 {
		argv = append(argv, "--sector-size", strconv.Itoa(s.SectorSize))
	}
	open := []string{"cryptsetup", "open", "--key-file", "-"}
	if s.Header != "" {
		header := s.Header
		for name, node := range p.nodes {
			header = strings.ReplaceAll(header, "{"+name+"}", node)
		}
		argv, open = append(argv, "--header", header), append(open, "--header", header)
	}
	kdf, err := s.kdf()
	if err != nil {
		return err
	}
	keys := [][]byte{}
	if s.KeyFile != nil {
		keys = append(keys, s.KeyFile)
	}
	if s.Passphrase != "" {
		keys = append(keys, []byte(s.Passphrase))
	}
	if len(keys) == 0 {
		return fmt.Errorf("LUKS %s has neither passphrase nor key file", s.Name)
	}
	p.commands = append(p.commands, plan.Command{Argv: append(append(argv, kdf...), node), Stdin: keys[0]})
	if len(keys) == 2 {
		p.commands = append(p.commands,
			plan.Command{Argv: []string{"@write", "/tmp/key"}, Stdin: keys[1]},
			plan.Command{Argv: append(append([]string{"cryptsetup", "luksAddKey", "--batch-mode", "--key-file", "-"}, kdf...), node, "/tmp/key"), Stdin: keys[0]})
	}
	mapped := fmt.Sprintf("%s-%s", p.layout.Name, s.Name)
	p.commands = append(p.commands, plan.Command{Argv: append(open, node, mapped), Stdin: keys[0]})
	p.undo("cryptsetup", "close", mapped)
	return p.name(s.Name, "/dev/mapper/"+mapped)
}

// kdf is the cost of the key derivation. Real ones have a fixed cost too, so
// that it does not depend on how busy the machine is that makes the disk.
func (s LUKS) kdf() ([]string, error) {
	switch {
	case s.KDF == "cheap":
		return []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}[s.skipType():], nil
	case s.KDF == "pbkdf2":
		return []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "20000"}[s.skipType():], nil
	case s.KDF == "argon2id" && s.Version == 2:
		return []string{"--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "65536", "--pbkdf-parallel", "2"}, nil
	}
	return nil, fmt.Errorf("LUKS%d has no key derivation %q", s.Version, s.KDF)
}

// skipType is how many arguments to leave out: LUKS1 knows PBKDF2 alone and
// will not be told so.
func (s LUKS) skipType() int {
	if s.Version == 1 {
		return 2
	}
	return 0
}

func (s Swap) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	argv := []string{"mkswap", "-U", p.layout.FSUUID(s.On)}
	if s.Label != "" {
		argv = append(argv, "-L", s.Label)
	}
	p.do(append(argv, node)...)
	return nil
}

func (s Poke) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	if _, err := hex.DecodeString(s.Hex); err != nil {
		return fmt.Errorf("poke %s: %w", s.On, err)
	}
	p.do("@poke", node, strconv.FormatInt(s.Offset, 10), s.Hex)
	return nil
}

func (s Tool) plan(p *planner) error {
	argv := make([]string, len(s.Argv))
	for i, a := range s.Argv {
		for name, node := range p.nodes {
			a = strings.ReplaceAll(a, "{"+name+"}", node)
		}
		argv[i] = a
	}
	p.commands = append(p.commands, plan.Command{Argv: argv, Stdin: []byte(s.Stdin), Tolerate: s.Tolerate})
	return nil
}
