// Package mdsuper reads the superblocks of Linux MD arrays and decides what
// can be assembled from the members that were seen.
//
// Read finds and checks the superblock of one device; Collect judges the
// members of one array together. ParseConf reads mdadm.conf(5), and
// Conf.Name gives an array its name in /dev/md as mdadm does.
//
// The package is pure: it reads through io.ReaderAt, never writes and reads
// no clock. The layouts are those of include/uapi/linux/raid/md_p.h; the
// rules are those of md(4) and mdadm(8). Version 1 superblocks are
// little-endian; version 0.90 has the byte order of the host that made it.
package mdsuper

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// SectorSize is the unit of all sector counts of this package, in bytes.
const SectorSize = 512

// Errors of Read.
var (
	// ErrNone says that the device has no MD superblock.
	ErrNone = errors.New("no MD superblock")
	// ErrForeignEndian says that a 0.90 superblock was made by a host of the
	// other byte order; the kernel cannot use it.
	ErrForeignEndian = errors.New("0.90 superblock has the other byte order")
)

// UUID is the identity of an array or member, in the order in which mdadm
// and blkid print its bytes.
type UUID [16]byte

// String is mdadm's form: "1a2b3c4d:…", four groups of eight digits.
func (u UUID) String() string {
	var b [35]byte
	for i := range 4 {
		hex.Encode(b[i*9:], u[i*4:i*4+4])
		if i < 3 {
			b[i*9+8] = ':'
		}
	}
	return string(b[:])
}

// Dashed is blkid's form, that of RFC 9562: "1a2b3c4d-….".
func (u UUID) Dashed() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID reads a UUID in any form: 32 hexadecimal digits with separators
// (":", "-", ".", " ") anywhere between them, as mdadm takes it.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	n := 0
	for i := range len(s) {
		c := s[i]
		var v byte
		switch {
		case c >= '0' && c <= '9':
			v = c - '0'
		case c >= 'a' && c <= 'f':
			v = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			v = c - 'A' + 10
		case strings.IndexByte(":-. ", c) >= 0:
			continue
		default:
			return UUID{}, fmt.Errorf("md: UUID %q: bad digit %q", s, s[i:i+1])
		}
		if n == 32 {
			return UUID{}, fmt.Errorf("md: UUID %q has more than 32 digits", s)
		}
		u[n/2] = u[n/2]<<4 | v
		n++
	}
	if n != 32 {
		return UUID{}, fmt.Errorf("md: UUID %q has %d digits, not 32", s, n)
	}
	return u, nil
}

// Version is a metadata version: {0, 90}, {1, 0}, {1, 1} or {1, 2}.
type Version struct{ Major, Minor int }

// String is "0.90", "1.2" ….
func (v Version) String() string {
	if v.Major == 0 {
		return "0.90"
	}
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor)
}

// Level is a RAID level as superblocks have it.
type Level int32

// The levels that are not plain numbers.
const (
	Linear    Level = -1
	Multipath Level = -4
	Faulty    Level = -5
	Container Level = -100
)

// String is the kernel's and mdadm's name: "raid1", "linear" ….
func (l Level) String() string {
	switch l {
	case Linear:
		return "linear"
	case Multipath:
		return "multipath"
	case Faulty:
		return "faulty"
	case Container:
		return "container"
	case 0, 1, 4, 5, 6, 10:
		return "raid" + strconv.Itoa(int(l))
	}
	return "level " + strconv.Itoa(int(l))
}

// Module is the alias by which the kernel asks for the level's driver:
// "md-level-5", "md-linear" ….
func (l Level) Module() string {
	switch l {
	case Linear:
		return "md-linear"
	case Multipath:
		return "md-multipath"
	case Faulty:
		return "md-faulty"
	}
	return "md-level-" + strconv.Itoa(int(l))
}

// parity says whether a dirty degraded array of the level may have lost data.
func (l Level) parity() bool { return l == 4 || l == 5 || l == 6 }

// Feature is the feature map of a version 1 superblock.
type Feature uint32

// The features of include/uapi/linux/raid/md_p.h.
const (
	FeatureBitmap           Feature = 1 << iota // BitmapOffset is used
	FeatureRecoveryOffset                       // the member is being rebuilt
	FeatureReshape                              // a reshape is going on
	FeatureBadBlocks                            // there is a bad block list
	FeatureReplacement                          // the member replaces the one of its role
	FeatureReshapeBackwards                     // the reshape goes down
	FeatureNewOffset                            // the reshape moves the data's start
	FeatureRecoveryBitmap                       // rebuild by the bitmap
	FeatureClustered                            // the bitmap is a cluster's
	FeatureJournal                              // the array has a write journal
	FeaturePPL                                  // partial parity log
	FeatureMultiplePPLs                         // several of them
	FeatureRAID0Layout                          // RAID0: Layout is valid

	featuresKnown Feature = 1<<13 - 1
)

// Role is what a member does in its array: a slot from 0, or one of the
// values below.
type Role int

// Roles of members that have no slot.
const (
	Spare   Role = -1
	Failed  Role = -2
	Journal Role = -3
)

// String is "3", "spare", "failed" or "journal".
func (r Role) String() string {
	switch r {
	case Spare:
		return "spare"
	case Failed:
		return "failed"
	case Journal:
		return "journal"
	}
	return strconv.Itoa(int(r))
}

// Super is one member's superblock.
type Super struct {
	Version Version
	// Offset is where the superblock is, in bytes from the device's start.
	Offset uint64
	UUID   UUID
	// DeviceUUID is the member's own; zero in 0.90.
	DeviceUUID UUID
	// Name is the array's name as it is stored, "host:name" or "name"; ""
	// in 0.90.
	Name string
	// PreferredMinor is the minor number that a 0.90 array had last.
	PreferredMinor uint32
	Level          Level
	Layout         uint32 // of RAID0 (with its feature), 5, 6 and 10
	ChunkSize      uint32 // bytes; 0 where the level has none
	RaidDisks      int    // slots
	// Size is how much of each member is used, in sectors; 0 for linear and,
	// with version 1, RAID0.
	Size uint64
	// DataOffset and DataSize say where the member's data is, in sectors.
	DataOffset, DataSize uint64
	// Created and Updated are in seconds since 1970.
	Created, Updated uint64
	Events           uint64
	// Clean says that no write was going on when the superblock was written
	// and no resync is needed.
	Clean bool
	// ResyncOffset is how far an initial or repairing resync has come, in
	// sectors; MaxSector if there is none.
	ResyncOffset uint64
	Features     Feature
	// DeviceNumber is the member's number; in 0.90 the index of its
	// descriptor.
	DeviceNumber uint32
	Role         Role
	// Roles are those of all members, by device number, as this member last
	// knew them.
	Roles []Role
	// RecoveryOffset is how far the member's rebuild has come, in sectors; -1
	// if it holds all data.
	RecoveryOffset int64
	// BitmapOffset is where the internal bitmap is, in sectors from the
	// superblock; 0: none.
	BitmapOffset int32
	// WriteMostly and FailFast are the member's flags.
	WriteMostly, FailFast bool
	// Reshape is not nil while a reshape is going on.
	Reshape *Reshape
	// Bad block log and partial parity log, in sectors from the superblock.
	BadBlockOffset int32
	BadBlockSize   uint16
	PPLOffset      int16
	PPLSize        uint16
}

// MaxSector is ResyncOffset of an array that needs no resync.
const MaxSector = ^uint64(0)

// Reshape is a change of an array's shape that was not finished.
type Reshape struct {
	Position   uint64 // sectors of the array done
	NewLevel   Level
	NewLayout  uint32
	NewChunk   uint32 // bytes
	DeltaDisks int32
	Backwards  bool
	NewOffset  int32 // sectors by which the data moves
}

// InSync says whether the member holds all data of its slot.
func (s *Super) InSync() bool { return s.Role >= 0 && s.RecoveryOffset < 0 }

// Replacement says whether the member is to replace another of its role.
func (s *Super) Replacement() bool { return s.Features&FeatureReplacement != 0 }

// Logged says whether the array has a log, to which the kernel writes as soon as
// the array is started, however it is: a write journal or partial parity.
func (s *Super) Logged() bool {
	return s.Features&(FeatureJournal|FeaturePPL|FeatureMultiplePPLs) != 0
}

// slotAlive says whether the member believes that a slot has a working
// member.
func (s *Super) slotAlive(slot int) bool {
	for _, r := range s.Roles {
		if int(r) == slot {
			return true
		}
	}
	return false
}

// Host splits Name at the first colon: the host that made the array, and the
// array's own name. An array without a host gives "".
func (s *Super) Host() (host, name string) {
	if h, n, ok := strings.Cut(s.Name, ":"); ok {
		return h, n
	}
	return "", s.Name
}
