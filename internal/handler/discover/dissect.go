package discover

import (
	"encoding/hex"
	"runtime"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/parttable"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
	"firstlight/internal/verityfmt"
)

// dissect is root=dissect, as systemd has it: what root=gpt-auto finds, and where
// the disk has a hash tree and a signature for it, the root is verified by the
// root hash that was signed. Whose signatures count is the kernel's to say; a
// signature that it does not take makes no root.
func dissect(s devspec.Spec) bool {
	return s.Kind == devspec.Other && (s.Scheme == "dissect" || s.Scheme == "dissect-force")
}

// verify has the root verified, where the disk has what that takes; done is false
// where there is nothing of it, or the outcome says how to go on.
func (h *Handler) verify(t *ueventd.Task, root *parttable.Entry, parts []parttable.Entry) (out ueventd.Outcome, done bool, wait bool) {
	w := h.w
	tree, why := newest(parts, types().verity)
	sig, why2 := newest(parts, verityfmt.SignatureType(runtime.GOARCH, false))
	if why == "" {
		why = why2
	}
	switch {
	case why != "":
		h.blocked(why, "name the root with root=, and what verifies it with roothash=, or mark what is not to be used (attribute no-auto)")
		return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry), false, true
	case tree == nil || sig == nil:
		return out, false, false
	case w.VerifyRoot == nil:
		h.blocked("the root is to be verified, and the image lacks the feature verity", "rebuild the image with --feature verity")
		return ueventd.WaitFor("the feature verity", handler.TopicRetry), false, true
	}
	found := w.Find(name(sig))
	if len(found) != 1 {
		h.waiting("the partition with the signature of the root, " + name(sig).String() + ", has not appeared")
		return ueventd.WaitFor(name(sig).Describe(), udevd.TopicDevice), false, true
	}
	node := found[0].Devname()
	hash, err := ueventd.Do(t, "read the root hash on "+node, func(m machine.Machine) (string, error) {
		b, err := m.OpenBlock(node)
		if err != nil {
			return "", err
		}
		defer b.Close()
		text := make([]byte, min(b.Size(), 2*verityfmt.MaxSignature))
		if _, err := b.ReadAt(text, 0); err != nil {
			return "", err
		}
		root, _, err := verityfmt.SignaturePartition(text)
		return hex.EncodeToString(root), err
	})
	if err != nil {
		h.blocked(node+": "+err.Error(), "write the system anew, or give the root hash with roothash=")
		return ueventd.WaitFor(err.Error(), udevd.TopicDevice, handler.TopicRetry), false, true
	}
	// Partitions that are called by the halves of the root hash are its own, of
	// whatever version: so the specification has it.
	if own := called(parts, root.Type, hash[:min(32, len(hash))]); own != nil {
		root = own
	}
	if own := called(parts, tree.Type, hash[max(0, len(hash)-32):]); own != nil {
		tree = own
	}
	v := &w.Config.Verity.Root
	v.RootHash, v.Data, v.Hash = hash, name(root), name(tree)
	r := &w.Config.Root
	if r.Device = (devspec.Spec{Kind: devspec.Mapper, Value: "root"}); root.Flags&readOnly != 0 || !r.ReadOnlySet {
		r.ReadOnly = true
	}
	text := fmt.Sprintf("the root is verified by the root hash on %s, which is signed", node)
	t.Record("decision", text)
	w.Say(handler.Detail, text)
	w.DropFact(mount.RootGoal)
	w.VerifyRoot(name(sig))
	w.Sched.Notify(handler.TopicWanted)
	return out, true, false
}

// called returns the partition of a type that has a half of a root hash for its
// UUID, or nil.
func called(parts []parttable.Entry, typ, half string) *parttable.Entry {
	for i := range parts {
		if e := &parts[i]; e.Type == typ && e.Flags&noAuto == 0 && strings.ReplaceAll(devspec.FoldUUID(e.UUID), "-", "") == half {
			return e
		}
	}
	return nil
}
