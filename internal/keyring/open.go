package keyring

// WithOpen is With for what is no secret: the key has the type "user", which is
// what the kernel asks for where dm-verity is to check the signature of a root
// hash (root_hash_sig_key_desc).
func WithOpen(description string, key []byte, f func() error) error {
	return with("user", description, key, f)
}
