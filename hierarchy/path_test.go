package hierarchy

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// The model is the expression that the SQL functions use, without the count of
// segments, which is too much for Go's regexp.
var (
	pathModel = regexp.MustCompile(`^(/|(/[A-Za-z0-9._~@:+-]{1,64})+)$`)
	dotModel  = regexp.MustCompile(`/\.\.?(/|$)`)
)

func isPathByModel(s string) bool {
	return pathModel.MatchString(s) && !dotModel.MatchString(s) && len(s) <= 512 && strings.Count(s, "/") <= 32
}

func TestParsePath_SaysWhatIsWrongWithATextThatIsNone(t *testing.T) {
	t.Parallel()
	segment := strings.Repeat("a", 64)
	longest := strings.Repeat("/"+segment, 7) + "/" + strings.Repeat("b", 56)
	require.Len(t, longest, 512)
	for _, good := range []string{
		"/", "/a", "/noaa/nws/oun", "/A-b_c.d~e@f:g+h", "/...", "/.a", "/a.", "/" + segment, longest, strings.Repeat("/a", 32),
	} {
		p, err := ParsePath(good)
		require.NoError(t, err, good)
		require.Equal(t, Path(good), p)
	}
	for bad, why := range map[string]string{
		"":                             "is empty",
		"a":                            `must begin with "/"`,
		"a/b":                          `must begin with "/"`,
		"//":                           `must not end with "/"`,
		"/a/":                          `must not end with "/"`,
		"//a":                          "segment 1: is empty",
		"/a//b":                        "segment 2: is empty",
		"/.":                           `segment 1: "." is not a name`,
		"/a/../b":                      `segment 2: ".." is not a name`,
		"/a b":                         "segment 1: holds ' '",
		"/a\n":                         `segment 1: holds '\n'`,
		"/é":                           "segment 1: holds 'é'",
		"/a%2Fb":                       "segment 1: holds '%'",
		"/a\x00":                       `segment 1: holds '\x00'`,
		"/\xff":                        "segment 1: holds",
		"/" + segment + "a":            "segment 1: has 65 characters; at most 64",
		longest + "b":                  "has 513 bytes; at most 512",
		strings.Repeat("/a", 33):       "has 33 segments; at most 32",
		"/" + strings.Repeat("é", 200): `"...: segment 1`,
	} {
		_, err := ParsePath(bad)
		require.ErrorIs(t, err, ErrInvalidPath, bad)
		require.ErrorContains(t, err, why, bad)
	}
}

func TestPath_AncestorsLeadToTheRoot(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Path{"/a/b/c", "/a/b", "/a", "/"}, Path("/a/b/c").Ancestors())
	require.Equal(t, []Path{"/"}, Root.Ancestors())
	require.Equal(t, []Path{"/"}, Path("").Ancestors())
	require.Equal(t, Path("/a"), Path("/a/b").Parent())
	require.Equal(t, Root, Path("/a").Parent())
	require.Equal(t, Root, Root.Parent())
	require.Equal(t, Root, Path("").Parent())
}

func TestPath_ContainsItselfAndWhatIsBelowIt(t *testing.T) {
	t.Parallel()
	for _, in := range [][2]Path{{"/", "/"}, {"/", "/a"}, {"", "/a"}, {"/a", "/a"}, {"/a", "/a/b"}, {"/a", "/a/b/c"}} {
		require.True(t, in[0].Contains(in[1]), in)
	}
	for _, out := range [][2]Path{{"/a", "/"}, {"/a/b", "/a"}, {"/a", "/ab"}, {"/a", "/b"}, {"/a/b", "/a/c"}} {
		require.False(t, out[0].Contains(out[1]), out)
	}
}

func genPath() *rapid.Generator[Path] {
	segment := rapid.StringMatching(`[A-Za-z0-9_~@:+-][A-Za-z0-9._~@:+-]{0,6}`)
	return rapid.Custom(func(t *rapid.T) Path {
		p := Root
		for _, s := range rapid.SliceOfN(segment, 0, 6).Draw(t, "segments") {
			p = child(p, s)
		}
		return p
	})
}

func TestPath_MethodsAgreeWithOneAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, q := genPath().Draw(t, "p"), genPath().Draw(t, "q")
		parsed, err := ParsePath(string(p))
		require.NoError(t, err)
		require.Equal(t, p, parsed)
		chain := p.Ancestors()
		require.Equal(t, p, chain[0])
		require.Equal(t, Root, chain[len(chain)-1])
		for i, a := range chain {
			require.True(t, a.Contains(p))
			if i > 0 {
				require.Equal(t, a, chain[i-1].Parent())
			}
		}
		isAncestor := false
		for _, a := range q.Ancestors() {
			isAncestor = isAncestor || a == p
		}
		require.Equal(t, isAncestor, p.Contains(q))
	})
}

// genNearPath draws texts that are paths or just miss being one.
func genNearPath() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"/", "/", "/", "a", "B", "0", ".", "..", "~", "@", ":", "+", "-", "_", " ", "\n", "%", "é", "\\", "*", "a.b",
		strings.Repeat("x", 63), strings.Repeat("/y", 15), strings.Repeat("/zzzzzzzzzzzzzzz", 8),
	})
	return rapid.Map(rapid.SliceOfN(piece, 0, 12), func(s []string) string { return strings.Join(s, "") })
}

func TestParsePath_AgreesWithItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := genNearPath().Draw(t, "s")
		_, err := ParsePath(s)
		require.Equal(t, isPathByModel(s), err == nil, s)
	})
}

func TestParsePath_AgreesWithTheSQLFunction(t *testing.T) {
	t.Parallel()
	var paths []string
	gen := genNearPath()
	for i := range 2000 {
		if s := gen.Example(i); s != "" { // no site is the root there
			paths = append(paths, s)
		}
	}
	refused := pgtest.RefusedIntents(t, "site", paths)
	accepted := 0
	for i, s := range paths {
		_, err := ParsePath(s)
		require.Equal(t, refused[i], err != nil, s)
		if err == nil {
			accepted++
		}
	}
	require.Greater(t, accepted, 50)
}

func FuzzParsePath_AgreesWithItsModel(f *testing.F) {
	for _, seed := range []string{"", "/", "/a/b", "/a//b", "/a/", "/..", "/é", "/a\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		require.Equal(t, isPathByModel(s), err == nil)
		if err != nil {
			require.Empty(t, p)
			require.True(t, utf8.ValidString(err.Error()))
			require.Less(t, len(err.Error()), 600)
			return
		}
		require.Equal(t, s, string(p))
		require.True(t, p.Parent().Contains(p))
	})
}
