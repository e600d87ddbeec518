package network

import (
	"errors"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/machine"
	"firstlight/internal/nfs"
	"firstlight/internal/ueventd"
)

// kerberosQueue is that of rpc.gssd, which has the tickets of Kerberos for the kernel.
// KerberosFeature is the feature of images with it.
const (
	kerberosQueue   = "kerberos"
	KerberosFeature = "nfs-krb5"
)

// kerberos is how far it is.
type kerberos struct {
	begun bool
	runs  bool // the kernel knows that somebody has tickets
}

// tickets says whether the kernel can be asked for a root with these options: where
// they want Kerberos, rpc.gssd has to run before. Where it does not yet it is started,
// and the outcome is what the root waits for.
func (h *Handler) tickets(options string) (ueventd.Outcome, bool) {
	security := nfs.Kerberos(options)
	switch {
	case security == "" || h.kerberos.runs:
		return ueventd.Outcome{}, true
	case !h.w.Image.Has(KerberosFeature):
		return h.rootNeeds("asks for Kerberos (sec="+security+"), which this image has not", "rebuild the image with --feature "+KerberosFeature)
	}
	if !h.kerberos.begun {
		h.kerberos.begun = true
		h.w.Sched.Push(ueventd.Event{Queue: kerberosQueue, Kind: kindStart})
	}
	return h.rootNeeds("waits for rpc.gssd, which asks the Kerberos server (sec="+security+")", "")
}

// ciphers are the aliases of what tickets are made with, all kinds of them: RFC 3962,
// 6803 and 8009. Those that the kernel has not, nobody can use.
func ciphers() []string {
	return []string{"crypto-aes", "crypto-sha1", "crypto-sha256", "crypto-sha384", "crypto-camellia", "crypto-cts", "crypto-cbc", "crypto-ecb", "crypto-hmac", "crypto-cmac"}
}

// gssd runs rpc.gssd, by the helper, which stays until the real system has one.
func (h *Handler) gssd(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	for _, name := range [...]string{"auth_rpcgss", "rpcsec_gss_krb5"} {
		if err := h.w.LoadModules(t, name); err != nil {
			text, try := "the driver "+name+" cannot be loaded: "+err.Error(), ""
			if errors.Is(err, machine.ErrNoModule) {
				text, try = "the driver "+name+" is not in this image", "rebuild the image with --feature "+KerberosFeature
			}
			h.w.SetFact(kerberosQueue, goal.Fact{Subject: "Kerberos", Condition: goal.Blocked, Text: text, Try: try})
			return ueventd.WaitFor(text, handler.TopicRetry)
		}
	}
	// Those of the processor too, now: when a quicker one comes, the kernel throws away
	// what it has made with the slower one. Linux before 6.3 makes it anew for the next
	// request to the server, and runs modprobe for that, which is on the root (seen with
	// 6.1 and sha1_ssse3: nothing could be read any more).
	ueventd.Act(t, "load ciphers of Kerberos", func(m machine.Machine) error { return m.Load(ciphers()...) })
	helper := netdisk.Helper{W: h.w, Queue: kerberosQueue, Path: Program, Args: []string{kerberosQueue}, Feature: KerberosFeature, Subject: "Kerberos", Up: func() {
		h.kerberos.runs = true
		h.w.Sched.Notify(Topic)
	}}
	out := helper.Run(t, "")
	h.kerberos.runs = false
	return out
}
