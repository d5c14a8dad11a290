package broker

import "testing"

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		have, want string
		covers     bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.*", "a.b", true},
		{"a.*", "a.*", true},
		{"a.b", "a.*", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a.*", true},
		{"a.>", "a.>", true},
		{"a.>", "a", false},
		{">", "a.b.*", true},
		{">", ">", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"*", ">", false},
		{"a.*", "a.>", false},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.*.c", true},
		{"a.*.c", "a.b.*", false},
		{"a.*.>", "a.b", false},
		{"a.*.>", "a.>", false},
		{"a.b.c", "a.b", false},
	} {
		if got := covers(c.have, c.want); got != c.covers {
			t.Errorf("covers(%s, %s) = %t", c.have, c.want, got)
		}
	}
	if !covered([]string{"x", "a.>", "b.*"}, []string{"a.b", "b.c"}) || covered([]string{"a.>"}, []string{"a.b", "b"}) || covered(nil, []string{"a"}) {
		t.Error("covered")
	}
}
