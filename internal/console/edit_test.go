package console

import "testing"

// type what a person types and see what would be handed over and shown.
func TestEditorKeys(t *testing.T) {
	for _, tt := range []struct {
		name, keys, line, screen string
		end                      verdict
	}{
		{"plain", "secret\r", "secret", "******", entered},
		{"newline ends too", "a\n", "a", "*", entered},
		{"backspace", "ab\x7fc\r", "ac", "**\b \b*", entered},
		{"backspace on nothing", "\x7f\x08a\r", "a", "*", entered},
		{"ctrl-u", "abc\x15x\r", "x", "***\b \b\b \b\b \b*", entered},
		{"ctrl-w takes one word", "one two\x17\r", "one ", "*******\b \b\b \b\b \b", entered},
		{"two-byte character is one asterisk", "\xc3\xa4\x7f\r", "", "*\b \b", entered},
		{"arrow keys are nothing", "a\x1b[Db\x1bOAc\r", "abc", "***", entered},
		{"bracketed paste", "\x1b[200~pw\x1b[201~\r", "pw", "**", entered},
		{"tab shows the line", "ab\tc\r", "abc", "**\b \b\b \babc", entered},
		{"ctrl-d on an empty line", "\x04", "", "", cancelled},
		{"ctrl-d in a line is nothing", "a\x04\r", "a", "*", entered},
		{"ctrl-c", "abc\x03", "abc", "***", cancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e editor
			screen := ""
			end := typing
			for i := 0; i < len(tt.keys) && end == typing; i++ {
				var s string
				end, s = e.key(tt.keys[i])
				screen += s
			}
			if string(e.line) != tt.line || screen != tt.screen || end != tt.end {
				t.Errorf("line %q, screen %q, end %d; want %q, %q, %d", e.line, screen, end, tt.line, tt.screen, tt.end)
			}
		})
	}
}

// With password-echo=no not even the length is seen, but Tab still shows the
// line to whoever asks for it.
func TestSilentPromptShowsNothing(t *testing.T) {
	for keys, want := range map[string]string{"abc\x7f\x15de\x17fg": "", "ab\tc\x7f\td": "abc\b \b\b \b\b \b"} {
		e := editor{silent: true}
		screen := ""
		for i := range len(keys) {
			_, s := e.key(keys[i])
			screen += s
		}
		if screen != want {
			t.Errorf("%q shows %q, not %q", keys, screen, want)
		}
	}
}

func TestEditorWipesWhatIsRubbedOut(t *testing.T) {
	e := editor{line: make([]byte, 0, 64)}
	for _, c := range []byte("hidden") {
		e.key(c)
	}
	whole := e.line[:6]
	e.key(keyCtrlU)
	for _, b := range whole {
		if b != 0 {
			t.Fatalf("%q is still in memory", whole)
		}
	}
}

func FuzzEditor(f *testing.F) {
	f.Add([]byte("pass\x7f\x15\x1b[A\t\xc3\xa4\x17\r"), false)
	f.Add([]byte("\xff\xfe\x7f\x1bO"), true)
	f.Fuzz(func(t *testing.T, keys []byte, echo bool) {
		e := editor{line: make([]byte, 0, MaxLine), show: echo}
		first := e.line[:1]
		for _, k := range keys {
			verdict, _ := e.key(k)
			if len(e.line) > MaxLine {
				t.Fatalf("%d bytes", len(e.line))
			}
			if len(e.line) > 0 && &e.line[0] != &first[0] {
				t.Fatal("the line has moved: a copy is left behind")
			}
			for _, b := range e.line[len(e.line):cap(e.line)] {
				if b != 0 {
					t.Fatal("what was rubbed out is still there")
				}
			}
			if verdict != typing {
				break
			}
		}
		e.wipe()
		for _, b := range first[:cap(first)] {
			if b != 0 {
				t.Fatal("not wiped")
			}
		}
	})
}
