package luks

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/crypttab"
	"firstlight/internal/fmt"
	"firstlight/internal/luks"
	"firstlight/internal/machine"
)

// toolFeature is the feature with which the image has cryptsetup.
const toolFeature = "cryptsetup-tool"

// tools are where it may be.
var tools = [...]string{"/usr/sbin/cryptsetup", "/sbin/cryptsetup"}

// noPermission is how cryptsetup ends when the passphrase is wrong (cryptsetup(8)).
const noPermission = 2

// openByTool opens what Firstlight itself has no reader for, TrueCrypt,
// VeraCrypt and BitLocker volumes, with cryptsetup. The passphrase goes to its
// standard input, never on its command line.
func openByTool(j mapping, m machine.Machine, secret []byte) error {
	name := j.volume.name
	args, err := toolArgs(&j.volume.options, j.readOnly, j.keyFile, j.devname, name)
	if err != nil {
		return err
	}
	for _, p := range tools {
		if !m.HasProgram(p) {
			continue
		}
		input := bytes.Clone(secret)
		if !slices.Contains(args, "-") {
			input = append(input, '\n')
		}
		defer clear(input)
		exit, err := m.Run(machine.Program{Path: p, Args: args, Env: []string{"DM_DISABLE_UDEV=1"}, Input: input})
		switch {
		case err != nil:
			return err
		case exit.Code == noPermission:
			return luks.ErrWrongPassphrase
		case exit.Code != 0:
			return fmt.Errorf("cryptsetup ended with %d: %s", exit.Code, strings.TrimSpace(exit.Output))
		}
		return nil
	}
	return fmt.Errorf("the image has no cryptsetup: rebuild it with --feature %s", toolFeature)
}

// toolArgs are the arguments of cryptsetup for a volume. The key file of a
// BitLocker volume is its startup key, which is taken as it stands in the file;
// that of a TrueCrypt volume has the passphrase.
func toolArgs(o *crypttab.Options, readOnly, keyFile bool, device, name string) ([]string, error) {
	args := []string{"open", "--batch-mode", "--tries", "1", "--type", o.Type.String()}
	add := func(on bool, words ...string) {
		if on {
			args = append(args, words...)
		}
	}
	t := &o.TCRYPT
	if o.Type == crypttab.TCRYPT {
		add(t.Hidden, "--tcrypt-hidden")
		add(t.System, "--tcrypt-system")
		add(!t.VeraCrypt, "--disable-veracrypt")
		add(t.VeraCrypt && t.PIM > 0, "--veracrypt-pim", strconv.FormatUint(uint64(t.PIM), 10))
		for _, f := range t.KeyFiles {
			args = append(args, "--key-file", f)
		}
	}
	add(keyFile && o.Type == crypttab.BitLK, "--key-file", "-")
	add(o.Discard, "--allow-discards")
	add(readOnly, "--readonly")
	if strings.HasPrefix(device, "-") || strings.HasPrefix(name, "-") {
		return nil, fmt.Errorf("%q or %q could be taken for an option", device, name)
	}
	return append(args, device, name), nil
}

// byTool says whether a volume is opened by cryptsetup.
func byTool(t crypttab.Type) bool { return t == crypttab.TCRYPT || t == crypttab.BitLK }
