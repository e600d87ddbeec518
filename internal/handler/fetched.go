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
	// Plan is package fetchplan's, as text: how it is to be verified, and where it is
	// kept. "" is that it cannot be as it is asked for, which was said.
	Plan string
	// Reserve is how much memory must be left, in bytes.
	Reserve uint64
	// OnDemand: it does not become a file, but a disk that is read as it is needed.
	OnDemand bool
	// Done: it is there, and verified as far as that is asked for.
	Done bool
}
