package hierarchy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/access"
)

// Root is the site that contains all others.
const Root Path = "/"

const (
	maxPathBytes    = 512
	maxPathSegments = 32
	maxSegmentBytes = 64
)

// Path names a site: "/", or segments that each begin with "/", such as
// "/noaa/nws/oun". A value that came from outside is checked by [ParsePath]; its
// methods, and the functions here, take any value and treat "" as [Root].
type Path = access.Path

// ParsePath returns s as a Path, or an [ErrInvalidPath] that says what is refused and why.
//
// A path is "/" or has 1 to 32 segments of 1 to 64 characters, each a letter or
// digit of ASCII or one of "._~@:+-", and is at most 512 bytes long. A trailing
// "/", an empty segment, "." and ".." are refused: one site has one spelling.
// Nothing is folded or unescaped, so "/NOAA" and "/noaa" are two sites. The SQL
// functions that enqueue intents accept exactly the same paths.
func ParsePath(s string) (Path, error) {
	if err := checkPath(s); err != nil {
		return "", fmt.Errorf("%w %s: %w", ErrInvalidPath, quoted(s), err)
	}
	return Path(s), nil
}

// child is the path of the child of p that is named by segment.
func child(p Path, segment string) Path {
	if p == Root {
		return Path("/" + segment)
	}
	return p + Path("/"+segment)
}

// lastSegment is the name of a site.
func lastSegment(p Path) string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// orRoot is p, or "/" where none was given.
func orRoot(p Path) Path {
	if p == "" {
		return Root
	}
	return p
}

func checkPath(s string) error {
	switch {
	case s == "":
		return errors.New(`is empty; the root is "/"`)
	case s == string(Root):
		return nil
	case s[0] != '/':
		return errors.New(`must begin with "/"`)
	case s[len(s)-1] == '/':
		return errors.New(`must not end with "/"`)
	case len(s) > maxPathBytes:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), maxPathBytes)
	}
	segments := strings.Split(s[1:], "/")
	if len(segments) > maxPathSegments {
		return fmt.Errorf("has %d segments; at most %d are allowed", len(segments), maxPathSegments)
	}
	for i, segment := range segments {
		if err := checkSegment(segment); err != nil {
			return fmt.Errorf("segment %d: %w", i+1, err)
		}
	}
	return nil
}

func checkSegment(s string) error {
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

// quoted shows foreign input in an error, never more than fits a line.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
