package fetch

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fetch/fetchplan"
)

// Trust is what says that an image is the right one. With a sum, nothing else is
// asked for; otherwise a signature by one of the keys is.
type Trust struct {
	Sum  string // SHA-256 in hexadecimal, "" for none
	By   string // where the sum stands
	Keys []Key
	// GPG: the image has keys of OpenPGP, and gpgv.
	GPG bool
}

// The ends of the names of signatures, beside what they are of.
const (
	MinisignEnd = ".minisig"
	GPGEnd      = ".asc"
)

// SumsFile and Dir are where an image has sums, and all that says what may be
// fetched: keys (*.pub of minisign, *.gpg of OpenPGP), authorities (*.crt).
const (
	Dir      = "/etc/firstlight/fetch"
	SumsFile = Dir + "/sha256sums"
)

// maxSums bounds the lines of SumsFile.
const maxSums = 1024

// SumOf finds the sum of a URL in the lines of sha256sum(1): by the whole URL,
// or by the name of the file.
func SumOf(text string, u fetchplan.URL) (string, error) {
	found := ""
	lines := strings.Split(text, "\n")
	if len(lines) > maxSums {
		return "", errors.New(SumsFile + " has too many lines")
	}
	for i, line := range lines {
		f := strings.Fields(line)
		if len(f) != 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		name := strings.TrimPrefix(f[1], "*")
		if name != u.String() && (strings.Contains(name, "://") || name[strings.LastIndexByte(name, '/')+1:] != u.File()) {
			continue
		}
		sum := strings.ToLower(f[0])
		switch {
		case !ValidSum(sum):
			return "", errors.New("line " + strconv.Itoa(i+1) + " of " + SumsFile + " has no SHA-256 sum")
		case found != "" && found != sum:
			return "", errors.New(SumsFile + " has two sums of " + u.File())
		}
		found = sum
	}
	return found, nil
}

// ValidSum says whether a text is a SHA-256 in small hexadecimal digits.
func ValidSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}

// Choose says what an image will be verified by; sums is the text of SumsFile.
// An error refuses to fetch it at all.
func Choose(p fetchplan.Plan, u fetchplan.URL, sums string, keys []Key, gpg bool) (t Trust, err error) {
	t = Trust{Keys: keys, GPG: gpg}
	switch {
	case p.Sum != "" && !ValidSum(p.Sum):
		return t, &Refusal{"rd.firstlight.sha256= is not 64 hexadecimal digits", "correct the command line"}
	case p.Sum != "":
		t.Sum, t.By = p.Sum, "rd.firstlight.sha256="
	default:
		if t.Sum, err = SumOf(sums, u); err != nil {
			return t, &Refusal{err.Error(), "correct it, and rebuild the image"}
		}
		t.By = SumsFile
	}
	verified := t.Sum != "" || len(keys) > 0 || gpg
	switch {
	case !verified && !p.Unverified:
		return t, &Refusal{"nothing says that what " + u.Authority() + " has is the right image: there is neither a sum nor a key",
			"give its sum with rd.firstlight.sha256=, put a key into the image (" + Dir + "/NAME.pub), or take whatever comes with rd.firstlight.unverified"}
	case !verified && p.NoVerifyTLS && u.Scheme == "https":
		return t, &Refusal{"nothing at all would be verified: rd.noverifyssl takes any server for " + u.Host + ", and there is neither a sum nor a key",
			"give the image's sum with rd.firstlight.sha256=, or leave rd.noverifyssl out"}
	}
	return t, nil
}

// Verified compares what came with the sum that it must have.
func (t Trust) Verified(u fetchplan.URL, sum string) error {
	if t.Sum != "" && t.Sum != sum {
		return &Refusal{u.String() + " is not the image that " + t.By + " asks for: its sum is " + sum,
			"use the image that the sum is of, or correct the sum"}
	}
	return nil
}
