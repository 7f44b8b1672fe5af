package sitetree

import (
	"errors"
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/access"
)

const (
	// MaxPathBytes is how long a path may be.
	MaxPathBytes = 512

	// MaxPathSegments is how many segments a path may have.
	MaxPathSegments = 32

	maxSegmentBytes = 64

	root access.Path = "/"
)

// OrRoot is p, or "/" if p is "".
func OrRoot(p access.Path) access.Path {
	if p == "" {
		return root
	}
	return p
}

// FirstSegment is the site of the first segment of a path: "/a" of "/a/b". It is "" of "/".
func FirstSegment(p string) string {
	if len(p) < len("/a") {
		return ""
	}
	if end := strings.IndexByte(p[1:], '/'); end >= 0 {
		return p[:end+1]
	}
	return p
}

// NearestValid is the path, or the nearest path above it that can be that of a site.
func NearestValid(p access.Path) access.Path {
	for _, a := range p.Ancestors() {
		if CheckPath(string(a)) == nil {
			return a
		}
	}
	return root
}

// CheckPath says why s cannot be the path of a site, as hierarchy.ParsePath does.
func CheckPath(s string) error {
	switch {
	case s == "":
		return errors.New(`is empty; the root is "/"`)
	case s == string(root):
		return nil
	case s[0] != '/':
		return errors.New(`must begin with "/"`)
	case s[len(s)-1] == '/':
		return errors.New(`must not end with "/"`)
	case len(s) > MaxPathBytes:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), MaxPathBytes)
	}
	segments := strings.Split(s[1:], "/")
	if len(segments) > MaxPathSegments {
		return fmt.Errorf("has %d segments; at most %d are allowed", len(segments), MaxPathSegments)
	}
	for i, segment := range segments {
		if err := CheckSegment(segment); err != nil {
			return fmt.Errorf("segment %d: %w", i+1, err)
		}
	}
	return nil
}

// CheckSegment says why s cannot be a segment of a path.
func CheckSegment(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case s == "." || s == "..":
		return fmt.Errorf("%q is not a name", s)
	}
	for _, r := range s {
		if !isPathRune(r) {
			return fmt.Errorf(`holds %q; only letters and digits of ASCII and "._~@:+-" are allowed`, r)
		}
	}
	if len(s) > maxSegmentBytes {
		return fmt.Errorf("has %d characters; at most %d are allowed", len(s), maxSegmentBytes)
	}
	return nil
}

func isPathRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r < 0x80 && strings.ContainsRune("._~@:+-", r)
}
