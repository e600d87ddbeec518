package sim

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/gsshelper"
	"firstlight/internal/machine"
)

// Kerberos is what rpc.gssd, its keytab and the Kerberos server make of the kernel's
// questions.
type Kerberos struct {
	// Starts is how long rpc.gssd takes to start.
	Starts time.Duration
	// Refused is what rpc.gssd says whenever it has no ticket, "" where it has one;
	// after Until it always has, unless that is 0.
	Refused string
	Until   time.Duration
	// NoKeytab: the program ends at once, for want of its file.
	NoKeytab bool

	runs *remote
}

// startKerberos is the part of the program network that runs rpc.gssd.
func startKerberos(r *remote, _ machine.Program) {
	k := r.m.Network.Kerberos
	if k == nil || k.NoKeytab {
		r.say(gsshelper.Fails(gsshelper.ErrKeytab()).String())
		r.end(1)
		return
	}
	r.m.At(r.m.now+k.Starts, func() {
		k.runs = r
		r.say(gsshelper.Runs().String())
	})
}

// admits says whether a server that wants Kerberos takes a mount with these options.
func (m *Machine) admits(s *NFS, options string) bool {
	if s.Security == "" {
		return true
	}
	k := m.Network.Kerberos
	if !slices.Contains(strings.Split(options, ","), "sec="+s.Security) || k == nil || k.runs == nil {
		return false
	}
	if k.Refused == "" || k.Until > 0 && m.now >= k.Until {
		return true
	}
	if r, ok := gsshelper.Explain(k.Refused); ok {
		k.runs.say(r.String())
	}
	return false
}
