package hierarchy

import (
	"errors"
	"fmt"
	"strings"
)

// Root is the site that contains all others.
const Root Path = "/"

const (
	maxPathBytes    = 512
	maxPathSegments = 32
	maxSegmentBytes = 64
)

// Path names a site: "/", or segments that each begin with "/", such as
// "/noaa/nws/oun". A value that came from outside is checked by [ParsePath];
// the methods take any value and treat "" as [Root].
type Path string

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

// Ancestors are the paths from p itself up to "/", nearest first.
func (p Path) Ancestors() []Path {
	chain := make([]Path, 0, 1+strings.Count(string(p), "/"))
	for p != "" && p != Root {
		chain = append(chain, p)
		p = p.Parent()
	}
	return append(chain, Root)
}

// Contains says whether q is p or lies below p.
func (p Path) Contains(q Path) bool {
	if p == "" || p == Root || p == q {
		return true
	}
	return len(q) > len(p) && q[len(p)] == '/' && q[:len(p)] == p
}

// Parent is the path without its last segment. The parent of "/" is "/".
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i > 0 {
		return p[:i]
	}
	return Root
}

// String is the path as it was given.
func (p Path) String() string { return string(p) }

// child is the path of the child of p that is named by segment.
func (p Path) child(segment string) Path {
	if p == Root {
		return Path("/" + segment)
	}
	return p + Path("/"+segment)
}

// name is the last segment.
func (p Path) name() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// orRoot is p, or "/" where none was given.
func (p Path) orRoot() Path {
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
