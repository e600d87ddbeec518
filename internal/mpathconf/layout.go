package mpathconf

import "strings"

// Policy says which paths of a disk are used at once: path_grouping_policy.
type Policy uint8

// The policies.
const (
	Failover Policy = iota // one, the others when it fails
	Multibus               // all
	BySerial               // those that have one serial number
	ByPriority
)

// Layout is how the paths of a disk are used.
type Layout struct {
	Policy Policy
	// PolicySaid: the configuration says it, and the disk does not know better.
	PolicySaid bool
	// Selector chooses among the paths of a group, "service-time 0".
	Selector string
	// Queue: what is written while no path is there waits for one.
	Queue bool
	// Features are the target's other features, without their number.
	Features []string
	// Handler is the handler of the hardware with its arguments, without their
	// number; nil: what the kernel has attached.
	Handler []string
}

// Layout is what the configuration says of a disk: what is said of its WWID
// counts first, then overrides, then what is said of its model, the last first.
func (c *Conf) Layout(d Disk) Layout {
	say := func(key string) string {
		if v := c.multipaths[d.WWID][key]; v != "" {
			return v
		}
		if v := c.overrides[key]; v != "" {
			return v
		}
		for i := len(c.devices) - 1; i >= 0; i-- {
			if s := c.devices[i]; s.settings[key] != "" && s.has(d) {
				return s.settings[key]
			}
		}
		return c.defaults[key]
	}
	l := Layout{Selector: "service-time 0"}
	l.PolicySaid = true
	switch say("path_grouping_policy") {
	case "failover", "group_by_node_name", "group_by_tpg": // the last two are not known here
	case "multibus":
		l.Policy = Multibus
	case "group_by_serial":
		l.Policy = BySerial
	case "group_by_prio":
		l.Policy = ByPriority
	default:
		l.PolicySaid = false
	}
	if n := strings.Fields(say("path_selector")); len(n) == 2 && n[1] == "0" && word(n[0]) {
		l.Selector = n[0] + " 0"
	}
	for _, f := range counted(say("features")) {
		if f == "queue_if_no_path" {
			l.Queue = true
		} else {
			l.Features = append(l.Features, f)
		}
	}
	switch retry := say("no_path_retry"); retry {
	case "queue":
		l.Queue = true
	case "":
	default: // "fail", or a number that multipathd counts
		l.Queue = false
	}
	l.Handler = counted(say("hardware_handler"))
	return l
}

// counted are the words after their number, nil if the number is wrong.
func counted(text string) []string {
	f := strings.Fields(text)
	if len(f) < 2 || len(f) > 9 || len(f[0]) != 1 || int(f[0][0]-'0') != len(f)-1 {
		return nil
	}
	for _, w := range f[1:] {
		if !word(w) {
			return nil
		}
	}
	return f[1:]
}

// word says whether a text can be a word of a table.
func word(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
