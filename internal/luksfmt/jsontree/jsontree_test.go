package jsontree

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

var wide = Limits{Depth: 64, Values: 1 << 16}

func TestParse(t *testing.T) {
	v, err := Parse([]byte(` {"a":[1,"x\u00e9\ud83d\ude00\n",true,null,{}],"b":{"c":"18446744073709551615"}, "d":-1.5e+3} `), wide)
	if err != nil {
		t.Fatal(err)
	}
	a := v.Get("a").Members()
	if len(a) != 5 {
		t.Fatalf("%d elements", len(a))
	}
	if n, ok := a[0].Value.Uint(); n != 1 || !ok {
		t.Error("number", n, ok)
	}
	if s, ok := a[1].Value.Str(); s != "xé😀\n" || !ok {
		t.Errorf("string %q", s)
	}
	if b, ok := a[2].Value.Bool(); !b || !ok {
		t.Error("boolean")
	}
	if a[3].Value.Kind() != Null || a[4].Value.Kind() != Object || v.Get("x").Kind() != Missing {
		t.Error("kinds")
	}
	if _, ok := v.Get("d").Uint(); ok {
		t.Error("-1.5e+3 is no unsigned integer")
	}
	if s, _ := v.Get("b").Get("c").Str(); s != "18446744073709551615" {
		t.Errorf("nested %q", s)
	}
	var none *Value
	if _, ok := none.Get("a").Get("b").Str(); ok {
		t.Error("missing value has a string")
	}
}

func TestRefused(t *testing.T) {
	for _, s := range []string{
		``, ` `, `{`, `[`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `01`, `-`, `1.`, `1e`, `.5`, `+1`,
		`tru`, `nul`, `True`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\ud800"`, `"\ud800\u0041"`, "\"\n\"", "\"\xff\"", "\"\\n\xff\"",
		`1 1`, `{} x`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `'a'`, `/**/1`, "1\x00", `[[]`, `{"a":[}`,
	} {
		if _, err := Parse([]byte(s), wide); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", s, err)
		}
	}
	big := "{"
	for i := range 40 {
		big += `"` + strings.Repeat("x", i) + `":1,`
	}
	if _, err := Parse([]byte(big+`"xxxxxxxxxxxxxxxxxxxx":1}`), wide); !errors.Is(err, ErrSyntax) {
		t.Error("duplicate key in a big object is taken:", err)
	}
	if _, err := Parse([]byte(big+`"y":1}`), wide); err != nil {
		t.Error("big object:", err)
	}
}

func TestHostileInputStopsAtItsLimits(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("[", 4<<20), strings.Repeat(`{"a":`, 1<<20), "[" + strings.Repeat("0,", 2<<20) + "0]",
	} {
		if _, err := Parse([]byte(s), Limits{Depth: 32, Values: 1000}); !errors.Is(err, ErrLimit) {
			t.Errorf("%.10q…: %v", s, err)
		}
	}
	if _, err := Parse([]byte("[[1]]"), Limits{Depth: 2, Values: 3}); err != nil {
		t.Error("exactly at the limits:", err)
	}
	for _, l := range []Limits{{Depth: 1, Values: 3}, {Depth: 2, Values: 2}} {
		if _, err := Parse([]byte("[[1]]"), l); !errors.Is(err, ErrLimit) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// plain turns a tree into what encoding/json makes of the same text.
func plain(v *Value) any {
	switch v.Kind() {
	case Bool:
		b, _ := v.Bool()
		return b
	case Number:
		return json.Number(v.text)
	case String:
		return v.text
	case Array:
		l := []any{}
		for _, m := range v.Members() {
			l = append(l, plain(m.Value))
		}
		return l
	case Object:
		o := map[string]any{}
		for _, m := range v.Members() {
			o[m.Key] = plain(m.Value)
		}
		return o
	}
	return nil
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\n\u0041"],"b":{"c":null,"d":false}}`, `[]`, `"\ud83d\ude00"`, `[[[[]]]]`, `{"":0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data, Limits{Depth: 100, Values: 10000})
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.UseNumber()
		var want any
		jerr := dec.Decode(&want)
		if err != nil {
			return // stricter than encoding/json: duplicate keys, limits, half surrogates
		}
		if jerr != nil {
			t.Fatalf("taken, but encoding/json says %v", jerr)
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v, encoding/json has %#v", got, want)
		}
	})
}
