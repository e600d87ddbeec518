// Package all is the list of what an image can do: every handler is
// one line here. There are two programs for /init: the small one has the
// handlers of Common, which most machines need, and the full one all of them.
package all

import (
	"firstlight/internal/boot"
	"firstlight/internal/handler"
	"firstlight/internal/handler/aoe"
	"firstlight/internal/handler/bcache"
	"firstlight/internal/handler/bcachefs"
	"firstlight/internal/handler/btrfs"
	"firstlight/internal/handler/cifs"
	"firstlight/internal/handler/dirroot"
	"firstlight/internal/handler/discover"
	"firstlight/internal/handler/fallback"
	"firstlight/internal/handler/fcoe"
	"firstlight/internal/handler/fetch"
	"firstlight/internal/handler/fsckfile"
	"firstlight/internal/handler/hibernate"
	"firstlight/internal/handler/hostdir"
	"firstlight/internal/handler/integrity"
	"firstlight/internal/handler/iscsi"
	"firstlight/internal/handler/journaldev"
	"firstlight/internal/handler/live"
	"firstlight/internal/handler/looproot"
	"firstlight/internal/handler/luks"
	"firstlight/internal/handler/lvm"
	"firstlight/internal/handler/lvm/lvmtree"
	"firstlight/internal/handler/mdexternal"
	"firstlight/internal/handler/mdraid"
	"firstlight/internal/handler/mend"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/multipath"
	"firstlight/internal/handler/nbd"
	"firstlight/internal/handler/network"
	"firstlight/internal/handler/nvmf"
	"firstlight/internal/handler/overlay"
	"firstlight/internal/handler/phase"
	"firstlight/internal/handler/remote"
	"firstlight/internal/handler/resume"
	"firstlight/internal/handler/sshfs"
	"firstlight/internal/handler/stubfiles"
	"firstlight/internal/handler/sysctl"
	"firstlight/internal/handler/verity"
	"firstlight/internal/handler/zfs"
)

// Handlers returns every handler, in the order in which they start. Those that
// only the full /init has do nothing in an image that has the small one, so
// that the simulator, check and replay decide as the image would.
func Handlers() []boot.Register {
	// What the others ask when they start comes before them.
	all := []boot.Register{
		full(func(w *handler.World) func() { hibernate.New(w); return nil }),
		full(func(w *handler.World) func() { return live.New(w).Start }),
		full(func(w *handler.World) func() { return bcachefs.New(w).Start }),
	}
	both := common(more{volumes: lvmtree.Kinds(), encrypted: encrypted})
	both[mdraidAt], both[btrfsAt], both[len(both)-1] = arrays, spread, mounts
	all = append(all, both...)
	for _, r := range []boot.Register{
		func(w *handler.World) func() { fsckfile.New(w); return nil },
		func(w *handler.World) func() { return discover.New(w).Start },
		func(w *handler.World) func() { return overlay.New(w).Start },
		func(w *handler.World) func() { looproot.New(w); return nil },
		func(w *handler.World) func() { return live.NewRAMDisk(w).Start },
		func(w *handler.World) func() { return fallback.New(w).Start },
		func(w *handler.World) func() { return dirroot.New(w).Start },
		func(w *handler.World) func() { return journaldev.New(w).Start },
		func(w *handler.World) func() { mdexternal.New(w); return nil },
		func(w *handler.World) func() { return bcache.New(w).Start },
		func(w *handler.World) func() { return multipath.New(w).Start },
		func(w *handler.World) func() { return verity.New(w).Start },
		func(w *handler.World) func() { return integrity.New(w).Start },
		networks,
		func(w *handler.World) func() { return remote.New(w).Start },
		func(w *handler.World) func() { return zfs.New(w).Start },
		func(w *handler.World) func() { return hostdir.New(w).Start },
		func(w *handler.World) func() { return mend.New(w).Start },
		func(w *handler.World) func() { return stubfiles.New(w).Start },
		func(w *handler.World) func() { return phase.New(w).Start },
		func(w *handler.World) func() { return sysctl.New(w).Start },
	} {
		all = append(all, full(r))
	}
	return all
}

// arrays and encrypted are handlers that can make again what was taken down.
func arrays(w *handler.World) func() {
	h := mdraid.New(w)
	w.Makers = append(w.Makers, h.Again)
	return h.Start
}

func encrypted(w *handler.World) *luks.Handler {
	h := luks.NewFull(w)
	w.Makers = append(w.Makers, h.Again)
	return h
}

// networks is the network, and the roots that are had over it.
func networks(w *handler.World) func() {
	h := network.New(w)
	cifs.New(w, h)
	sshfs.New(w, h)
	nbd.New(w, h)
	iscsi.New(w, h)
	aoe.New(w, h)
	adapters := fcoe.New(w, h)
	fabrics, images := nvmf.New(w, h), fetch.New(w)
	h.Provide("url", images.Provide)
	return func() { h.Start(); fabrics.Start(); adapters.Start(); images.Start() }
}

// spread is for what lies on several devices.
func spread(w *handler.World) func() {
	if w.Image.Full {
		w.Gates = append(w.Gates, btrfs.NewCareful(w).CarefulGate)
	} else {
		w.Gates = append(w.Gates, btrfs.New(w).Gate)
	}
	return nil
}

// Common returns the handlers of the small /init.
func Common() []boot.Register { return common(more{encrypted: luks.New}) }

// more is what only the full /init can do within a handler that both have. It
// comes from outside of the handler, so that the linker leaves it out of the
// small one.
type more struct {
	volumes   *lvm.Kinds
	encrypted func(*handler.World) *luks.Handler
}

// Places of handlers in what common returns.
const (
	mdraidAt = 1
	btrfsAt  = 3
)

func common(m more) []boot.Register {
	return []boot.Register{
		func(w *handler.World) func() { return resume.New(w).Start },
		func(w *handler.World) func() { return mdraid.New(w).Start },
		func(w *handler.World) func() {
			if w.Image.Full {
				lvm.New(w, m.volumes)
			} else {
				lvm.New(w, nil)
			}
			return nil
		},
		func(w *handler.World) func() { w.Gates = append(w.Gates, btrfs.New(w).Gate); return nil },
		func(w *handler.World) func() { return m.encrypted(w).Start },
		func(w *handler.World) func() {
			w.Gates = append(w.Gates, verity.Gate(w))
			return func() { verity.Absent(w) }
		},
		func(w *handler.World) func() { return mount.New(w).Start },
	}
}

// mounts is the last of the common handlers, with what only the full /init has.
func mounts(w *handler.World) func() {
	h := mount.New(w)
	if !w.Image.Full || !w.Image.Has(mount.TableFeature) {
		return h.Start
	}
	tables := h.Tables()
	return func() { h.Start(); tables() }
}

// full is a handler that only the full /init has.
func full(r boot.Register) boot.Register {
	return func(w *handler.World) func() {
		if !w.Image.Full {
			return nil
		}
		return r(w)
	}
}
