// Package sshconf reads what the SSH server of an image is told: authorized_keys
// with its options, and the settings that the builder writes. It is pure; the
// builder reads the same files as the server does, so that what the server would
// refuse is said when the image is built.
//
// Source of the format: sshd(8), AUTHORIZED_KEYS FILE FORMAT.
package sshconf

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// Mode is what a session is for.
type Mode string

// The modes. ModeUnlock answers questions about passphrases; ModeConsole is a
// console, with the emergency shell where there is one.
const (
	ModeUnlock  Mode = "unlock"
	ModeConsole Mode = "console"
)

// Key is one authorised key.
type Key struct {
	Type    string // "ssh-ed25519" …
	Blob    []byte // the public key in SSH's wire format
	Comment string
	Line    int
	From    []Pattern // of addresses, empty for any
	Mode    Mode      // that command= forces, "" for none
	NoPTY   bool      // no terminal, and so no shell
}

// Pattern is one of from=: addresses, written as a prefix or with wildcards.
type Pattern struct {
	Not    bool
	Prefix netip.Prefix
	Text   string // with * and ?, where there is no Prefix
}

// Problem is a line that has no effect, and why.
type Problem struct {
	Line int
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// Bounds of a file of keys.
const (
	MaxFile = 256 << 10
	maxKeys = 256
	maxFrom = 64
)

// types are the kinds of keys that can log in.
var types = map[string]bool{"ssh-ed25519": true, "ssh-rsa": true, "ecdsa-sha2-nistp256": true, "ecdsa-sha2-nistp384": true, "ecdsa-sha2-nistp521": true,
	"sk-ssh-ed25519@openssh.com": true, "sk-ecdsa-sha2-nistp256@openssh.com": true}

// ParseKeys reads a file of authorised keys. A line that asks for what cannot be
// honoured is a problem, and its key does not log in.
func ParseKeys(text string) (keys []Key, problems []Problem) {
	if len(text) > MaxFile {
		return nil, []Problem{{1, "the file is larger than 256 KiB"}}
	}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.Trim(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := parseKey(line)
		if err == nil && len(keys) == maxKeys {
			err = fmt.Errorf("there are more than %d keys", maxKeys)
		}
		if err != nil {
			problems = append(problems, Problem{n, err.Error()})
			continue
		}
		k.Line = n
		keys = append(keys, k)
	}
	return keys, problems
}

func parseKey(line string) (k Key, err error) {
	first, rest := word(line)
	if options := first; !strings.HasPrefix(first, "ssh-") && !strings.HasPrefix(first, "ecdsa-") && !strings.HasPrefix(first, "sk-") {
		if err := k.options(options); err != nil {
			return k, err
		}
		first, rest = word(rest)
	}
	k.Type = first
	data, comment := word(rest)
	k.Comment = comment
	switch {
	case strings.Contains(first, "-cert-"):
		return k, errors.New("certificates are not supported")
	case first == "ssh-dss":
		return k, errors.New("DSA keys are too weak")
	case !types[first]:
		return k, fmt.Errorf("%q is no kind of key that is known", clean(first))
	}
	if k.Blob, err = base64.StdEncoding.DecodeString(data); err != nil {
		return k, errors.New("the key is not in base64")
	}
	return k, k.check()
}

// check looks whether the key is what its line says.
func (k *Key) check() error {
	fields := wire(k.Blob)
	if len(fields) < 2 || string(fields[0]) != k.Type {
		return fmt.Errorf("the key is not one of the type %s", k.Type)
	}
	switch k.Type {
	case "ssh-ed25519":
		if len(fields) != 2 || len(fields[1]) != 32 {
			return errors.New("the key is not 32 bytes")
		}
	case "sk-ssh-ed25519@openssh.com":
		if len(fields) != 3 || len(fields[1]) != 32 {
			return errors.New("the key is not 32 bytes with its application")
		}
	case "sk-ecdsa-sha2-nistp256@openssh.com":
		if len(fields) != 4 || string(fields[1]) != "nistp256" {
			return errors.New("the key's curve is not that of its type")
		}
	case "ssh-rsa":
		if len(fields) != 3 {
			return errors.New("the key has no exponent and modulus")
		}
		m := fields[2]
		for len(m) > 0 && m[0] == 0 {
			m = m[1:]
		}
		if len(m)*8 < 2048 || len(m)*8 > 16384 {
			return fmt.Errorf("an RSA key of %d bits; 2048 is the least, and 16384 the most", len(m)*8)
		}
	default:
		if len(fields) != 3 || "ecdsa-sha2-"+string(fields[1]) != k.Type {
			return errors.New("the key's curve is not that of its type")
		}
	}
	return nil
}

// wire splits SSH's wire format into its strings, nil if it is not whole.
func wire(b []byte) (fields [][]byte) {
	for len(b) > 0 {
		if len(b) < 4 || len(fields) == 8 {
			return nil
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return nil
		}
		fields, b = append(fields, b[4:4+n]), b[4+n:]
	}
	return fields
}

// word splits off the first word; blanks between quotes are a part of it.
func word(s string) (first, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return s[:i], strings.TrimLeft(s[i:], " \t")
		}
	}
	return s, ""
}

// options reads the options before a key.
func (k *Key) options(list string) error {
	for list != "" {
		name, value, rest, hasValue, err := option(list)
		if err != nil {
			return err
		}
		list = rest
		switch strings.ToLower(name) {
		case "restrict", "no-pty":
			k.NoPTY = true
		case "pty":
			k.NoPTY = false
		case "no-agent-forwarding", "no-port-forwarding", "no-x11-forwarding", "no-user-rc",
			"agent-forwarding", "port-forwarding", "x11-forwarding", "user-rc", "permitopen", "permitlisten", "tunnel", "environment":
			// None of it is there to be forbidden, or allowed.
		case "from":
			if k.From != nil {
				return errors.New("from= stands twice")
			}
			if k.From, err = parseFrom(value); err != nil {
				return err
			}
		case "command":
			if k.Mode != "" {
				return errors.New("command= stands twice")
			}
			var ok bool
			if k.Mode, ok = Command(value); !ok || !hasValue {
				return fmt.Errorf("command=%q is none that the image has: it is unlock or console", clean(value))
			}
		case "expiry-time":
			return errors.New("expiry-time= cannot be honoured: the clock of a machine that boots may be wrong")
		case "cert-authority", "principals":
			return errors.New("certificates are not supported")
		case "no-touch-required": // it is required all the same
		case "verify-required":
			return errors.New("verify-required cannot be honoured: whether a token has seen its PIN is not looked at")
		default:
			return fmt.Errorf("the option %q is not known", clean(name))
		}
	}
	return nil
}

// option splits the first option off a list.
func option(list string) (name, value, rest string, hasValue bool, err error) {
	i := strings.IndexAny(list, "=,")
	if i < 0 {
		return list, "", "", false, nil
	}
	name = list[:i]
	if list[i] == ',' {
		return name, "", list[i+1:], false, nil
	}
	list = list[i+1:]
	if !strings.HasPrefix(list, `"`) {
		return "", "", "", false, fmt.Errorf("the value of the option %s is not between quotes", clean(name))
	}
	var b strings.Builder
	for i = 1; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list) && list[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			rest = list[i+1:]
			if rest != "" && rest[0] != ',' {
				return "", "", "", false, fmt.Errorf("something stands behind the value of the option %s", clean(name))
			}
			return name, b.String(), strings.TrimPrefix(rest, ","), true, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", false, fmt.Errorf("the value of the option %s has no end", clean(name))
}

// Command is the mode that a command of authorized_keys, or one that a client asks
// for, stands for. The programs by which others unlock stand for unlocking.
func Command(text string) (Mode, bool) {
	f := strings.Fields(text)
	if len(f) == 0 {
		return "", false
	}
	switch name := path.Base(f[0]); {
	case len(f) > 1 && (name != "systemd-tty-ask-password-agent" || len(f) > 3) && !(name == "systemctl" && len(f) == 2 && f[1] == "default"):
		return "", false
	case name == "unlock", name == "cryptroot-unlock", name == "systemd-tty-ask-password-agent", name == "systemctl" && len(f) == 2:
		return ModeUnlock, true
	case name == "console":
		return ModeConsole, true
	}
	return "", false
}

func parseFrom(list string) ([]Pattern, error) {
	out := []Pattern{}
	for text := range strings.SplitSeq(list, ",") {
		p := Pattern{Text: strings.ToLower(strings.TrimSpace(text))}
		p.Text, p.Not = strings.CutPrefix(p.Text, "!")
		var err error
		switch {
		case len(out) == maxFrom:
			return nil, fmt.Errorf("from= has more than %d addresses", maxFrom)
		case strings.Contains(p.Text, "/"):
			if p.Prefix, err = netip.ParsePrefix(p.Text); err != nil || p.Prefix.Masked() != p.Prefix {
				return nil, fmt.Errorf("from=: %q is no network", clean(p.Text))
			}
		case p.Text == "" || strings.Trim(p.Text, "0123456789abcdef:.*?") != "":
			return nil, fmt.Errorf("from=: %q is no address, and names are not looked up in an initramfs", clean(p.Text))
		}
		out = append(out, p)
	}
	return out, nil
}

// Allows says whether the key may log in from an address. As in sshd, one pattern
// must match and none that begins with "!".
func (k *Key) Allows(a netip.Addr) bool {
	if k.From == nil {
		return true
	}
	a = a.Unmap().WithZone("")
	ok := false
	for _, p := range k.From {
		match := p.Prefix.IsValid() && p.Prefix.Contains(a)
		if !p.Prefix.IsValid() {
			match = glob(p.Text, a.String())
		}
		if match && p.Not {
			return false
		}
		ok = ok || match
	}
	return ok
}

// glob matches * and ?.
func glob(pattern, s string) bool {
	star, at := -1, 0
	i := 0
	for j := 0; j < len(s); {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, at = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			at++
			i, j = star+1, at
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}

// clean is a piece of a file for a message: short, and nothing that a terminal
// would obey.
func clean(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
