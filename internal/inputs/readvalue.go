package inputs

import (
	"encoding/binary"
	"errors"

	"firstlight/internal/fmt"
)

func (d *reader) value() (*Value, error) {
	t, err := d.typ(0)
	if err != nil {
		return nil, err
	}
	return d.decode(t, &[]*Value{}, 0)
}

func (d *reader) typ(depth int) (*Type, error) {
	n, err := d.uint()
	if err != nil {
		return nil, err
	}
	if n > 0 {
		if n > uint64(len(d.types)) {
			return nil, fmt.Errorf("type %d was never described", n-1)
		}
		return d.types[n-1], nil
	}
	if depth > maxDepth {
		return nil, errors.New("a type is nested too deeply")
	}
	shape, err := d.byte()
	if err != nil {
		return nil, err
	}
	t := &Type{Shape: Shape(shape)}
	d.types = append(d.types, t)
	switch t.Shape {
	case Omitted, Bool, Int, Uint, Text, Bytes, Hidden, Failure:
	case Pointer, List, Dictionary:
		t.Elem, err = d.typ(depth + 1)
	case Structure:
		err = d.fields(t, depth)
	default:
		err = fmt.Errorf("a type of the unknown shape %d", shape)
	}
	return t, err
}

func (d *reader) fields(t *Type, depth int) (err error) {
	if t.Name, err = d.text(); err != nil {
		return err
	}
	n, err := d.uint()
	if err != nil {
		return err
	}
	for range n {
		var f Field
		if f.Name, err = d.text(); err != nil {
			return err
		}
		if f.Type, err = d.typ(depth + 1); err != nil {
			return err
		}
		t.Fields = append(t.Fields, f)
	}
	return nil
}

// count reads a count that is 0 for nil. Every element takes at least a byte,
// but for those of which nothing is recorded; the number of all is bounded.
func (d *reader) count() (n uint64, isNil bool, err error) {
	n, err = d.uint()
	if n == 0 {
		return 0, true, err
	}
	if n-1 > uint64(len(d.b)) {
		return 0, false, errShort
	}
	return n - 1, false, err
}

func (d *reader) decode(t *Type, pointers *[]*Value, depth int) (v *Value, err error) {
	if d.nodes++; d.nodes > maxNodes || depth > maxDepth {
		return nil, errors.New("a value is too large or nested too deeply")
	}
	v = &Value{Type: t}
	switch t.Shape {
	case Bool, Hidden:
		var c byte
		c, err = d.byte()
		v.Number = uint64(c)
	case Int:
		n, w := binary.Varint(d.b)
		if w <= 0 {
			return nil, errShort
		}
		d.b = d.b[w:]
		v.Number = uint64(n)
	case Uint:
		v.Number, err = d.uint()
	case Text:
		v.Text, err = d.text()
	case Bytes:
		var n uint64
		if n, err = d.uint(); n == 0 {
			v.Nil = true
		} else {
			v.Text, err = d.text()
		}
	case Failure:
		v.Err, err = d.error()
	case Pointer:
		return d.pointer(v, pointers, depth)
	case List, Dictionary:
		var n uint64
		if n, v.Nil, err = d.count(); err != nil {
			return nil, err
		}
		for range n {
			if t.Shape == Dictionary {
				k, err := d.text()
				if err != nil {
					return nil, err
				}
				v.Keys = append(v.Keys, k)
			}
			if err := d.item(v, t.Elem, pointers, depth); err != nil {
				return nil, err
			}
		}
	case Structure:
		for _, f := range t.Fields {
			if err := d.item(v, f.Type, pointers, depth); err != nil {
				return nil, err
			}
		}
	}
	return v, err
}

func (d *reader) item(v *Value, t *Type, pointers *[]*Value, depth int) error {
	x, err := d.decode(t, pointers, depth+1)
	v.Items = append(v.Items, x)
	return err
}

func (d *reader) pointer(v *Value, pointers *[]*Value, depth int) (*Value, error) {
	n, err := d.uint()
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		v.Nil = true
		return v, nil
	case n >= 2:
		if n-2 >= uint64(len(*pointers)) {
			return nil, fmt.Errorf("pointer %d was never given", n-2)
		}
		if old := (*pointers)[n-2]; old.Type == v.Type {
			return old, nil
		}
		return nil, fmt.Errorf("pointer %d is of another type", n-2)
	}
	*pointers = append(*pointers, v)
	return v, d.item(v, v.Type.Elem, pointers, depth)
}
