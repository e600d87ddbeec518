package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	pageSize     = 4096
	swapFileSize = 320 << 20
)

// Of the kernel's uapi/linux/fs.h, fiemap.h and btrfs.h.
const (
	fsIocSetFlags   = 0x40086602
	fsNoCow         = 0x00800000
	fsIocFiemap     = 0xc020660b
	btrfsTreeSearch = 0xd0009411
	btrfsChunkTree  = 3
	btrfsFirstChunk = 256 // object id of every chunk
	btrfsChunkItem  = 228
)

// makeSwapFile makes a file of swap space, as mkswap --file or btrfs filesystem
// mkswapfile do.
func makeSwapFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// A btrfs must not copy it on write; others do not know the flag.
	unix.IoctlSetPointerInt(int(f.Fd()), fsIocSetFlags, fsNoCow)
	if err := unix.Fallocate(int(f.Fd()), 0, 0, swapFileSize); err != nil {
		return fmt.Errorf("allocate %s: %w", path, err)
	}
	head := make([]byte, pageSize)
	binary.LittleEndian.PutUint32(head[1024:], 1) // version
	binary.LittleEndian.PutUint32(head[1028:], swapFileSize/pageSize-1)
	copy(head[1036:], "firstlight-test!") // UUID
	copy(head[pageSize-10:], "SWAPSPACE2")
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}

// firstByte is where a file begins on the device of its filesystem.
func firstByte(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// A struct fiemap with room for one extent.
	req := make([]byte, 32+56)
	binary.LittleEndian.PutUint64(req[8:], pageSize)
	binary.LittleEndian.PutUint32(req[24:], 1)
	if err := ioctl(f, fsIocFiemap, req); err != nil {
		return 0, fmt.Errorf("extents of %s: %w", path, err)
	}
	if binary.LittleEndian.Uint32(req[20:]) != 1 {
		return 0, fmt.Errorf("%s has no extents", path)
	}
	at := binary.LittleEndian.Uint64(req[32+8:])
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type != unix.BTRFS_SUPER_MAGIC {
		return at, err
	}
	return chunk(f, at)
}

// chunk is where a logical address of a btrfs is on its one device.
func chunk(f *os.File, logical uint64) (uint64, error) {
	req := make([]byte, 4096)
	key := []uint64{btrfsChunkTree, btrfsFirstChunk, btrfsFirstChunk, 0, ^uint64(0), 0, ^uint64(0)}
	for i, v := range key {
		binary.LittleEndian.PutUint64(req[8*i:], v)
	}
	binary.LittleEndian.PutUint32(req[56:], btrfsChunkItem)
	binary.LittleEndian.PutUint32(req[60:], btrfsChunkItem)
	binary.LittleEndian.PutUint32(req[64:], 64) // items
	if err := ioctl(f, btrfsTreeSearch, req); err != nil {
		return 0, fmt.Errorf("chunks of the btrfs: %w", err)
	}
	items := req[104:]
	for range binary.LittleEndian.Uint32(req[64:]) {
		start, size := binary.LittleEndian.Uint64(items[16:]), binary.LittleEndian.Uint32(items[28:])
		c := items[32 : 32+size]
		if length := binary.LittleEndian.Uint64(c); logical >= start && logical < start+length {
			return binary.LittleEndian.Uint64(c[56:]) + logical - start, nil // of the first stripe
		}
		items = items[32+size:]
	}
	return 0, fmt.Errorf("no chunk of the btrfs has address %d", logical)
}

func ioctl(f *os.File, request uintptr, arg []byte) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(ptr(&arg[0]))); e != 0 {
		return e
	}
	return nil
}
