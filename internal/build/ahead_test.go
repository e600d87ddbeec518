package build

import (
	"context"
	"testing"
)

// What the root surely needs is loaded ahead, what it lies on first; what is in the
// image for another reason, and for any machine, is not.
func TestModulesOfTheRootAreLoadedAhead(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Config)
		want   string
	}{
		{"a filesystem", func(c *Config) { c.Root.FSType = List{"xfs"} }, "rd.driver.post=xfs\n"},
		{"layers below it", func(c *Config) { c.Root.Layers = List{"luks", "md-raid1"} }, "rd.driver.post=dm_mod,dm_crypt,xts,raid1,ext4\n"},
		{"arrays of unknown levels", func(c *Config) { c.Root.Layers = List{"md"} }, "rd.driver.post=ext4\n"},
		{"a feature that was asked for", func(c *Config) { c.Features = append(c.Features, "xfs", "luks") }, "rd.driver.post=ext4\n"},
		{"one that is left out", func(c *Config) { c.OmitFeatures = append(c.OmitFeatures, "ext4") }, ""},
		{"any machine", func(c *Config) { c.Root, c.Mode = nil, ModeGeneric }, ""},
	} {
		o := options(t, plain)
		o.InitFull = o.Init
		c.change(&o.Config)
		tree, _, err := Plan(context.Background(), o)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := ""
		if e := tree.Get("etc/firstlight/cmdline.d/ahead.conf"); e != nil {
			got = string(e.Data)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}
