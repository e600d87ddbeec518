package crypttab

import "time"

// Type is the kind of encryption.
type Type uint8

// The kinds. Auto is for the header to say.
const (
	Auto Type = iota
	LUKS
	Plain
	TCRYPT // TrueCrypt and VeraCrypt
	BitLK  // BitLocker
	FVault2
)

// String is the option that asks for the kind, "auto" for none.
func (t Type) String() string {
	return [...]string{"auto", "luks", "plain", "tcrypt", "bitlk", "fvault2"}[t]
}

// Echo says what is seen of a passphrase that is typed.
type Echo uint8

// What is seen.
const (
	EchoMasked Echo = iota // asterisks
	EchoYes
	EchoNo // nothing
)

// Cache says how passphrases of other volumes are used.
type Cache uint8

// How they are used. CacheDefault: yes, except with PKCS#11.
const (
	CacheDefault Cache = iota
	CacheYes
	CacheNo
	CacheReadOnly // try those of others, keep none
)

// AnySlot is the KeySlot that is not given.
const AnySlot = -1

// Options is what the fourth field says.
type Options struct {
	// List are all options as they are written, unknown ones too.
	List []string
	// Unknown are those that nobody knows, as written.
	Unknown []string

	Type Type

	// How the data is encrypted; mostly for plain volumes.
	Cipher     string
	Hash       string
	KeySize    int    // size=, in bits
	SectorSize int    // sector-size=, in bytes
	Offset     uint64 // offset=, in 512-byte sectors
	Skip       uint64 // skip=, in 512-byte sectors

	// Where the key is.
	KeyFileOffset  uint64        // bytes
	KeyFileSize    uint64        // bytes; 0: to the end
	KeyFileTimeout time.Duration // for a key file on another device; 0: not given
	KeyFileErase   bool
	KeyScript      string // Debian
	Header         string // as written: "/path" or "/path:UUID=…"
	slot           int    // KeySlot+1, so that the zero value is AnySlot

	// How a person is asked.
	Tries            int // how often; 0: without end
	TriesSet         bool
	Timeout          time.Duration // for the answer; 0: without end
	Verify           bool          // ask twice
	Echo             Echo
	PasswordCache    Cache
	TryEmptyPassword bool
	Headless         bool // never ask

	// How it is mapped.
	Discard             bool
	ReadOnly            bool
	SameCPUCrypt        bool
	SubmitFromCryptCPUs bool
	NoReadWorkqueue     bool
	NoWriteWorkqueue    bool

	// What it is for and when it is opened.
	Swap          bool   // mkswap is run on it at every boot
	Tmp           string // file system made on it at every boot; "" for none
	NoAuto        bool
	NoFail        bool
	NetDev        bool          // _netdev
	InitrdAttach  bool          // x-initrd.attach
	Initramfs     bool          // Debian: belongs into the initramfs
	NoEarly       bool          // Debian
	DeviceTimeout time.Duration // x-systemd.device-timeout=; 0: not given
	Check         string        // Debian: script that checks the content; "1" for the default one
	CheckArgs     string
	Precheck      string
	Loud, Quiet   bool // Debian

	TCRYPT TCRYPTOptions

	// Tokens.
	PKCS11URI    string // "auto", or an URI
	TokenTimeout time.Duration
	TokenSet     bool // TokenTimeout was given
	TPM2         TPM2Options
	FIDO2        FIDO2Options

	LinkVolumeKey   string // keyring and description, as written
	FixateVolumeKey string
}

// KeySlot is the only keyslot to try, or AnySlot.
func (o *Options) KeySlot() int { return o.slot - 1 }

// TCRYPTOptions are for TrueCrypt and VeraCrypt volumes.
type TCRYPTOptions struct {
	Hidden    bool
	System    bool
	VeraCrypt bool
	PIM       uint32
	KeyFiles  []string
}

// TPM2Options are for keys sealed by a TPM.
type TPM2Options struct {
	Device       string // "auto" or a path; "" for none
	PCRs         uint32 // mask
	PCRsSet      bool
	PIN          bool
	Signature    string // path
	PCRLock      string // path
	MeasurePCR   int    // PCR to measure the volume key into; see Measure
	Measure      bool
	MeasureBanks []string
	MeasureNvPCR string
}

// FIDO2Options are for keys from a FIDO2 token.
type FIDO2Options struct {
	Device string // "auto" or a path; "" for none
	CID    []byte
	RP     string
	// PIN, UP and UV are what the token is told to ask for; nil where the
	// volume's own record says so.
	PIN, UP, UV *bool
}
