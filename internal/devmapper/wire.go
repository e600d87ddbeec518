package devmapper

import (
	"bytes"
	"encoding/binary"

	"firstlight/internal/fmt"
)

// Layout of struct dm_ioctl (uapi/linux/dm-ioctl.h), in native byte order.
const (
	offVersion     = 0
	offDataSize    = 12
	offDataStart   = 16
	offTargetCount = 20
	offOpenCount   = 24
	offFlags       = 28
	offEventNr     = 32
	offDev         = 40
	offName        = 48
	offUUID        = 176
	headSize       = 312
	specSize       = 40 // struct dm_target_spec
	specType       = 24 // its target_type
)

// The flags of struct dm_ioctl that are used here.
const (
	flagReadOnly     = 1 << 0
	flagSuspend      = 1 << 1
	flagStatusTable  = 1 << 4
	flagActive       = 1 << 5
	flagInactive     = 1 << 6
	flagBufferFull   = 1 << 8
	flagSkipLockFS   = 1 << 10
	flagNoFlush      = 1 << 11
	flagUevent       = 1 << 13
	flagSecureData   = 1 << 15
	flagDeferred     = 1 << 17
	maxAnswerEntries = 1 << 16 // of any list in an answer
)

// MaxBuffer bounds one ioctl buffer, in bytes: the status of some thousand
// targets, or the names of several thousand devices.
const MaxBuffer = 1 << 20

var native = binary.NativeEndian

// request is one ioctl before it is laid out.
type request struct {
	ref    Ref
	flags  uint32
	event  uint32
	table  []Target
	secure bool
}

// encode lays the request out in a buffer of at least size bytes.
func (q request) encode(size int) ([]byte, error) {
	if err := checkUUID(q.ref.UUID); err != nil {
		return nil, err
	}
	if len(q.ref.Name) > MaxName {
		return nil, checkName(q.ref.Name)
	}
	need := headSize
	for _, t := range q.table {
		need += specLen(t)
		if need > MaxBuffer {
			return nil, fmt.Errorf("%w: table of more than %d bytes", ErrTooBig, MaxBuffer)
		}
	}
	b := make([]byte, max(size, need))
	native.PutUint32(b[offVersion:], 4)
	native.PutUint32(b[offDataSize:], uint32(len(b)))
	native.PutUint32(b[offDataStart:], headSize)
	native.PutUint32(b[offTargetCount:], uint32(len(q.table)))
	flags := q.flags
	if q.secure {
		flags |= flagSecureData
	}
	native.PutUint32(b[offFlags:], flags)
	native.PutUint32(b[offEventNr:], q.event)
	native.PutUint64(b[offDev:], encodeDev(q.ref.Dev))
	copy(b[offName:offName+MaxName], q.ref.Name)
	copy(b[offUUID:offUUID+MaxUUID], q.ref.UUID)
	at := headSize
	for _, t := range q.table {
		n := specLen(t)
		native.PutUint64(b[at:], t.Start)
		native.PutUint64(b[at+8:], t.Length)
		native.PutUint32(b[at+20:], uint32(n)) // next, from this spec's start
		copy(b[at+specType:at+specType+MaxType], t.Type)
		copy(b[at+specSize:], t.Params)
		at += n
	}
	return b, nil
}

// specLen is the space of a target with its terminated parameters, aligned
// to 8 bytes.
func specLen(t Target) int { return (specSize + len(t.Params) + 1 + 7) &^ 7 }

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func flagsOf(b []byte) uint32 { return native.Uint32(b[offFlags:]) }

// decodeInfo reads the head of an answer.
func decodeInfo(b []byte) Info {
	f := flagsOf(b)
	return Info{
		Name:        cstring(b[offName : offName+MaxName+1]),
		UUID:        cstring(b[offUUID : offUUID+MaxUUID+1]),
		Dev:         decodeDev(native.Uint64(b[offDev:])),
		OpenCount:   int(int32(native.Uint32(b[offOpenCount:]))),
		Events:      native.Uint32(b[offEventNr:]),
		Targets:     native.Uint32(b[offTargetCount:]),
		Suspended:   f&flagSuspend != 0,
		ReadOnly:    f&flagReadOnly != 0,
		Live:        f&flagActive != 0,
		Inactive:    f&flagInactive != 0,
		Deferred:    f&flagDeferred != 0,
		UeventFired: f&flagUevent != 0,
	}
}

// payload returns what follows the head, as the kernel bounds it.
func payload(b []byte) ([]byte, error) {
	size, start := native.Uint32(b[offDataSize:]), native.Uint32(b[offDataStart:])
	if start < headSize || start > size || uint64(size) > uint64(len(b)) {
		return nil, fmt.Errorf("%w: data from %d to %d in %d bytes", ErrMalformed, start, size, len(b))
	}
	return b[start:size], nil
}

// decodeTargets reads the answer to a table or status request. "next" counts
// from the first spec here, not from the spec itself as in a load.
func decodeTargets(b []byte) ([]Target, error) {
	data, err := payload(b)
	if err != nil {
		return nil, err
	}
	n := native.Uint32(b[offTargetCount:])
	if n > maxAnswerEntries {
		return nil, fmt.Errorf("%w: %d targets", ErrMalformed, n)
	}
	var table []Target
	for at := uint32(0); n > 0; n-- {
		if uint64(at)+specSize > uint64(len(data)) {
			return nil, fmt.Errorf("%w: target at %d of %d bytes", ErrMalformed, at, len(data))
		}
		s := data[at:]
		next := native.Uint32(s[20:])
		end := uint32(len(data))
		if next > at+specSize && next <= end {
			end = next
		} else if n > 1 {
			return nil, fmt.Errorf("%w: target at %d is followed by one at %d", ErrMalformed, at, next)
		}
		params := s[specSize : end-at]
		if i := bytes.IndexByte(params, 0); i >= 0 {
			params = params[:i]
		}
		t := Target{Start: native.Uint64(s), Length: native.Uint64(s[8:]),
			Type: cstring(s[specType : specType+MaxType+1]), Params: bytes.Clone(params)}
		t.Secret = t.Type == "crypt"
		table = append(table, t)
		at = next
	}
	return table, nil
}

// decodeDeps reads struct dm_target_deps.
func decodeDeps(b []byte) ([]Devnum, error) {
	data, err := payload(b)
	if err != nil {
		return nil, err
	}
	if len(data) < 8 {
		return nil, fmt.Errorf("%w: %d bytes of dependencies", ErrMalformed, len(data))
	}
	n := native.Uint32(data)
	data = data[8:]
	if uint64(n)*8 > uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d dependencies in %d bytes", ErrMalformed, n, len(data))
	}
	deps := make([]Devnum, n)
	for i := range deps {
		deps[i] = decodeDev(native.Uint64(data[8*i:]))
	}
	return deps, nil
}

// decodeNames reads a chain of struct dm_name_list.
func decodeNames(b []byte) ([]ListEntry, error) {
	var list []ListEntry
	err := chain(b, 8, func(e []byte) bool {
		if len(e) < 13 {
			return false
		}
		dev := native.Uint64(e)
		if dev != 0 { // zero: the list is empty
			list = append(list, ListEntry{cstring(e[12:]), decodeDev(dev)})
		}
		return true
	})
	return list, err
}

// decodeVersions reads a chain of struct dm_target_versions.
func decodeVersions(b []byte) ([]TargetVersion, error) {
	var list []TargetVersion
	err := chain(b, 0, func(e []byte) bool {
		if len(e) < 17 {
			return false
		}
		list = append(list, TargetVersion{cstring(e[16:]),
			Version{native.Uint32(e[4:]), native.Uint32(e[8:]), native.Uint32(e[12:])}})
		return true
	})
	return list, err
}

// chain walks entries whose uint32 at nextOff is the distance to the next
// one, or zero at the last.
func chain(b []byte, nextOff int, entry func([]byte) bool) error {
	data, err := payload(b)
	if err != nil {
		return err
	}
	if len(data) == 0 { // so the kernel lists no devices
		return nil
	}
	for n := 0; ; n++ {
		if len(data) < nextOff+4 || n > maxAnswerEntries {
			return fmt.Errorf("%w: entry %d is cut off", ErrMalformed, n)
		}
		next := native.Uint32(data[nextOff:])
		e := data
		if next != 0 {
			if uint64(next) >= uint64(len(data)) {
				return fmt.Errorf("%w: entry %d leads beyond the end", ErrMalformed, n)
			}
			e = data[:next]
		}
		if !entry(e) {
			return fmt.Errorf("%w: entry %d is too short", ErrMalformed, n)
		}
		if next == 0 {
			return nil
		}
		data = data[next:]
	}
}
