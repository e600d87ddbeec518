package crypttab

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	list, problems := Parse("/etc/crypttab", `
# <target> <source> <key file> <options>
root UUID=0c1bd4a5-6d36-4b8b-9d53-1ad5e5f3b0a1 none luks,discard,tries=3
  data	/dev/disk/by-id/my\040disk   /keys/data\054key:UUID=1	luks,key-slot=2,header=/boot/h\,1,nofail # not read: no field has a blank
swap /dev/sda3 /dev/urandom swap,cipher=aes-xts-plain64,size=512,hash=sha256,sector-size=4096
bare LABEL=x
dash PARTUUID=y - -
`)
	if len(list) != 5 {
		t.Fatalf("%d entries, %v", len(list), problems)
	}
	if e := list[0]; e.Name != "root" || e.KeyFile != "" || e.Options.Type != LUKS || !e.Options.Discard || e.Options.Tries != 3 ||
		!e.Options.TriesSet || e.Line != 3 || e.File != "/etc/crypttab" || e.Options.KeySlot() != AnySlot {
		t.Errorf("%+v", e)
	}
	if e := list[1]; e.Device != "/dev/disk/by-id/my disk" || e.KeyFile != "/keys/data,key:UUID=1" || e.Options.KeySlot() != 2 ||
		e.Options.Header != "/boot/h,1" || !e.Options.NoFail {
		t.Errorf("%+v", e)
	}
	if e := list[2]; !e.Options.Swap || e.Options.Type != Plain || e.Options.KeySize != 512 || e.Options.SectorSize != 4096 ||
		e.KeyFile != "/dev/urandom" || e.Options.Cipher != "aes-xts-plain64" || e.Options.Hash != "sha256" {
		t.Errorf("%+v", e)
	}
	for _, e := range list[3:] {
		if e.KeyFile != "" || !reflect.DeepEqual(e.Options, Options{}) {
			t.Errorf("%+v", e)
		}
	}
	if len(problems) != 0 {
		t.Errorf("problems: %v", problems)
	}
}

func TestEveryOption(t *testing.T) {
	yes, no := true, false
	for list, want := range map[string]Options{
		"luks":                                   {Type: LUKS},
		"plain":                                  {Type: Plain},
		"bitlk":                                  {Type: BitLK},
		"fvault2":                                {Type: FVault2},
		"tcrypt":                                 {Type: TCRYPT},
		"tcrypt-hidden":                          {Type: TCRYPT, TCRYPT: TCRYPTOptions{Hidden: true}},
		"tcrypthidden":                           {Type: TCRYPT, TCRYPT: TCRYPTOptions{Hidden: true}},
		"tcrypt-system":                          {Type: TCRYPT, TCRYPT: TCRYPTOptions{System: true}},
		"tcrypt-veracrypt":                       {Type: TCRYPT, TCRYPT: TCRYPTOptions{VeraCrypt: true}},
		"veracrypt":                              {Type: TCRYPT, TCRYPT: TCRYPTOptions{VeraCrypt: true}},
		"veracrypt-pim=485":                      {TCRYPT: TCRYPTOptions{PIM: 485}},
		"tcrypt-keyfile=/a":                      {Type: TCRYPT, TCRYPT: TCRYPTOptions{KeyFiles: []string{"/a"}}},
		"swap":                                   {Type: Plain, Swap: true},
		"tmp":                                    {Type: Plain, Tmp: "ext4"},
		"tmp=xfs":                                {Type: Plain, Tmp: "xfs"},
		"cipher=a":                               {Cipher: "a"},
		"hash=plain":                             {Hash: "plain"},
		"size=256":                               {KeySize: 256},
		"sector-size=1024":                       {SectorSize: 1024},
		"offset=8":                               {Offset: 8},
		"skip=9":                                 {Skip: 9},
		"keyfile-offset=1":                       {KeyFileOffset: 1},
		"keyfile-size=32":                        {KeyFileSize: 32},
		"keyfile-timeout=10s":                    {KeyFileTimeout: 10 * time.Second},
		"keyfile-erase":                          {KeyFileErase: true},
		"keyfile-erase=no":                       {},
		"keyscript=/x":                           {KeyScript: "/x"},
		"header=/h:UUID=1":                       {Header: "/h:UUID=1"},
		"key-slot=0":                             {Type: LUKS, slot: 1},
		"keyslot=31":                             {Type: LUKS, slot: 32},
		"tries=0":                                {TriesSet: true},
		"timeout=1min30s":                        {Timeout: 90 * time.Second},
		"timeout=0":                              {},
		"timeout=infinity":                       {},
		"verify":                                 {Verify: true},
		"password-echo=yes":                      {Echo: EchoYes},
		"password-echo=no":                       {Echo: EchoNo},
		"password-echo=masked":                   {},
		"password-cache=yes":                     {PasswordCache: CacheYes},
		"password-cache=0":                       {PasswordCache: CacheNo},
		"password-cache=read-only":               {PasswordCache: CacheReadOnly},
		"try-empty-password":                     {TryEmptyPassword: true},
		"try-empty-password=on":                  {TryEmptyPassword: true},
		"headless":                               {Headless: true},
		"headless=false":                         {},
		"discard":                                {Discard: true},
		"allow-discards":                         {Discard: true},
		"readonly":                               {ReadOnly: true},
		"read-only":                              {ReadOnly: true},
		"same-cpu-crypt":                         {SameCPUCrypt: true},
		"submit-from-crypt-cpus":                 {SubmitFromCryptCPUs: true},
		"no-read-workqueue":                      {NoReadWorkqueue: true},
		"no-write-workqueue":                     {NoWriteWorkqueue: true},
		"noauto":                                 {NoAuto: true},
		"noauto,auto":                            {},
		"nofail":                                 {NoFail: true},
		"nofail,fail":                            {},
		"_netdev":                                {NetDev: true},
		"x-initrd.attach":                        {InitrdAttach: true},
		"x-systemd.device-timeout=5":             {DeviceTimeout: 5 * time.Second},
		"x-somebody.else=1":                      {},
		"initramfs":                              {Initramfs: true},
		"noearly":                                {NoEarly: true},
		"loud":                                   {Loud: true},
		"loud,quiet":                             {Quiet: true},
		"check":                                  {Check: "1"},
		"check=/sbin/c":                          {Check: "/sbin/c"},
		"checkargs=a":                            {CheckArgs: "a"},
		"precheck=a":                             {Precheck: "a"},
		"token-timeout=0":                        {TokenSet: true},
		"token-timeout=20":                       {TokenSet: true, TokenTimeout: 20 * time.Second},
		"pkcs11-uri=auto":                        {PKCS11URI: "auto"},
		"pkcs11-uri=pkcs11:id=1":                 {PKCS11URI: "pkcs11:id=1"},
		"fido2-device=auto":                      {FIDO2: FIDO2Options{Device: "auto"}},
		"fido2-device=/dev/hidraw0":              {FIDO2: FIDO2Options{Device: "/dev/hidraw0"}},
		"fido2-cid=AQI=":                         {FIDO2: FIDO2Options{Device: "auto", CID: []byte{1, 2}}},
		"fido2-cid=auto":                         {FIDO2: FIDO2Options{Device: "auto"}},
		"fido2-rp=io":                            {FIDO2: FIDO2Options{RP: "io"}},
		"fido2-pin=yes,fido2-up=no,fido2-uv=yes": {FIDO2: FIDO2Options{PIN: &yes, UP: &no, UV: &yes}},
		"tpm2-device=auto":                       {TPM2: TPM2Options{Device: "auto"}},
		"tpm2-device=/dev/tpmrm0":                {TPM2: TPM2Options{Device: "/dev/tpmrm0"}},
		"tpm2-pcrs=7":                            {TPM2: TPM2Options{PCRs: 1 << 7, PCRsSet: true}},
		"tpm2-pcrs=":                             {TPM2: TPM2Options{PCRsSet: true}},
		`tpm2-pcrs=0+kernel-boot\,14:sha256`:     {TPM2: TPM2Options{PCRs: 1 | 1<<11 | 1<<14, PCRsSet: true}},
		"tpm2-pin=yes":                           {TPM2: TPM2Options{PIN: true}},
		"tpm2-signature=/s":                      {TPM2: TPM2Options{Signature: "/s"}},
		"tpm2-pcrlock=/p":                        {TPM2: TPM2Options{PCRLock: "/p"}},
		"tpm2-measure-pcr=yes":                   {TPM2: TPM2Options{Measure: true, MeasurePCR: 15}},
		"tpm2-measure-pcr=9":                     {TPM2: TPM2Options{Measure: true, MeasurePCR: 9}},
		"tpm2-measure-pcr=no":                    {},
		"tpm2-measure-bank=sha1:sha256":          {TPM2: TPM2Options{MeasureBanks: []string{"sha1", "sha256"}}},
		"tpm2-measure-keyslot-nvpcr=yes":         {TPM2: TPM2Options{MeasureNvPCR: "cryptsetup"}},
		"tpm2-measure-keyslot-nvpcr=n1":          {TPM2: TPM2Options{MeasureNvPCR: "n1"}},
		"link-volume-key=@u::%logon:x":           {LinkVolumeKey: "@u::%logon:x"},
		"fixate-volume-key=ab":                   {FixateVolumeKey: "ab"},
		",,luks,,":                               {Type: LUKS},
		"none":                                   {},
	} {
		got, problems := ParseOptions("cmdline", list)
		got.List = nil
		if !reflect.DeepEqual(got, want) || len(problems) != 0 {
			t.Errorf("%s:\n got %+v %v\nwant %+v", list, got, problems, want)
		}
	}
	tested := 0
	for _, row := range optionTable() {
		_, p := ParseOptions("", row.name)
		_, pv := ParseOptions("", row.name+"=\x01")
		switch {
		case row.arg == none && (len(p) != 0 || len(pv) != 1):
			t.Errorf("%s takes a value, or needs one", row.name)
		case row.arg == required && len(p) != 1:
			t.Errorf("%s needs no value", row.name)
		}
		tested++
	}
	if tested < 60 {
		t.Errorf("only %d options", tested)
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"root", `tab:1: has no device after the volume "root"`},
		{"a b c d e", `tab:1: has more than four fields; white space in a field is written \040`},
		{"a/b /dev/x", `tab:1: the volume "a/b" cannot be a name in /dev/mapper`},
		{"a x\na y", `tab:2: volume a is in line 1 already`},
		{"a x - tris=3", `tab:1: option tris=3: unknown; did you mean tries?`},
		{"a x - no_read_workqueue", `tab:1: option no_read_workqueue: unknown; did you mean no-read-workqueue?`},
		{"a x - Discard", `tab:1: option Discard: unknown; did you mean discard?`},
		{"a x - frobnicate", `tab:1: option frobnicate: unknown`},
		{"a x - discard=1", `tab:1: option discard=1: takes no value`},
		{"a x - tries", `tab:1: option tries: needs a value`},
		{"a x - tries=many", `tab:1: option tries=many: not a number`},
		{"a x - tries=99999999999", `tab:1: option tries=99999999999: number is too big`},
		{"a x - timeout=3parsecs", `tab:1: option timeout=3parsecs: unknown unit of time parsecs`},
		{"a x - key-slot=32", `tab:1: option key-slot=32: there are keyslots 0 to 31`},
		{"a x - sector-size=520", `tab:1: option sector-size=520: neither 512, 1024, 2048 nor 4096`},
		{"a x - size=13", `tab:1: option size=13: a key's size in bits is a multiple of 8`},
		{"a x - header=h", `tab:1: option header=h: not an absolute path`},
		{"a x - header=/a,header=/b", `tab:1: option header=/b: given twice`},
		{"a x - tpm2-pcrs=24", `tab:1: option tpm2-pcrs=24: there are PCRs 0 to 23`},
		{"a x - tpm2-pcrs=seven", `tab:1: option tpm2-pcrs=seven: PCR seven is unknown`},
		{"a x - password-echo=loud", `tab:1: option password-echo=loud: neither yes, no nor masked`},
		{"a x - luks,offset=3", `tab:1: offset= and skip= have no effect on luks`},
		{"a x\x00 - luks", `tab:1: holds a zero byte`},
	} {
		list, problems := Parse("tab", tt.text)
		if len(problems) != 1 || problems[0].Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.text, problems, tt.want)
		}
		for _, p := range problems {
			if p.Fatal != (len(list) == strings.Count(tt.text, "\n")) {
				t.Errorf("%q: fatal is %v, %d entries", tt.text, p.Fatal, len(list))
			}
		}
	}
	list, _ := Parse("tab", "a x - tris=3,discard")
	if o := list[0].Options; len(o.Unknown) != 1 || o.Unknown[0] != "tris=3" || !o.Discard || len(o.List) != 2 {
		t.Errorf("an unknown option is not kept, or hides others: %+v", o)
	}
}

func TestLimits(t *testing.T) {
	if list, p := Parse("tab", strings.Repeat("x", MaxText+1)); len(list) != 0 || len(p) != 1 {
		t.Error("a huge file is read")
	}
	if _, p := Parse("tab", strings.Repeat("x\n", 100000)); len(p) != maxReports {
		t.Errorf("%d problems", len(p))
	}
	if _, p := ParseOptions("cmdline", strings.Repeat("x", MaxText+1)); len(p) != 1 {
		t.Error("a huge list is read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root UUID=1 none luks,discard\n# x\nswap /dev/sda3 /dev/urandom swap,size=512\n")
	f.Add(`a\040b x\054 - header=/a\,b,tpm2-pcrs=7+11,fido2-cid=AAAA,timeout=1min 3s`)
	f.Fuzz(func(t *testing.T, s string) {
		list, problems := Parse("f", s)
		for _, e := range list {
			if e.Name == "" || e.Device == "" || strings.Contains(e.Name, "/") || e.Options.KeySlot() < AnySlot || e.Options.KeySlot() > 31 {
				t.Errorf("%+v", e)
			}
			if len(e.Options.Unknown) > len(e.Options.List) {
				t.Errorf("%+v", e.Options)
			}
		}
		for _, p := range problems {
			if !strings.HasPrefix(p.Error(), "f:") || p.Reason == "" {
				t.Error(p)
			}
		}
	})
}
