package replay

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"
	"unsafe"

	"firstlight/internal/inputs"
)

// recorded is an error as it was recorded: it has the same text, and is what
// the original was.
type recorded struct {
	text   string
	leaves []inputs.Leaf
}

func (e *recorded) Error() string { return e.text }

// Is says whether an end of the original's chains was target. Errors without
// a number are told apart by their texts: there is nothing else of them that
// another program could know.
func (e *recorded) Is(target error) bool {
	for _, l := range e.leaves {
		if l.Errno == 0 && l.Text == target.Error() {
			return true
		}
	}
	return false
}

// Unwrap returns the ends of the original's chains.
func (e *recorded) Unwrap() []error {
	var out []error
	for _, l := range e.leaves {
		if l.Errno != 0 {
			out = append(out, syscall.Errno(l.Errno))
		} else {
			out = append(out, errors.New(l.Text))
		}
	}
	return out
}

func errorOf(e *inputs.Error) error {
	if e == nil {
		return nil
	}
	return &recorded{e.Text, e.Leaves}
}

// assign sets into, which can be set, to a recorded value. Fields go by their
// names: one that the record lacks stays zero, one that this build lacks is
// left out.
func assign(into reflect.Value, v *inputs.Value, seen map[*inputs.Value]reflect.Value) error {
	t := into.Type()
	switch v.Type.Shape {
	case inputs.Omitted:
		return nil
	case inputs.Failure:
		return assignError(into, v)
	case inputs.Hidden:
		if t != reflect.TypeFor[inputs.Secret]() {
			return mismatch(v, t)
		}
		into.SetBytes([]byte([]string{"", "x", "", "x\n"}[v.Number&3]))
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		if v.Type.Shape == inputs.Bool {
			into.SetBool(v.Number != 0)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := int64(v.Number); v.Type.Shape == inputs.Int && !into.OverflowInt(n) {
			into.SetInt(n)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Type.Shape == inputs.Uint && !into.OverflowUint(v.Number) {
			into.SetUint(v.Number)
			return nil
		}
	case reflect.String:
		if v.Type.Shape == inputs.Text {
			into.SetString(v.Text)
			return nil
		}
	case reflect.Pointer:
		if v.Type.Shape == inputs.Pointer {
			return assignPointer(into, v, seen)
		}
	case reflect.Slice, reflect.Array:
		return assignList(into, v, seen)
	case reflect.Map:
		if v.Type.Shape == inputs.Dictionary && t.Key().Kind() == reflect.String {
			return assignMap(into, v, seen)
		}
	case reflect.Struct:
		if v.Type.Shape == inputs.Structure {
			return assignStruct(into, v, seen)
		}
	}
	return mismatch(v, t)
}

func mismatch(v *inputs.Value, t reflect.Type) error {
	name := v.Type.Name
	if name == "" {
		name = fmt.Sprintf("shape %d", v.Type.Shape)
	}
	return fmt.Errorf("a recorded value (%s) is none of this build's %s", name, t)
}

func assignError(into reflect.Value, v *inputs.Value) error {
	if into.Type() != reflect.TypeFor[error]() {
		return mismatch(v, into.Type())
	}
	if v.Err != nil {
		into.Set(reflect.ValueOf(errorOf(v.Err)))
	}
	return nil
}

func assignPointer(into reflect.Value, v *inputs.Value, seen map[*inputs.Value]reflect.Value) error {
	if v.Nil {
		return nil
	}
	if p, ok := seen[v]; ok && p.Type() == into.Type() {
		into.Set(p)
		return nil
	}
	p := reflect.New(into.Type().Elem())
	seen[v] = p
	into.Set(p)
	return assign(p.Elem(), v.Items[0], seen)
}

func assignList(into reflect.Value, v *inputs.Value, seen map[*inputs.Value]reflect.Value) error {
	t := into.Type()
	if v.Type.Shape == inputs.Bytes && t.Elem().Kind() == reflect.Uint8 {
		if t.Kind() == reflect.Array {
			if len(v.Text) != t.Len() {
				return mismatch(v, t)
			}
			for i := range t.Len() {
				into.Index(i).SetUint(uint64(v.Text[i]))
			}
		} else if !v.Nil {
			into.SetBytes([]byte(v.Text))
		}
		return nil
	}
	if v.Type.Shape != inputs.List {
		return mismatch(v, t)
	}
	if t.Kind() == reflect.Array {
		if len(v.Items) != t.Len() {
			return mismatch(v, t)
		}
	} else if !v.Nil {
		into.Set(reflect.MakeSlice(t, len(v.Items), len(v.Items)))
	}
	for i, x := range v.Items {
		if err := assign(into.Index(i), x, seen); err != nil {
			return err
		}
	}
	return nil
}

func assignMap(into reflect.Value, v *inputs.Value, seen map[*inputs.Value]reflect.Value) error {
	if v.Nil {
		return nil
	}
	t := into.Type()
	m := reflect.MakeMapWithSize(t, len(v.Items))
	for i, x := range v.Items {
		e := reflect.New(t.Elem()).Elem()
		if err := assign(e, x, seen); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(v.Keys[i]).Convert(t.Key()), e)
	}
	into.Set(m)
	return nil
}

func assignStruct(into reflect.Value, v *inputs.Value, seen map[*inputs.Value]reflect.Value) error {
	for i, f := range v.Type.Fields {
		field := into.FieldByName(f.Name)
		if !field.IsValid() {
			continue
		}
		if !field.CanSet() {
			// An unexported field of one of our own types.
			field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
		}
		if err := assign(field, v.Items[i], seen); err != nil {
			return fmt.Errorf("%s.%s: %w", v.Type.Name, f.Name, err)
		}
	}
	return nil
}

// valueOf makes a value of the type to which like is a nil pointer.
func valueOf(like any, v *inputs.Value) (any, error) {
	p := reflect.New(reflect.TypeOf(like).Elem())
	if v.Type.Shape == inputs.Structure && len(v.Type.Fields) == 0 {
		return p.Elem().Interface(), nil // nothing was returned
	}
	if err := assign(p.Elem(), v, map[*inputs.Value]reflect.Value{}); err != nil {
		return nil, err
	}
	return p.Elem().Interface(), nil
}
