package hierarchy

import (
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/text"
)

// Root is the site that contains all others.
const Root Path = "/"

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
	if err := sitetree.CheckPath(s); err != nil {
		return "", fmt.Errorf("%w %s: %w", ErrInvalidPath, text.Quote(s), err)
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
