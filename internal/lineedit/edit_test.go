package lineedit

import "testing"

// type what a person types and see what would be handed over and shown.
func TestEditorKeys(t *testing.T) {
	for _, tt := range []struct {
		name, keys, line, screen string
		end                      Verdict
	}{
		{"plain", "secret\r", "secret", "******", Entered},
		{"newline ends too", "a\n", "a", "*", Entered},
		{"backspace", "ab\x7fc\r", "ac", "**\b \b*", Entered},
		{"backspace on nothing", "\x7f\x08a\r", "a", "*", Entered},
		{"ctrl-u", "abc\x15x\r", "x", "***\b \b\b \b\b \b*", Entered},
		{"ctrl-w takes one word", "one two\x17\r", "one ", "*******\b \b\b \b\b \b", Entered},
		{"two-byte character is one asterisk", "\xc3\xa4\x7f\r", "", "*\b \b", Entered},
		{"arrow keys are nothing", "a\x1b[Db\x1bOAc\r", "abc", "***", Entered},
		{"bracketed paste", "\x1b[200~pw\x1b[201~\r", "pw", "**", Entered},
		{"tab shows the line", "ab\tc\r", "abc", "**\b \b\b \babc", Entered},
		{"ctrl-d on an empty line", "\x04", "", "", Cancelled},
		{"ctrl-d in a line is nothing", "a\x04\r", "a", "*", Entered},
		{"ctrl-c", "abc\x03", "abc", "***", Cancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e Editor
			screen := ""
			end := Typing
			for i := 0; i < len(tt.keys) && end == Typing; i++ {
				var s string
				end, s = e.Key(tt.keys[i])
				screen += s
			}
			if string(e.Line) != tt.line || screen != tt.screen || end != tt.end {
				t.Errorf("line %q, screen %q, end %d; want %q, %q, %d", e.Line, screen, end, tt.line, tt.screen, tt.end)
			}
		})
	}
}

// With password-echo=no not even the length is seen, but Tab still shows the
// line to whoever asks for it.
func TestSilentPromptShowsNothing(t *testing.T) {
	for keys, want := range map[string]string{"abc\x7f\x15de\x17fg": "", "ab\tc\x7f\td": "abc\b \b\b \b\b \b"} {
		e := Editor{Silent: true}
		screen := ""
		for i := range len(keys) {
			_, s := e.Key(keys[i])
			screen += s
		}
		if screen != want {
			t.Errorf("%q shows %q, not %q", keys, screen, want)
		}
	}
}

func TestEditorWipesWhatIsRubbedOut(t *testing.T) {
	e := Editor{Line: make([]byte, 0, 64)}
	for _, c := range []byte("hidden") {
		e.Key(c)
	}
	whole := e.Line[:6]
	e.Key(keyCtrlU)
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
		e := Editor{Line: make([]byte, 0, MaxLine), Show: echo}
		first := e.Line[:1]
		for _, k := range keys {
			Verdict, _ := e.Key(k)
			if len(e.Line) > MaxLine {
				t.Fatalf("%d bytes", len(e.Line))
			}
			if len(e.Line) > 0 && &e.Line[0] != &first[0] {
				t.Fatal("the line has moved: a copy is left behind")
			}
			for _, b := range e.Line[len(e.Line):cap(e.Line)] {
				if b != 0 {
					t.Fatal("what was rubbed out is still there")
				}
			}
			if Verdict != Typing {
				break
			}
		}
		e.Wipe()
		for _, b := range first[:cap(first)] {
			if b != 0 {
				t.Fatal("not wiped")
			}
		}
	})
}
