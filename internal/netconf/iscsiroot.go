package netconf

import (
	"slices"
	"strconv"
	"strings"
)

// ISCSI is what parameters of their own say of iSCSI, beside the targets that are
// among the roots.
type ISCSI struct {
	// Initiator is the name of this machine, "" where nothing was said.
	Initiator string
	// Group is the target portal group that the target is to be of, 0 for any.
	Group uint16
	// Transport is open-iscsi's, "" for TCP.
	Transport string
	// Params are settings of open-iscsi's records, NAME=VALUE.
	Params []string
	// Tries are those that open-iscsi makes before it says that it cannot, 0 where
	// nothing was said.
	Tries int
	// Chap are the names and passwords that stand alone: this machine's, then the
	// target's. They are never to be shown.
	Chap [4]string
}

// target is the one that parameters of their own describe.
type target struct {
	name, ip, port, user, password, inUser, inPassword string
	firmware                                           bool
	arg                                                Param
}

// iscsiParams are the parameters, without what says whose they are ("rd.iscsi.",
// "iscsi_"), with '_' for '-' and '.'.
var iscsiParams = [...]struct {
	name string
	read func(*parser)
}{
	{"initiator", func(p *parser) { p.iqn(&p.c.ISCSI.Initiator) }},
	{"iname", func(p *parser) { p.iqn(&p.c.ISCSI.Initiator) }},
	{"target_name", func(p *parser) { p.iqn(&p.target.name); p.target.arg = p.arg }},
	{"target_ip", func(p *parser) {
		for ip := range strings.SplitSeq(p.arg.Value, ",") {
			if !isAddress(ip) && !validHost(ip) {
				p.bad(strconv.Quote(ip)+" is not the name or the address of a target", "")
				return
			}
		}
		p.target.ip = p.arg.Value
	}},
	{"target_port", func(p *parser) { p.target.port = p.portText() }},
	{"target_group", func(p *parser) {
		n, err := strconv.ParseUint(p.arg.Value, 10, 16)
		if err != nil {
			p.bad("not the number of a portal group", "")
			return
		}
		p.c.ISCSI.Group = uint16(n)
	}},
	{"username", func(p *parser) { p.text(&p.target.user) }},
	{"password", func(p *parser) { p.secret(&p.target.password) }},
	{"in_username", func(p *parser) { p.text(&p.target.inUser) }},
	{"in_password", func(p *parser) { p.secret(&p.target.inPassword) }},
	{"firmware", (*parser).iscsiFirmware},
	{"ibft", func(p *parser) { p.bool(&p.c.IBFT) }},
	{"auto", (*parser).iscsiFirmware},
	{"mp", func(p *parser) { p.bool(&p.c.AllIBFT) }},
	{"transport", func(p *parser) { p.text(&p.c.ISCSI.Transport) }},
	{"param", func(p *parser) {
		if name, _, ok := strings.Cut(p.arg.Value, "="); !ok || !visible(p.arg.Value) || !strings.HasPrefix(name, "node.") && !strings.HasPrefix(name, "iface.") {
			p.bad("not a setting of open-iscsi's records", "rd.iscsi.param=node.session.timeo.replacement_timeout=120")
			return
		}
		p.c.ISCSI.Params = append(p.c.ISCSI.Params, p.arg.Value)
	}},
	{"login_retry_max", func(p *parser) {
		n, err := strconv.Atoi(p.arg.Value)
		if err != nil || n < 1 || n > 1000 {
			p.bad("not a number of tries from 1 to 1000", "")
			return
		}
		p.c.ISCSI.Tries = n
	}},
	{"waitnet", func(*parser) {}},   // a link that can be used is enough
	{"testroute", func(*parser) {}}, // the way is tried by connecting
}

// iscsiParam finds what a parameter of iSCSI does; name has '_' for '-'.
func iscsiParam(name string) func(*parser) {
	rest, ok := strings.CutPrefix(name, "rd.iscsi.")
	if !ok {
		if rest, ok = strings.CutPrefix(name, "iscsi_"); !ok {
			return nil
		}
	}
	rest = strings.ReplaceAll(rest, ".", "_")
	for _, h := range iscsiParams {
		if h.name == rest {
			return h.read
		}
	}
	return nil
}

func isAddress(s string) bool { _, ok := address(strings.Trim(s, "[]")); return ok }

// iqn takes the name of a node of iSCSI.
func (p *parser) iqn(dst *string) {
	if v := p.arg.Value; !isTarget(v) || len(v) > 223 || !visible(v) || strings.ContainsAny(v, "/;'\"`$\\") {
		p.bad("not the name of a node of iSCSI, which begins with iqn., eui. or naa.", "")
		return
	}
	*dst = p.arg.Value
}

func (p *parser) portText() string {
	if n, err := strconv.ParseUint(p.arg.Value, 10, 16); err != nil || n == 0 {
		p.bad("not a port", "")
		return ""
	}
	return p.arg.Value
}

// secret takes a password. What is wrong with one is not shown.
func (p *parser) secret(dst *string) {
	if !visible(p.arg.Value) || len(p.arg.Value) > 255 {
		p.arg.Value = "…"
		p.bad("it has characters that cannot be seen, or more than 255", "")
		return
	}
	*dst = p.arg.Value
}

func (p *parser) iscsiFirmware() {
	on := p.target.firmware
	if p.arg.Value == "true" {
		on = true
	} else {
		p.bool(&on)
	}
	p.target.firmware, p.target.arg = on, p.arg
	p.c.IBFT = p.c.IBFT || on
}

// iscsi puts together what parameters of their own say of targets.
func (p *parser) iscsi(add func(Param, Root)) {
	x := &p.target
	named := x.name != "" && x.ip != ""
	if named {
		// Several addresses are the same disk by several ways.
		for ip := range strings.SplitSeq(x.ip, ",") {
			t := &ISCSITarget{Protocol: 6, Port: 3260, Name: x.name}
			if n, err := strconv.ParseUint(x.port, 10, 16); err == nil {
				t.Port = uint16(n)
			}
			add(x.arg, Root{Kind: RootISCSI, Server: strings.Trim(ip, "[]"), Target: t})
		}
	} else if x.name != "" || x.ip != "" {
		p.problems = append(p.problems, Problem{Param: "rd.iscsi.target", What: "name or address of the target is missing", Write: "both rd.iscsi.target.name= and rd.iscsi.target.ip="})
	}
	bare := func(r Root) bool { return r.Kind == RootISCSI && r.Target == nil }
	switch {
	case named:
		p.c.Roots = slices.DeleteFunc(p.c.Roots, bare)
	case x.firmware && !slices.ContainsFunc(p.c.Roots, func(r Root) bool { return r.Kind == RootISCSI }):
		add(x.arg, Root{Kind: RootISCSI})
	case slices.ContainsFunc(p.c.Roots, bare):
		p.c.IBFT = true // nothing else can say it
	}
	p.c.ISCSI.Chap = [4]string{x.user, x.password, x.inUser, x.inPassword}
	for _, r := range p.c.Roots {
		p.c.ISCSI.Complete(r.Target)
	}
}

// Complete gives a target that has no names and passwords of its own those that
// stand alone on the command line.
func (i *ISCSI) Complete(t *ISCSITarget) {
	if t != nil && t.User == "" && i.Chap[0] != "" {
		t.User, t.Password, t.InUser, t.InPassword = i.Chap[0], i.Chap[1], i.Chap[2], i.Chap[3]
	}
}

// ISCSIFile are the parameters that Debian's /etc/iscsi/iscsi.initramfs stands for:
// a shell's assignments, ISCSI_TARGET_NAME=iqn.…. What a shell would have to work
// out is left out.
func ISCSIFile(text string) []Param {
	var list []Param
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export ")), "=")
		if !ok || !strings.HasPrefix(name, "ISCSI_") || len(list) >= maxParams {
			continue
		}
		if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if value == "" || strings.ContainsAny(value, "$`\\'\"") {
			continue
		}
		list = append(list, Param{Name: strings.ToLower(name), Value: value, HasValue: true})
	}
	return list
}
