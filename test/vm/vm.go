// Package vm runs a machine in QEMU: a kernel, an initramfs, disks on the bus
// of choice, the console on one serial port and structured reports on another.
//
// It always emulates (TCG), so that a test needs nothing of the host's kernel.
// Base images of disks are never written: writes go to overlays.
package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"firstlight/test/host"
)

// Machine says what to run.
type Machine struct {
	Kernel string // path of a bzImage; "" lets the firmware start a boot loader
	Initrd string // path of an initramfs
	Append string // the kernel's command line
	Memory int    // MiB; 0 is 512
	CPUs   int    // 0 is 1
	CPU    string // QEMU's name of a model with its flags; "" is all that QEMU can do
	Disks  []Disk
	NICs   []NIC
	Shares []Share
	ACPI   string // file with an ACPI table, with its header, that the firmware has besides; "" for none
	// Icount makes the guest's clock count instructions (2 ns each), so that
	// CPU-bound spans repeat.
	Icount bool
	// Firmware is UEFI instead of a BIOS: a file with the variables, which the
	// firmware writes to. FirmwareVariables makes one.
	Firmware string
	// TPM is a TPM 2.0: a directory for what it keeps, which is made; "" is none.
	TPM string
	// Store is a file that holds what the kernel leaves in the machine's
	// persistent store (ACPI ERST), of storeBytes; it is made.
	Store string
	// Reboots lets the guest reboot; otherwise QEMU ends when it tries.
	Reboots bool
	// Log gets everything that comes from the console; may be nil.
	Log io.Writer
	// ReportLog gets everything that comes from the port of reports; may be nil.
	ReportLog io.Writer
	// Interactive connects the console to the terminal that this program
	// runs on. VM.Console stays empty then.
	Interactive bool
}

// VM is a running machine.
type VM struct {
	Console *Stream // ttyS0
	Report  *Stream // ttyS1
	QMP     *QMP
	Start   time.Time

	machine Machine
	cmd     *exec.Cmd
	stderr  *tail
	dir     string
	exited  chan struct{}
	err     error

	mu     sync.Mutex
	events []Event
	notify chan struct{}
}

// Run starts a machine. It is killed when ctx ends; Close must be called in
// any case.
func Run(ctx context.Context, m Machine) (*VM, error) {
	dir, err := os.MkdirTemp("", "flvm")
	if err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	v := &VM{machine: m, dir: dir, stderr: &tail{}, exited: make(chan struct{}), notify: make(chan struct{})}
	ports := []string{"console", "report", "qmp"}
	if m.Interactive {
		ports = ports[1:]
	}
	listeners := map[string]net.Listener{}
	for _, p := range ports {
		l, err := net.Listen("unix", filepath.Join(dir, p))
		if err != nil {
			v.Close()
			return nil, fmt.Errorf("start QEMU: %w", err)
		}
		defer l.Close()
		listeners[p] = l
	}
	if err := serveShares(ctx, m.Shares, dir); err != nil {
		v.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	if err := m.serveTPM(ctx, dir); err != nil {
		v.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	v.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", m.args(dir)...)
	v.cmd.Stderr = v.stderr
	if m.Interactive {
		v.cmd.Stdin, v.cmd.Stdout, v.cmd.Stderr = os.Stdin, os.Stdout, io.MultiWriter(os.Stderr, v.stderr)
	}
	v.Start = time.Now()
	if err := v.cmd.Start(); err != nil {
		v.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() {
		v.err = v.cmd.Wait()
		for _, l := range listeners {
			l.Close() // nobody will come any more
		}
		close(v.exited)
	}()
	conns := map[string]net.Conn{}
	for _, p := range ports {
		c, err := listeners[p].Accept()
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			v.Close()
			return nil, fmt.Errorf("start QEMU: %w", v.ended())
		}
		conns[p] = c
	}
	if !m.Interactive {
		var tee []io.Writer
		if m.Log != nil {
			tee = append(tee, m.Log)
		}
		v.Console = newStream(conns["console"], v.Start, tee...)
	}
	var tee []io.Writer
	if m.ReportLog != nil {
		tee = append(tee, m.ReportLog)
	}
	v.Report = newStream(conns["report"], v.Start, tee...)
	if v.QMP, err = newQMP(conns["qmp"], v.onEvent); err != nil {
		v.Close()
		return nil, errors.Join(err, v.ended())
	}
	for i, n := range m.NICs {
		if n.NoCarrier { // long before the guest has a driver
			if err := v.SetCarrier(ctx, i, false); err != nil {
				v.Close()
				return nil, err
			}
		}
	}
	return v, nil
}

// args is QEMU's command line. The sockets it connects to are in dir.
func (m Machine) args(dir string) []string {
	memory, cpus := m.Memory, m.CPUs
	if memory == 0 {
		memory = 512
	}
	if cpus == 0 {
		cpus = 1
	}
	cpu := m.CPU
	if cpu == "" {
		cpu = "max"
	}
	a := []string{"-machine", "q35", "-accel", "tcg", "-cpu", cpu, "-smp", strconv.Itoa(cpus), "-m", strconv.Itoa(memory),
		"-nodefaults", "-no-user-config", "-display", "none"}
	if m.Kernel != "" {
		a = append(a, "-kernel", m.Kernel, "-initrd", m.Initrd, "-append", m.Append)
	}
	if !m.Reboots {
		a = append(a, "-no-reboot")
	}
	if m.Firmware != "" {
		a = append(a, "-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+firmwareCode, "-drive", "if=pflash,unit=1,format=raw,file="+m.Firmware)
	}
	if m.Store != "" {
		a = append(a, "-object", fmt.Sprintf("memory-backend-file,id=store,mem-path=%s,size=%d,share=on", m.Store, storeBytes), "-device", "acpi-erst,memdev=store")
	}
	if m.ACPI != "" {
		a = append(a, "-acpitable", "file="+m.ACPI)
	}
	if m.Icount {
		a = append(a, "-icount", "shift=1,sleep=on")
	}
	if m.Interactive {
		// Ctrl-A X ends the machine, whatever state it is in.
		a = append(a, "-chardev", "stdio,id=console,mux=on,signal=off", "-mon", "chardev=console,mode=readline")
	} else {
		a = append(a, "-chardev", "socket,id=console,path="+dir+"/console")
	}
	a = append(a, "-serial", "chardev:console",
		"-chardev", "socket,id=report,path="+dir+"/report", "-serial", "chardev:report",
		"-chardev", "socket,id=qmp,path="+dir+"/qmp", "-mon", "chardev=qmp,mode=control")
	a = append(a, m.tpmArgs(dir)...)
	a = append(a, shareArgs(m.Shares, dir, memory)...)
	return append(append(a, nicArgs(m.NICs, m.Firmware != "")...), diskArgs(m.Disks)...)
}

func (v *VM) onEvent(e Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, e)
	close(v.notify)
	v.notify = make(chan struct{})
}

// ExpectEvent waits for the n-th event (from 0) of a name.
func (v *VM) ExpectEvent(ctx context.Context, name string, n int) error {
	for {
		v.mu.Lock()
		seen := 0
		for _, e := range v.events {
			if e.Name == name {
				seen++
			}
		}
		notify := v.notify
		v.mu.Unlock()
		if seen > n {
			return nil
		}
		select {
		case <-notify:
		case <-v.exited:
			return fmt.Errorf("wait for QEMU's %s: %w", name, ErrEnded)
		case <-ctx.Done():
			return fmt.Errorf("wait for QEMU's %s: %w", name, ctx.Err())
		}
	}
}

// Attach plugs in disk i of Machine.Disks, which was declared Detached.
func (v *VM) Attach(ctx context.Context, i int) error {
	return v.QMP.Do(ctx, "device_add", v.machine.Disks[i].device(i))
}

// Detach unplugs disk i and waits until the guest has let it go.
func (v *VM) Detach(ctx context.Context, i int) error {
	if err := v.QMP.Do(ctx, "device_del", map[string]any{"id": deviceID(i)}); err != nil {
		return err
	}
	return v.ExpectEvent(ctx, "DEVICE_DELETED", 0)
}

// Press presses keys of the guest's keyboard, one after the other. Each is
// QEMU's name of a key, or several that are held together: "a", "ret",
// "ctrl-alt-delete".
func (v *VM) Press(ctx context.Context, keys ...string) error {
	for _, k := range keys {
		var chord []map[string]string
		for name := range strings.SplitSeq(k, "-") {
			chord = append(chord, map[string]string{"type": "qcode", "data": name})
		}
		if err := v.QMP.Do(ctx, "send-key", map[string]any{"keys": chord, "hold-time": keyTime.Milliseconds()}); err != nil {
			return err
		}
		// QEMU lets go of a key by a timer of its own, and a key that comes
		// before is held together with it.
		select {
		case <-time.After(2 * keyTime):
		case <-ctx.Done():
			return fmt.Errorf("press %s: %w", k, ctx.Err())
		}
	}
	return nil
}

// keyTime is how long a key is held down.
const keyTime = 50 * time.Millisecond

// Ending is why the machine ended, in QEMU's words: "guest-shutdown",
// "guest-reset", "guest-panic" …; "" if it has not said so.
func (v *VM) Ending() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.events {
		var data struct{ Reason string }
		if e.Name == "SHUTDOWN" && json.Unmarshal(e.Data, &data) == nil {
			return data.Reason
		}
	}
	return ""
}

// Wait waits until QEMU ends: the guest powered off, rebooted (unless it may)
// or panicked with panic=-1.
func (v *VM) Wait(ctx context.Context) error {
	select {
	case <-v.exited:
	case <-ctx.Done():
		return fmt.Errorf("wait for the machine to end: %w", ctx.Err())
	}
	if v.Console != nil {
		if err := v.Console.EndOfOutput(ctx); err != nil {
			return err
		}
	}
	if err := v.Report.EndOfOutput(ctx); err != nil {
		return err
	}
	return v.ended()
}

// ended is why QEMU ended, or nil when it did so in order.
func (v *VM) ended() error {
	select {
	case <-v.exited:
	default:
		return nil
	}
	if v.err != nil {
		return fmt.Errorf("QEMU: %w\n%s", v.err, v.stderr.String())
	}
	return nil
}

// Close kills the machine if it runs and removes what it left behind.
func (v *VM) Close() {
	if v.cmd != nil && v.cmd.Process != nil {
		v.cmd.Process.Kill()
		<-v.exited
	}
	os.RemoveAll(v.dir)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - 4096; n > 0 {
		t.buf = t.buf[n:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return host.Tail(string(t.buf), 20)
}
