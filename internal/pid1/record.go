package pid1

import (
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/version"
)

// setupOf is what the record of a boot begins with.
func setupOf(image handler.Image, texts []bootcmd.Source, args []string, start time.Duration, rules []byte) inputs.Setup {
	s := inputs.Setup{Version: version.Version, Start: start, Image: image, Rules: rules}
	for _, t := range texts {
		s.Sources = append(s.Sources, inputs.Source{Name: t.Name, Text: bootcmd.RedactText(t)})
	}
	for _, a := range args {
		s.Args = append(s.Args, bootcmd.RedactText(bootcmd.Source{Name: kernelFile, Text: a}))
	}
	return s
}
