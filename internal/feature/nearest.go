package feature

import (
	"reflect"
	"strings"

	"firstlight/internal/spell"
)

// nearest returns the key that v has beside the unknown one, at the same place,
// and that is written most like it; "" if none is.
func nearest(v any, key []string) string {
	t := reflect.TypeOf(v)
	for _, k := range key[:len(key)-1] {
		if t = under(t, k); t == nil {
			return ""
		}
	}
	unknown := key[len(key)-1]
	best, least := "", max(len(unknown)/3, 1)+1
	for _, name := range tags(t) {
		if d := spell.Distance(unknown, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// under is the type of what a key of a table holds.
func under(t reflect.Type, key string) reflect.Type {
	t = table(t)
	if t == nil {
		return nil
	}
	for f := range t.Fields() {
		if tag(f) == key {
			return f.Type
		}
	}
	return nil
}

// table is the struct that a table or an array of tables is read into.
func table(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func tags(t reflect.Type) (out []string) {
	if t = table(t); t == nil {
		return nil
	}
	for f := range t.Fields() {
		if name := tag(f); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	if name == "-" {
		return ""
	}
	return name
}
