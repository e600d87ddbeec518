package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/machine"
)

// fsAt returns the filesystem that a path of the tree below root is on, and
// the path inside it.
func (m *Machine) fsAt(root, p string) (*Disk, string) {
	if root == "/" {
		if x, inside, ok := m.below(p); ok {
			return x.content, path.Clean("/" + inside)
		}
		return &Disk{Files: m.Initramfs}, p
	}
	var best *Disk
	rest, depth := p, 0
	for at, x := range m.mounted {
		if at == root && depth == 0 {
			best = x.content
		}
		under, ok := strings.CutPrefix(at, root+"/")
		if ok && len(under) > depth && (p == "/"+under || strings.HasPrefix(p, "/"+under+"/")) {
			best, rest, depth = x.content, path.Clean("/"+strings.TrimPrefix(p, "/"+under)), len(under)
		}
	}
	return best, rest
}

// find follows every link of a path inside root.
func (m *Machine) find(root, p string) (where, content string, dir bool, err error) {
	p = path.Clean("/" + p)
	for range 40 {
		next := m.followOne(root, p)
		if next != p {
			p = next
			continue
		}
		d, rest := m.fsAt(root, p)
		if d == nil {
			break
		}
		if c, ok := d.Files[rest]; ok {
			return p, c, false, nil
		}
		for f := range d.Files {
			if strings.HasPrefix(f, strings.TrimSuffix(rest, "/")+"/") {
				return p, "", true, nil
			}
		}
		break
	}
	return "", "", false, fmt.Errorf("sim: %s in %s: %w", p, root, fs.ErrNotExist)
}

// followOne replaces the first link in a path by what it leads to.
func (m *Machine) followOne(root, p string) string {
	for i := 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		d, rest := m.fsAt(root, p[:i])
		if d == nil {
			return p
		}
		if target, ok := strings.CutPrefix(d.Files[rest], "-> "); ok {
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(p[:i]), target)
			}
			return path.Clean(target + p[i:])
		}
	}
	return p
}

// InRoot implements machine.Files.
func (m *Machine) InRoot(root, p string) (machine.FileInfo, error) {
	if err := m.readSSH(root); err != nil {
		return machine.FileInfo{}, err
	}
	where, content, dir, err := m.find(root, p)
	if err != nil {
		return machine.FileInfo{}, err
	}
	info := machine.FileInfo{Path: where, Mode: 0o644, Size: m.sizeOf(content)}
	if dir {
		info.Mode = fs.ModeDir | 0o755
	} else if strings.HasPrefix(content, "#!") {
		info.Mode = 0o755
	}
	return info, nil
}

// ReadInRoot implements machine.Files.
func (m *Machine) ReadInRoot(root, p string, _ int64) ([]byte, error) {
	if err := m.readSSH(root); err != nil {
		return nil, err
	}
	_, content, dir, err := m.find(root, p)
	if err == nil && dir {
		err = errors.New("is a directory")
	}
	return []byte(content), err
}

// sizeOf is the size of a file with that content, which may stand for an image.
func (m *Machine) sizeOf(content string) int64 {
	if image := m.Images[content]; image != nil {
		return image.size()
	}
	return int64(len(content))
}

// CopyFile implements machine.Files. A copy of an image is another device than
// the image itself: what is written to one is not seen in the other.
func (m *Machine) CopyFile(root, file, target string, how int) (string, error) {
	if f := m.fault(OperationFails, "copy "+file); f != nil {
		return "", f.err()
	}
	where, content, dir, err := m.find(root, file)
	if err != nil {
		return "", err
	}
	if dir {
		return "", fmt.Errorf("%s is not a regular file", where)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	image := m.Images[content]
	switch {
	case target == "":
		return sum, nil
	case strings.HasPrefix(target, "/dev/"):
		d := m.disks[target]
		if d == nil || image == nil {
			return "", fmt.Errorf("open %s: %w", target, fs.ErrNotExist)
		}
		d.Content, d.Files, d.FSType = image.Content, image.Files, image.FSType
	default:
		x, inside, ok := m.below(target)
		if !ok || x.device != nil {
			return "", fmt.Errorf("sim: %s is not in memory: %w", target, fs.ErrNotExist)
		}
		if image != nil {
			twin := *image
			m.Images[content+" copy"] = &twin
			content += " copy"
		}
		x.content.Files[inside] = content
	}
	if how&machine.CopyGive != 0 {
		m.Initramfs[file] = ""
	}
	return sum, nil
}

// Empty implements machine.Files.
func (m *Machine) Empty(dir string) error {
	if f := m.fault(OperationFails, "empty "+dir); f != nil {
		return f.err()
	}
	x, inside, ok := m.below(dir)
	if !ok {
		return nil
	}
	for p := range x.content.Files {
		if strings.HasPrefix(p, inside+"/") {
			delete(x.content.Files, p)
		}
	}
	return nil
}
