package luks

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	"firstlight/internal/luksfmt"
	"firstlight/internal/luksfmt/hashname/rare"
	"firstlight/internal/testtool"
)

const pass = "correct horse"

// cheap makes key derivation quick; the parameters are not what is tested.
var (
	cheapPBKDF2 = []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	smallHeader = []string{"--luks2-metadata-size", "16k", "--luks2-keyslots-size", "2m"}
)

func argon(typ string, memory, lanes int) []string {
	return []string{"--pbkdf", typ, "--pbkdf-force-iterations", "4", "--pbkdf-memory", strconv.Itoa(memory),
		"--pbkdf-parallel", strconv.Itoa(lanes)}
}

func join(parts ...[]string) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// cryptsetup runs the tool with a passphrase on stdin.
func cryptsetup(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testtool.Path("cryptsetup"), append([]string{"--batch-mode"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("cryptsetup %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// format makes a volume and returns its path and its key, as cryptsetup
// dumps it.
func format(t *testing.T, args ...string) (path string, key []byte) {
	t.Helper()
	testtool.Need(t, "cryptsetup")
	dir := t.TempDir()
	path = filepath.Join(dir, "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(24 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	cryptsetup(t, pass, join([]string{"luksFormat", "--key-file", "-"}, args, []string{path})...)
	return path, volumeKey(t, path)
}

func volumeKey(t *testing.T, path string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	cryptsetup(t, pass, "luksDump", "--dump-volume-key", "--key-file", "-", "--volume-key-file", file, path)
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t *testing.T, path string) (*os.File, *luksfmt.Header) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	h, err := luksfmt.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, h
}

func TestVolumeKeyIsTheOneThatCryptsetupDumps(t *testing.T) {
	luks1 := func(a ...string) []string { return join([]string{"--type", "luks1"}, cheapPBKDF2[2:], a) }
	luks2 := func(a ...string) []string { return join([]string{"--type", "luks2"}, smallHeader, a) }
	for name, args := range map[string][]string{
		"luks1":                  luks1(),
		"luks1 sha1":             luks1("--hash", "sha1"),
		"luks1 sha512":           luks1("--hash", "sha512"),
		"luks1 sha384":           luks1("--hash", "sha384", "--key-size", "256"),
		"luks1 xts 256":          luks1("--key-size", "256"),
		"luks1 cbc essiv":        luks1("--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"),
		"luks1 cbc essiv 128":    luks1("--cipher", "aes-cbc-essiv:sha256", "--key-size", "128"),
		"luks1 cbc plain 192":    luks1("--cipher", "aes-cbc-plain", "--key-size", "192"),
		"luks1 cbc plain64":      luks1("--cipher", "aes-cbc-plain64", "--key-size", "256"),
		"luks1 whirlpool":        luks1("--hash", "whirlpool"),
		"luks1 ripemd160":        luks1("--hash", "ripemd160"),
		"luks1 xts essiv":        luks1("--cipher", "aes-xts-essiv:sha256", "--key-size", "512"),
		"luks2 sha3":             luks2(join(cheapPBKDF2, []string{"--hash", "sha3-256"})...),
		"luks2 sha3-512":         luks2(join(cheapPBKDF2, []string{"--hash", "sha3-512"})...),
		"luks2 blake2s":          luks2(join(cheapPBKDF2, []string{"--hash", "blake2s-256"})...),
		"luks2 whirlpool":        luks2(join(cheapPBKDF2, []string{"--hash", "whirlpool"})...),
		"luks1 ecb":              luks1("--cipher", "aes-ecb", "--key-size", "256"),
		"luks2 argon2id":         luks2(argon("argon2id", 32, 1)...),
		"luks2 argon2id 4 lanes": luks2(argon("argon2id", 1021, 4)...),
		"luks2 argon2i":          luks2(argon("argon2i", 64, 2)...),
		"luks2 pbkdf2":           luks2(cheapPBKDF2...),
		"luks2 pbkdf2 sha1":      luks2(join(cheapPBKDF2, []string{"--hash", "sha1"})...),
		"luks2 pbkdf2 sha224":    luks2(join(cheapPBKDF2, []string{"--hash", "sha224"})...),
		"luks2 pbkdf2 sha512":    luks2(join(cheapPBKDF2, []string{"--hash", "sha512"})...),
		"luks2 blake2b":          luks2(join(cheapPBKDF2, []string{"--hash", "blake2b-512"})...),
		"luks2 sector 512":       luks2(join(cheapPBKDF2, []string{"--sector-size", "512"})...),
		"luks2 sector 1024":      luks2(join(cheapPBKDF2, []string{"--sector-size", "1024"})...),
		"luks2 sector 4096":      luks2(join(cheapPBKDF2, []string{"--sector-size", "4096"})...),
		"luks2 xts 256":          luks2(join(cheapPBKDF2, []string{"--key-size", "256"})...),
		"luks2 cbc essiv":        luks2(join(cheapPBKDF2, []string{"--cipher", "aes-cbc-essiv:sha256", "--key-size", "128"})...),
		"luks2 keyslot cipher":   luks2(join(cheapPBKDF2, []string{"--keyslot-cipher", "aes-cbc-essiv:sha256", "--keyslot-key-size", "256"})...),
		"luks2 slot 7":           luks2(join(cheapPBKDF2, []string{"--key-slot", "7"})...),
		"luks2 big metadata":     luks2(join(cheapPBKDF2, []string{"--luks2-metadata-size", "1m", "--luks2-keyslots-size", "4m"})...),
		"luks2 label":            luks2(join(cheapPBKDF2, []string{"--label", "my disk", "--subsystem", "sub sys"})...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, want := format(t, args...)
			f, h := open(t, path)
			if len(h.Problems) > 0 {
				t.Errorf("problems with a fresh header: %q", h.Problems)
			}
			checkDump(t, h, path)
			key, err := Open(t.Context(), h, f, []byte(pass), Options{Hashes: rare.New})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(key.Bytes(), want) {
				t.Errorf("volume key %x, cryptsetup has %x", key.Bytes(), want)
			}
			if ok, err := CheckKey(t.Context(), rare.New, h, want); err != nil || !ok {
				t.Errorf("CheckKey of the right key: %v, %v", ok, err)
			}
			want[0] ^= 1
			if ok, err := CheckKey(t.Context(), rare.New, h, want); err != nil || ok {
				t.Errorf("CheckKey of a wrong key: %v, %v", ok, err)
			}
			b := key.Bytes()
			key.Wipe()
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Error("Wipe left the key in memory")
			}
			if _, err := Open(t.Context(), h, f, []byte(pass+" "), Options{Hashes: rare.New}); !errors.Is(err, ErrWrongPassphrase) {
				t.Errorf("wrong passphrase: %v", err)
			}
		})
	}
}

// checkDump compares with what `cryptsetup luksDump` prints.
func checkDump(t *testing.T, h *luksfmt.Header, path string) {
	t.Helper()
	s, err := h.DataSegment()
	if err != nil {
		t.Fatal(err)
	}
	dump := cryptsetup(t, "", "luksDump", path)
	get := func(key string) string {
		for line := range strings.SplitSeq(dump, "\n") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, cryptsetup says %q", what, got, want)
		}
	}
	check("uuid", h.UUID, get("UUID:"))
	check("version", strconv.Itoa(h.Version), get("Version:"))
	if h.Version == 1 {
		check("cipher", s.Encryption, get("Cipher name:")+"-"+get("Cipher mode:"))
		check("hash", h.Digests[0].Hash, get("Hash spec:"))
		check("offset", strconv.FormatUint(s.Offset/512, 10), get("Payload offset:"))
		check("key bits", strconv.Itoa(8*h.Keyslots[0].KeySize), get("MK bits:"))
		check("digest", hex.EncodeToString(h.Digests[0].Digest), strings.ReplaceAll(get("MK digest:"), " ", ""))
		return
	}
	none := func(s, empty string) string {
		if s == "" {
			return "(" + empty + ")"
		}
		return s
	}
	check("label", none(h.Label, "no label"), get("Label:"))
	check("subsystem", none(h.Subsystem, "no subsystem"), get("Subsystem:"))
	check("epoch", strconv.FormatUint(h.SeqID, 10), get("Epoch:"))
	check("cipher", s.Encryption, get("cipher:"))
	check("sector", strconv.Itoa(s.SectorSize)+" [bytes]", get("sector:"))
	check("offset", strconv.FormatUint(s.Offset, 10)+" [bytes]", get("offset:"))
	check("kdf", h.Keyslots[0].KDF.Type, get("PBKDF:"))
	check("keyslot cipher", h.Keyslots[0].Encryption, get("Cipher:"))
	check("area", strconv.FormatInt(h.Keyslots[0].Offset, 10)+" [bytes]", get("Area offset:"))
}

func TestSeveralKeyslotsAreTriedByPriority(t *testing.T) {
	path, want := format(t, join([]string{"--type", "luks2"}, smallHeader, cheapPBKDF2)...)
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	old := file("old", pass)
	bin := file("bin", "\x00\n\xffbinary\x00")
	cryptsetup(t, "", join([]string{"luksAddKey", "--key-file", old}, cheapPBKDF2, []string{path, bin})...)
	// The same passphrase again in slots 2 and 3; 3 is preferred, 2 ignored.
	cryptsetup(t, "", join([]string{"luksAddKey", "--key-file", old}, cheapPBKDF2, []string{path, old})...)
	cryptsetup(t, "", join([]string{"luksAddKey", "--key-file", old}, cheapPBKDF2, []string{path, old})...)
	cryptsetup(t, "", "config", "--priority", "prefer", "--key-slot", "3", path)
	cryptsetup(t, "", "config", "--priority", "ignore", "--key-slot", "2", path)
	// An unbound slot holds another key and is never tried.
	cryptsetup(t, "", join([]string{"luksAddKey", "--unbound", "--key-size", "512", "--key-slot", "5", "--key-file", old},
		cheapPBKDF2, []string{path, file("other", "other")})...)
	f, h := open(t, path)
	var order []int
	for _, k := range h.TryOrder() {
		order = append(order, k.ID)
	}
	if len(order) != 3 || order[0] != 3 || order[1] != 0 || order[2] != 1 {
		t.Errorf("order %v, want 3 0 1", order)
	}
	for _, tt := range []struct {
		pass  string
		slots []int
		want  int
		err   error
	}{
		{pass, nil, 3, nil},
		{"\x00\n\xffbinary\x00", nil, 1, nil},
		{pass, []int{2}, 2, nil},
		{pass, []int{1, 0}, 0, nil},
		{pass, []int{1}, 0, ErrWrongPassphrase},
		{pass, []int{4}, 0, ErrNoKeyslot},
		{"other", []int{5}, 0, ErrNoKeyslot},
		{"other", nil, 0, ErrWrongPassphrase},
		{pass, []int{}, 0, ErrNoKeyslot},
	} {
		key, err := Open(t.Context(), h, f, []byte(tt.pass), Options{Keyslots: tt.slots})
		if tt.err != nil {
			if !errors.Is(err, tt.err) {
				t.Errorf("%q in %v: %v, want %v", tt.pass, tt.slots, err, tt.err)
			}
			continue
		}
		if err != nil || key.Keyslot != tt.want || !bytes.Equal(key.Bytes(), want) {
			t.Errorf("%q in %v: %+v, %v, want slot %d", tt.pass, tt.slots, key, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, h, f, []byte(pass), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDetachedHeader(t *testing.T) {
	for _, typ := range []string{"luks1", "luks2"} {
		t.Run(typ, func(t *testing.T) {
			header := filepath.Join(t.TempDir(), "header")
			args := []string{"--type", typ, "--header", header}
			if typ == "luks2" {
				args = join(args, smallHeader, cheapPBKDF2)
			} else {
				args = append(args, cheapPBKDF2[2:]...)
			}
			testtool.Need(t, "cryptsetup")
			disk := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			cryptsetup(t, pass, join([]string{"luksFormat", "--key-file", "-"}, args, []string{disk})...)
			want := volumeKey(t, header)
			f, h := open(t, header)
			key, err := Open(t.Context(), h, f, []byte(pass), Options{})
			if err != nil || !bytes.Equal(key.Bytes(), want) {
				t.Fatalf("%v, %v, want %x", key, err, want)
			}
			table, err := Table(h, MapOptions{Device: "7:0", DeviceSize: 1 << 20, Key: key.KeyringRef(h)})
			if err != nil {
				t.Fatal(err)
			}
			s, _ := h.DataSegment()
			want2 := "0 2048 crypt aes-xts-plain64 :64:logon:cryptsetup:" + h.UUID + "-d0 0 7:0 0"
			if s.SectorSize == 4096 {
				want2 += " 1 sector_size:4096"
			}
			if got := table[0].String(); got != want2 {
				t.Errorf("table %q, want %q", got, want2)
			}
		})
	}
}

func TestDamagedHeaders(t *testing.T) {
	path, want := format(t, join([]string{"--type", "luks2"}, smallHeader, cheapPBKDF2)...)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		damage  func(b []byte)
		copy    luksfmt.Copy
		problem string // "" for none
		err     error
	}{
		"none":                {func(b []byte) {}, luksfmt.Primary, "", nil},
		"primary magic":       {func(b []byte) { b[0] = 0 }, luksfmt.Secondary, "primary copy", nil},
		"primary checksum":    {func(b []byte) { b[450] ^= 1 }, luksfmt.Secondary, "primary copy", nil},
		"primary json":        {func(b []byte) { b[4100] ^= 1 }, luksfmt.Secondary, "primary copy", nil},
		"primary wiped":       {func(b []byte) { clear(b[:16384]) }, luksfmt.Secondary, "primary copy", nil},
		"secondary checksum":  {func(b []byte) { b[16384+450] ^= 1 }, luksfmt.Primary, "secondary copy", nil},
		"secondary wiped":     {func(b []byte) { clear(b[16384:32768]) }, luksfmt.Primary, "secondary copy", nil},
		"both json":           {func(b []byte) { b[4100] ^= 1; b[16384+4100] ^= 1 }, 0, "", luksfmt.ErrCorrupt},
		"both wiped":          {func(b []byte) { clear(b[:32768]) }, 0, "", luksfmt.ErrNoLUKS},
		"version 3":           {func(b []byte) { b[7] = 3 }, 0, "", luksfmt.ErrVersion},
		"LUKS1 re-encryption": {func(b []byte) { b[4], b[5] = 0xde, 0xad }, 0, "", luksfmt.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(image)
			tt.damage(b)
			h, err := luksfmt.Read(bytes.NewReader(b))
			if tt.err != nil {
				if !errors.Is(err, tt.err) {
					t.Fatalf("%v, want %v", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Copy != tt.copy {
				t.Errorf("%v copy was read, want the %v", h.Copy, tt.copy)
			}
			if all := strings.Join(h.Problems, "\n"); tt.problem == "" && all != "" || !strings.Contains(all, tt.problem) {
				t.Errorf("problems %q, want %q", h.Problems, tt.problem)
			}
			key, err := Open(t.Context(), h, bytes.NewReader(b), []byte(pass), Options{})
			if err != nil || !bytes.Equal(key.Bytes(), want) {
				t.Errorf("%v, %v", key, err)
			}
		})
	}
	t.Run("key material", func(t *testing.T) {
		b := bytes.Clone(image)
		b[32768+1000] ^= 1
		h, err := luksfmt.Read(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), h, bytes.NewReader(b), []byte(pass), Options{}); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("one flipped bit: %v", err)
		}
		if _, err := Open(t.Context(), h, bytes.NewReader(b[:40000]), []byte(pass), Options{}); err == nil || errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("cut off: %v", err)
		}
	})
}

func TestNewerCopyCounts(t *testing.T) {
	path, _ := format(t, join([]string{"--type", "luks2"}, smallHeader, cheapPBKDF2)...)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cryptsetup(t, "", "config", "--label", "new", path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{"old primary": 0, "old secondary": 16384} {
		mixed := bytes.Clone(b)
		copy(mixed[at:at+16384], old[at:at+16384])
		h, err := luksfmt.Read(bytes.NewReader(mixed))
		if err != nil {
			t.Fatal(err)
		}
		if h.Label != "new" || len(h.Problems) != 1 || !strings.Contains(h.Problems[0], "older") {
			t.Errorf("%s: label %q, problems %q", name, h.Label, h.Problems)
		}
	}
}

func TestReencryptionUnderWayIsRefused(t *testing.T) {
	path, _ := format(t, join([]string{"--type", "luks2", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "8m"}, cheapPBKDF2)...)
	cryptsetup(t, pass, join([]string{"reencrypt", "--init-only", "--key-file", "-"}, cheapPBKDF2, []string{path})...)
	f, h := open(t, path)
	_, err := Open(t.Context(), h, f, []byte(pass), Options{})
	if !errors.Is(err, luksfmt.ErrRefused) || !strings.Contains(err.Error(), "re-encryption is under way") {
		t.Errorf("Open: %v", err)
	}
	if _, err := Table(h, MapOptions{Device: "7:0", DeviceSize: 24 << 20}); !errors.Is(err, luksfmt.ErrRefused) {
		t.Errorf("Table: %v", err)
	}
}

// What cryptsetup made of the keys is what we make of them, for each way to
// re-encrypt; and whoever changes the header on the disk is found out.
func TestReencryptionThatCanBeOpened(t *testing.T) {
	big := []string{"--type", "luks2", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "8m"}
	for name, args := range map[string][]string{
		"checksum": nil, "sector size": {"--sector-size", "512"}, "journal": {"--resilience", "journal"}, "none": {"--resilience", "none"},
		"other cipher": {"--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"}, "sha1": {"--resilience-hash", "sha1"},
		"decrypt": {"--decrypt", "--force-offline-reencrypt", "--header", "HEADER"},
	} {
		t.Run(name, func(t *testing.T) {
			path, old := format(t, join(big, cheapPBKDF2)...)
			if name == "decrypt" {
				header := filepath.Join(t.TempDir(), "header")
				for i, a := range args {
					if a == "HEADER" {
						args[i] = header
					}
				}
				cryptsetup(t, pass, join([]string{"reencrypt", "--init-only", "--key-file", "-"}, args, []string{path})...)
				path = header
			} else {
				cryptsetup(t, pass, join([]string{"reencrypt", "--init-only", "--key-file", "-"}, cheapPBKDF2, args, []string{path})...)
			}
			f, h := open(t, path)
			r, err := h.Reencryption()
			if err != nil {
				t.Fatal(err)
			}
			oldKey, newKey, err := OpenReencrypting(t.Context(), h, r, f, []byte(pass), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(oldKey.Bytes(), old) || name != "decrypt" && (newKey == nil || bytes.Equal(newKey.Bytes(), old)) {
				t.Errorf("old key %x, want %x; new key %v", oldKey.Bytes(), old, newKey)
			}
			table, err := ReencryptingTable(h, r, func(d *luksfmt.Digest) devmapper.KeyRef {
				if d == r.Old {
					return oldKey.KeyringRef(h)
				}
				return newKey.KeyringRef(h)
			}, MapOptions{Device: "7:0", DeviceSize: 24 << 20})
			if err != nil || devmapper.CheckTable(table) != nil {
				t.Errorf("table %v, %v", table, err)
			}
			if _, _, err := OpenReencrypting(t.Context(), h, r, f, []byte("wrong"), Options{}); !errors.Is(err, ErrWrongPassphrase) {
				t.Errorf("wrong passphrase: %v", err)
			}
			// Somebody who can write to the disk makes it something else.
			h.Reencrypt.Direction = "backward"
			if _, _, err := OpenReencrypting(t.Context(), h, r, f, []byte(pass), Options{}); !errors.Is(err, luksfmt.ErrRefused) && name != "decrypt" {
				t.Errorf("changed metadata: %v", err)
			}
		})
	}
}

func TestTokensAndFlagsAreKept(t *testing.T) {
	path, _ := format(t, join([]string{"--type", "luks2"}, smallHeader, cheapPBKDF2)...)
	cryptsetup(t, `{"type":"someone-token","keyslots":["0"],"blob":"AAAA"}`, "token", "import", path)
	_, h := open(t, path)
	if len(h.Tokens) != 1 || h.Tokens[0].Type != "someone-token" || len(h.Tokens[0].Keyslots) != 1 {
		t.Fatalf("tokens %+v", h.Tokens)
	}
	if v, ok := h.Tokens[0].JSON.Get("blob").Str(); !ok || v != "AAAA" {
		t.Errorf("token's own member: %q", v)
	}
}
