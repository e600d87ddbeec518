package fetch

import (
	"errors"
	"strconv"

	"firstlight/internal/fetch/fetchplan"
)

// File is which file of a server is read piece by piece: its size, and the name
// that the server has for this version of it.
type File struct {
	Size      int64  // bytes
	Validator string // an ETag, or a date
}

// AskPart is the question for n bytes of a file from offset on, over a connection
// that stays. The validator, where there is one, says which version is meant: of
// another one, all is sent, which says that it is another. whole and secret are as
// for Ask.
func AskPart(u fetchplan.URL, offset, n int64, validator string, whole bool, secret string) string {
	text := request(u, whole, secret) + "Range: bytes=" + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+n-1, 10) + "\r\n"
	if validator != "" {
		text += "If-Range: " + validator + "\r\n"
	}
	return text + "\r\n"
}

// Changed says that the server has another file now than the one that is read. It
// is final for what is asked for, and not for what will be.
type Changed struct{ Text string }

// Error implements error.
func (c *Changed) Error() string { return c.Text }

// Part takes in what a server says to AskPart. Where known is nil it is the first
// answer, which says which file it is. follow is the URL that the file is said to be
// at instead. An error is a Refusal, Changed, or one to be tried again.
func Part(h Head, u fetchplan.URL, known *File, offset, n int64) (f File, follow *fetchplan.URL, err error) {
	name := u.String()
	switch {
	case h.Code == 301 || h.Code == 302 || h.Code == 303 || h.Code == 307 || h.Code == 308:
		to, err := elsewhere(u, h.Location)
		return f, &to, err
	case h.Code == 401, h.Code == 407:
		return f, nil, &Refusal{answers(h, u), "write the name and the password into the URL: " + u.Scheme + "://USER:PASSWORD@" + u.Authority() + "/…"}
	case h.Code == 200 && known == nil:
		return f, nil, &Refusal{u.Authority() + " sends all of the file where a part is asked for, so that it cannot be read piece by piece",
			"let a server have it that knows ranges (RFC 9110, 14), or leave rd.firstlight.ondemand out"}
	case h.Code == 200, h.Code == 416 && known != nil:
		return f, nil, &Changed{name + " is another file now than the one that the root is read from"}
	case h.Code != 206:
		return f, nil, errors.New(answers(h, u))
	case h.Encoded:
		return f, nil, &Refusal{u.Authority() + " sends the file compressed on the way, which was not asked for", "let the server send it as it is"}
	case h.Total < 0 || h.Start != offset:
		return f, nil, errors.New(u.Authority() + " does not say which part of the file it sends")
	}
	f = File{Size: h.Total, Validator: validator(h)}
	switch {
	case known != nil && (f.Size != known.Size || f.Validator != "" && known.Validator != "" && f.Validator != known.Validator):
		return f, nil, &Changed{name + " is another file now than the one that the root is read from"}
	case known != nil:
		f = *known
	}
	if want := min(n, f.Size-offset); h.Length != want {
		return f, nil, errors.New(u.Authority() + " sends another part of the file than was asked for")
	}
	return f, nil, nil
}

// answers says what a server has answered.
func answers(h Head, u fetchplan.URL) string {
	text := u.Authority() + " answers " + strconv.Itoa(h.Code)
	if h.Reason != "" {
		text += " (" + h.Reason + ")"
	}
	return text + " for " + u.Path
}

// elsewhere is where a server says that a file is, if that can be followed.
func elsewhere(from fetchplan.URL, to string) (fetchplan.URL, error) {
	u, err := from.Resolve(to)
	switch {
	case err != nil:
		return u, &Refusal{from.Authority() + " says that the file is elsewhere, and not where", "correct the server, or name where the file is"}
	case u.Scheme != "http" && u.Scheme != "https":
		return u, &Refusal{from.Authority() + " says that the file is at " + u.String() + ", which is not HTTP", "name that with root= where it is meant"}
	case from.Scheme == "https" && u.Scheme == "http":
		return u, &Refusal{from.Authority() + " sends from https to " + u.String() + ", which anybody on the way could change", "let the server send to https, or name that URL with root="}
	}
	return u, nil
}
