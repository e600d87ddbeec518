package trace

import (
	"strings"

	"firstlight/internal/journal"
)

// Device is what a journal says of a device's identity.
type Device struct {
	Subject string `json:"subject"`
	Node    string `json:"node,omitempty"` // in /dev
	Name    string `json:"name,omitempty"` // of a device-mapper device or an array
	Content string `json:"content,omitempty"`
	UUID    string `json:"uuid,omitempty"` // of the content
	Label   string `json:"label,omitempty"`
}

// learn takes in what a record says of a device.
func (b *Boot) learn(r *journal.Record) {
	if !strings.HasPrefix(r.Subject, devPrefix) {
		return
	}
	var node string
	switch r.Kind {
	case kindQueue:
		if _, node, _ = strings.Cut(r.Text, " "); !strings.HasPrefix(node, "/dev/") {
			return
		}
	case kindContent:
		node = r.Field("device")
	default:
		return
	}
	d := b.devices[r.Subject]
	if d == nil {
		d = &Device{Subject: r.Subject}
		b.devices[r.Subject] = d
	}
	d.Node = node
	if r.Kind == kindContent {
		d.Name, d.Content, d.UUID, d.Label = r.Field("name"), r.Text, r.Field("uuid"), r.Field("label")
	}
}

// Title is the name of a subject for a person: of a device its kernel name,
// its own name and what it holds, as in "dm-1 cryptroot (ext4)".
func (b *Boot) Title(subject string) string {
	d := b.devices[subject]
	if d == nil || d.Content == "" && d.Name == "" {
		return Label(subject)
	}
	return d.title()
}

func (d *Device) title() string {
	t := strings.TrimPrefix(d.Node, "/dev/")
	if t == "" {
		t = Label(d.Subject)
	}
	if d.Name != "" {
		t += " " + d.Name
	}
	if d.Content != "" {
		t += " (" + d.Content + ")"
	}
	return t
}

// readable replaces paths of devices in a text by names for a person.
func (b *Boot) readable(text string) string {
	if !strings.Contains(text, "/devices/") {
		return text
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.HasPrefix(w, "/devices/") {
			words[i] = b.Title(devPrefix + w)
		}
	}
	return strings.Join(words, " ")
}

// Handler is the name of what handles a subject: the first word of its
// queue; "udev" of a device.
func Handler(subject string) string {
	if strings.HasPrefix(subject, devPrefix) {
		return "udev"
	}
	h, _, _ := strings.Cut(subject, " ")
	return h
}

// identities names the devices of a boot such that the same device has the
// same name in another boot, whatever the kernel calls it there: by the
// identity of its content, if no other device has the same, else by where it
// is plugged in.
func (b *Boot) identities() map[string]string {
	same := map[string]int{}
	for _, d := range b.devices {
		if d.UUID != "" {
			same[d.Content+" "+d.UUID]++
		}
	}
	out := make(map[string]string, len(b.devices))
	for s, d := range b.devices {
		if id := d.Content + " " + d.UUID; d.UUID != "" && same[id] == 1 {
			out[s] = id
		} else if d.Name != "" {
			out[s] = "name " + d.Name
		}
	}
	return out
}

// place is the part of a device's path that stays when the kernel numbers
// its devices in another order: addresses on buses stay, counters go.
func place(devpath string) string {
	parts := strings.Split(devpath, "/")
	for i, p := range parts {
		switch {
		case strings.Contains(p, ":"): // an address
		case i > 0 && parts[i-1] == "block":
			parts[i] = "disk"
		case i > 1 && parts[i-2] == "block":
			// A partition's number is that of the table.
			parts[i] = "part" + p[len(strings.TrimRight(p, "0123456789")):]
		default:
			parts[i] = collapse(p)
		}
	}
	return strings.Join(parts, "/")
}

// collapse replaces numbers, and words of four or more hexadecimal digits
// that hold one, by "#".
func collapse(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j, digits, hex := i, false, true
		for ; j < len(s) && isAlnum(s[j]); j++ {
			digits = digits || s[j] <= '9'
			hex = hex && (s[j] <= '9' || s[j]|0x20 <= 'f')
		}
		switch {
		case j == i:
			b.WriteByte(s[i])
			j++
		case digits && hex && j-i >= 4:
			b.WriteByte('#')
		default:
			for k := i; k < j; k++ {
				if s[k] > '9' {
					b.WriteByte(s[k])
				} else if k == i || s[k-1] > '9' {
					b.WriteByte('#')
				}
			}
		}
		i = j
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// deed is what an operation does without what it does it to: the words
// before the first that is a name. "read the LVM metadata of /dev/md127" is
// "read the LVM metadata of".
func deed(what string) string {
	for at := 0; at < len(what); {
		word, _, more := strings.Cut(what[at:], " ")
		if at > 0 && strings.ContainsAny(word, "0123456789/:=\"") {
			return what[:at-1]
		}
		if !more {
			break
		}
		at += len(word) + 1
	}
	return what
}
