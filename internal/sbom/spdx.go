// Package sbom writes what an image is made of as an SPDX 2.3 document in JSON
// (https://spdx.github.io/spdx-spec/v2.3/).
//
// Pure: the same input gives the same bytes.
package sbom

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"firstlight/internal/pkgdb"
)

// Image is what is described.
type Image struct {
	Name    string // of the file
	Kernel  string
	Sum     [32]byte // SHA-256 of the file
	Builder string   // version of Firstlight
	Created time.Time
	Files   []File
	Hidden  int // files that are left out since they are secrets
}

// File is a regular file of the image.
type File struct {
	Path    string
	SHA1    [20]byte
	SHA256  [32]byte
	Source  string         // where it comes from
	Why     string         // why it is in the image
	Package *pkgdb.Package // that it belongs to, or nil
	Kind    string         // "BINARY", "TEXT", "SOURCE", "OTHER": the types of SPDX
}

const none = "NOASSERTION"

type (
	document struct {
		Version       string         `json:"spdxVersion"`
		License       string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      creation       `json:"creationInfo"`
		Comment       string         `json:"comment,omitempty"`
		Packages      []spdxPackage  `json:"packages"`
		Files         []spdxFile     `json:"files"`
		Relationships []relationship `json:"relationships"`
	}
	creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	external struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxPackage struct {
		ID               string            `json:"SPDXID"`
		Name             string            `json:"name"`
		Version          string            `json:"versionInfo,omitempty"`
		File             string            `json:"packageFileName,omitempty"`
		Supplier         string            `json:"supplier,omitempty"`
		Download         string            `json:"downloadLocation"`
		Analyzed         bool              `json:"filesAnalyzed"`
		Verification     *verificationCode `json:"packageVerificationCode,omitempty"`
		Checksums        []checksum        `json:"checksums,omitempty"`
		LicenseConcluded string            `json:"licenseConcluded"`
		LicenseDeclared  string            `json:"licenseDeclared"`
		LicenseComments  string            `json:"licenseComments,omitempty"`
		Copyright        string            `json:"copyrightText"`
		External         []external        `json:"externalRefs,omitempty"`
		Purpose          string            `json:"primaryPackagePurpose,omitempty"`
	}
	verificationCode struct {
		Value string `json:"packageVerificationCodeValue"`
	}
	spdxFile struct {
		ID               string     `json:"SPDXID"`
		Name             string     `json:"fileName"`
		Types            []string   `json:"fileTypes,omitempty"`
		Checksums        []checksum `json:"checksums"`
		LicenseConcluded string     `json:"licenseConcluded"`
		LicenseInfo      []string   `json:"licenseInfoInFiles"`
		Copyright        string     `json:"copyrightText"`
		Comment          string     `json:"comment,omitempty"`
	}
	relationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const (
	documentID = "SPDXRef-DOCUMENT"
	imageID    = "SPDXRef-Image"
)

// SPDX writes the document.
func SPDX(im Image) ([]byte, error) {
	sum := hex.EncodeToString(im.Sum[:])
	d := document{Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: "initramfs image " + im.Name + " for Linux " + im.Kernel,
		// Nothing has to be there; it is to be this document's alone.
		Namespace: "https://spdx.org/spdxdocs/firstlight-" + uuid(im.Sum),
		Creation:  creation{im.Created.UTC().Format("2006-01-02T15:04:05Z"), []string{"Tool: firstlight-" + im.Builder}}}
	if im.Hidden > 0 {
		d.Comment = fmt.Sprintf("%d files of the image are left out since they are secrets.", im.Hidden)
	}
	files := slices.Clone(im.Files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	d.Packages = []spdxPackage{{ID: imageID, Name: im.Name, Version: im.Kernel, File: im.Name, Download: none, Analyzed: true,
		Verification: &verificationCode{verification(files)}, Checksums: []checksum{{"SHA256", sum}},
		LicenseConcluded: none, LicenseDeclared: none, Copyright: none, Purpose: "ARCHIVE"}}
	link := func(from, how, to string) { d.Relationships = append(d.Relationships, relationship{from, how, to}) }
	link(documentID, "DESCRIBES", imageID)
	ids := map[pkgdb.Package]string{}
	for i, f := range files {
		id := fmt.Sprintf("SPDXRef-File-%d", i+1)
		d.Files = append(d.Files, spdxFile{ID: id, Name: "./" + f.Path, Types: []string{f.Kind},
			Checksums:        []checksum{{"SHA1", hex.EncodeToString(f.SHA1[:])}, {"SHA256", hex.EncodeToString(f.SHA256[:])}},
			LicenseConcluded: none, LicenseInfo: []string{none}, Copyright: none, Comment: comment(f)})
		link(imageID, "CONTAINS", id)
		if f.Package == nil {
			continue
		}
		pid, ok := ids[*f.Package]
		if !ok {
			pid = fmt.Sprintf("SPDXRef-Package-%d-%s", len(ids)+1, idString(f.Package.Name))
			ids[*f.Package] = pid
			d.Packages = append(d.Packages, spdxPackageOf(pid, f.Package))
			link(imageID, "GENERATED_FROM", pid)
		}
		link(id, "GENERATED_FROM", pid)
	}
	if d.Files == nil {
		d.Files = []spdxFile{}
	}
	b, err := json.MarshalIndent(d, "", " ")
	return append(b, '\n'), err
}

func comment(f File) string {
	var parts []string
	if f.Source != "" {
		parts = append(parts, "from "+f.Source)
	}
	if f.Why != "" {
		parts = append(parts, "because: "+f.Why)
	}
	return strings.Join(parts, "; ")
}

func spdxPackageOf(id string, p *pkgdb.Package) spdxPackage {
	out := spdxPackage{ID: id, Name: p.Name, Version: p.Version, Download: none, LicenseConcluded: none, LicenseDeclared: none, Copyright: none,
		External: []external{{"PACKAGE-MANAGER", "purl", purl(p)}}}
	if p.License != "" { // in the package's own words, which need not be SPDX's
		out.LicenseComments = "the package says: " + p.License
	}
	if p.From != "" {
		out.Supplier = supplier(p.From)
	}
	return out
}

// supplier is "NAME <MAIL>" in SPDX's form.
func supplier(s string) string {
	name, mail, ok := strings.Cut(s, "<")
	if mail, ok2 := strings.CutSuffix(mail, ">"); ok && ok2 {
		return "Organization: " + strings.TrimSpace(name) + " (" + mail + ")"
	}
	return "Organization: " + s
}

// purl is a package URL (https://github.com/package-url/purl-spec).
func purl(p *pkgdb.Package) string {
	vendor := p.Vendor
	if vendor != "" {
		vendor = url.PathEscape(vendor) + "/"
	}
	return "pkg:" + p.Manager + "/" + vendor + url.PathEscape(p.Name) + "@" + strings.ReplaceAll(url.PathEscape(p.Version), "+", "%2B") + "?arch=" + url.QueryEscape(p.Arch)
}

// verification is the package verification code: the SHA-1 of the files' SHA-1
// sums in order (clause 7.9).
func verification(files []File) string {
	var sums []string
	for _, f := range files {
		sums = append(sums, hex.EncodeToString(f.SHA1[:]))
	}
	slices.Sort(sums)
	h := sha1.Sum([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(h[:])
}

// uuid makes a UUID of a sum, of version 8 (RFC 9562): custom.
func uuid(sum [32]byte) string {
	b := sum[:16]
	b = slices.Clone(b)
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// idString keeps the letters that an identifier may have.
func idString(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
}
