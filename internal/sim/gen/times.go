package gen

import "time"

// Broken is in the text of every error that is injected.
const Broken = "broken on purpose"

// Margin is how much later than the bare times of a description something may
// come: operations take their time, one after the other.
func (m *Machine) Margin() time.Duration {
	margin := 4*time.Second + time.Duration(150*m.Latency)*time.Millisecond
	for _, f := range m.Faults {
		switch f.Trouble {
		case Slow:
			margin += time.Duration(max(12, 4+4*m.layers())) * ms(f.Until)
		case Jump:
			margin += time.Duration(max(f.Until-f.At, 0)) * time.Millisecond
		case Shuffle:
			margin += 20 * time.Duration(f.Until) * time.Millisecond
		case Overflow:
			margin += time.Duration(f.Until) * time.Millisecond
		case Checker:
			margin += 2 * time.Duration(f.Until) * time.Millisecond
		}
	}
	return margin + time.Duration(m.Gap*len(m.Order))*time.Millisecond
}

// patience is how long a resume device is waited for.
func (m *Machine) patience() time.Duration {
	if d := m.Deadline(); d > 0 {
		return min(30*time.Second, d)
	}
	return 30 * time.Second
}

// layers is how deep what the boot mounts lies: an encrypted device alone is
// read four times, itself, its header and for two keys.
func (m *Machine) layers() int {
	deepest := 0
	for _, n := range []*Node{m.root(), m.usr()} {
		if n != nil {
			deepest = max(deepest, m.Depth(n.ID))
		}
	}
	return deepest
}
