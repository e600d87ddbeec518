package handler

// TopicFetched is notified when the image of Fetch is there.
const TopicFetched = "image fetched"

// Fetch is an image that a server has, and that becomes a file in memory. Who
// makes a root of the image says what is wanted, and handler/fetch gets it.
type Fetch struct {
	// URL is where it is, with user and password; By is what asks for it, without
	// them.
	URL, By string
	// Into is the file that it becomes.
	Into string
	// Sum is the SHA-256 that it must have, in hexadecimal, "" where the command
	// line says none.
	Sum string
	// Unverified and NoVerifyTLS are what the command line allows; Proxy is
	// the URL of an HTTP proxy.
	Unverified, NoVerifyTLS bool
	Proxy                   string
	// Reserve is how much memory must be left, in bytes.
	Reserve uint64
	// OnDemand: it does not become a file, but a disk that is read as it is needed.
	OnDemand bool
	// Done: it is there, and verified as far as that is asked for.
	Done bool
}
