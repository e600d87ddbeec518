// Package clevis reads how Clevis has bound something to servers, and puts what they
// answer together: pins tang and sss, within each other. It is pure: what servers
// say is given to it.
package clevis

import (
	"errors"
	"fmt"
	"strings"

	"firstlight/internal/jose"
	"firstlight/internal/luksfmt/jsontree"
)

// Pin is a way to open something.
type Pin struct {
	Kind string // "tang", "sss", or one that is not done here
	// Why says why the pin cannot be used here, nil if it can.
	Why error

	// Of tang:
	URL    string // without a slash at the end
	KID    string // the thumbprint of the server's key
	Known  []jose.Key
	server jose.Point
	client jose.Point

	// Of sss: as many of Pins as Threshold are needed.
	Threshold int
	Pins      []*Pin
	prime     []byte

	jwe   *jose.JWE
	plain []byte // what was opened, nil so far
}

// MaxBinding bounds a binding in bytes.
const MaxBinding = 256 << 10

// Bounds of what is read.
const (
	maxDepth = 4
	maxPins  = 64
)

// ErrPin is wrapped by errors about pins that cannot be used.
var ErrPin = errors.New("pin of Clevis")

// Parse reads what Clevis has written into a token of LUKS2 (its member "jwe"), or
// in the compact form, for a program that cannot speak TLS.
func Parse(text string) (*Pin, error) { return reader{left: maxPins}.read(text) }

// ParseTLS is Parse for one that can.
func ParseTLS(text string) (*Pin, error) { return reader{left: maxPins, tls: true}.read(text) }

// reader reads one binding.
type reader struct {
	left int  // how many pins more there may be
	tls  bool // servers of https can be asked
}

func (r reader) read(text string) (*Pin, error) {
	j, err := jose.ParseJWE(text)
	if err != nil {
		return nil, err
	}
	return r.parse(j, maxDepth)
}

// OfToken is the compact form of a LUKS2 token's JWE.
func OfToken(token *jsontree.Value) (string, error) {
	j, err := jose.JWEOf(token.Get("jwe"))
	if err != nil {
		return "", err
	}
	return j.Compact(), nil
}

func str(v *jsontree.Value, name string) string {
	s, _ := v.Get(name).Str()
	return s
}

func (r *reader) parse(j *jose.JWE, depth int) (*Pin, error) {
	if r.left--; r.left < 0 || depth == 0 {
		return nil, fmt.Errorf("%w: too many pins, or too many within each other", ErrPin)
	}
	node := j.Header.Get("clevis")
	p := &Pin{Kind: str(node, "pin"), jwe: j}
	switch p.Kind {
	case "tang":
		p.Why = p.tang(node.Get("tang"), r.tls)
	case "sss":
		if err := p.sss(node.Get("sss"), depth, r); err != nil {
			return nil, err
		}
	case "tpm2":
		p.Why = fmt.Errorf("%w: tpm2 is not supported yet", ErrPin)
	default:
		if p.Kind == "" || strings.Trim(p.Kind, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return nil, fmt.Errorf("%w: it names none", ErrPin)
		}
		p.Why = fmt.Errorf("%w: %s is not known here", ErrPin, p.Kind)
	}
	return p, nil
}

func (p *Pin) tang(v *jsontree.Value, tls bool) error {
	p.URL = strings.TrimRight(str(v, "url"), "/")
	if u, err := ParseURL(p.URL); err != nil {
		return err
	} else if u.TLS && !tls {
		return fmt.Errorf("%w: tang: https needs --feature clevis-tls (Tang needs none: what goes over the line opens nothing)", ErrPin)
	}
	p.KID, p.Known = p.jwe.KID, jose.Keys(v.Get("adv"))
	key, ok := jose.Has(p.Known, p.KID)
	if !ok || p.KID == "" {
		return fmt.Errorf("%w: tang: the key of the server is not among those that were taken from it", ErrPin)
	}
	if !key.Can("deriveKey") {
		return fmt.Errorf("%w: tang: the key of the server is not one for an exchange", ErrPin)
	}
	var err error
	p.server = key.Point
	if p.client, err = p.jwe.Ephemeral(); err != nil {
		return fmt.Errorf("%w: tang: %w", ErrPin, err)
	}
	return nil
}

func (p *Pin) sss(v *jsontree.Value, depth int, r *reader) error {
	t, ok := v.Get("t").Uint()
	list := v.Get("jwe").Members()
	if !ok || t < 1 || t > uint64(len(list)) {
		return fmt.Errorf("%w: sss: %d of %d pins", ErrPin, t, len(list))
	}
	var err error
	if p.prime, err = jose.Bytes(str(v, "p")); err != nil {
		return err
	}
	p.Threshold = int(t)
	usable := 0
	for _, m := range list {
		s, _ := m.Value.Str()
		j, err := jose.ParseJWE(s)
		if err != nil {
			return err
		}
		child, err := r.parse(j, depth-1)
		if err != nil {
			return err
		}
		if child.Why == nil {
			usable++
		}
		p.Pins = append(p.Pins, child)
	}
	if usable < p.Threshold {
		p.Why = fmt.Errorf("%w: sss: %d pins are needed, and %d of %d can be used here", ErrPin, p.Threshold, usable, len(p.Pins))
		for _, c := range p.Pins {
			if c.Why != nil {
				p.Why = fmt.Errorf("%w (%w)", p.Why, c.Why)
				break
			}
		}
	}
	return nil
}

// Leaves are the pins that ask servers, which can be used.
func (p *Pin) Leaves() []*Pin {
	if p.Why != nil {
		return nil
	}
	if p.Kind == "tang" {
		return []*Pin{p}
	}
	var out []*Pin
	for _, c := range p.Pins {
		out = append(out, c.Leaves()...)
	}
	return out
}

// Begin begins an exchange with the server of a pin.
func (p *Pin) Begin(random interface{ Read([]byte) (int, error) }) (*jose.Exchange, error) {
	return jose.Begin(p.server, p.client, random)
}

// Finish takes a server's answer to an exchange.
func (p *Pin) Finish(x *jose.Exchange, answer []byte) error {
	v, err := jose.Parse(answer)
	if err != nil {
		return err
	}
	shared, err := x.Finish(v)
	if err != nil {
		return err
	}
	defer shared.Wipe()
	plain, err := p.jwe.OpenShared(shared)
	if err != nil {
		return fmt.Errorf("its answer is not the one of the key that the volume is bound to: %w", err)
	}
	p.plain = plain
	return nil
}

// Done says whether the pin was opened.
func (p *Pin) Done() bool { return p.plain != nil }

// Open puts together what there is and returns what was bound, nil so long as more
// is needed.
func (p *Pin) Open() ([]byte, error) {
	if p.Kind != "sss" || p.plain != nil || p.Why != nil {
		return p.plain, nil
	}
	var shares [][]byte
	for _, c := range p.Pins {
		plain, err := c.Open()
		if err != nil {
			return nil, err
		}
		if plain != nil && len(shares) < p.Threshold {
			shares = append(shares, plain)
		}
	}
	if len(shares) < p.Threshold {
		return nil, nil
	}
	key, err := jose.Combine(p.prime, shares)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	p.plain, err = p.jwe.Open(key)
	return p.plain, err
}

// Wipe forgets what was opened.
func (p *Pin) Wipe() {
	clear(p.plain)
	p.plain = nil
	for _, c := range p.Pins {
		c.Wipe()
	}
}
