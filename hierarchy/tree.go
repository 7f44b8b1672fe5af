package hierarchy

import (
	"context"

	"github.com/riverhook/riverhook/internal/sitetree"
)

// Paths is the tree that the paths themselves form: the ancestors of "/a/b" are
// "/a/b", "/a" and "/". It is the default, needs no table and does no I/O.
var Paths Tree = sitetree.Paths{}

// Tree says which sites are above a site. Applications may implement it over
// their own tables; it must be safe for concurrent use and may do I/O, for it is
// called while no connection of Riverhook is held. Its one method will not
// change; what else a tree can do is asked for by optional interfaces such as
// [BatchTree].
type Tree interface {
	// Ancestors returns the sites from the one that p names up to "/", nearest
	// first. The first is that site as it is called now, which differs from p
	// when p is a former path; the last is always "/". A path that is not known
	// is not an error: the nearest ancestor that is known is the first then.
	// An error means that it cannot be said now, and makes the caller try later.
	Ancestors(ctx context.Context, p Path) ([]Path, error)
}

// BatchTree is a [Tree] that answers for many paths at once. An engine asks it about the
// paths of events whose sites have the same first segment together: while it hangs for a tenant, the
// events of others go on.
type BatchTree interface {
	Tree

	// AncestorsMany returns what Ancestors returns for each of paths, in their order.
	AncestorsMany(ctx context.Context, paths []Path) ([][]Path, error)
}

// VersionedTree is a [Tree] that can say whether it has changed. The resolver asks
// for the version before it asks for ancestors and after it has found the
// subscriptions there, and looks again if it is another one; the engine asks once more
// before it commits what came of it.
//
// Without a version nobody can tell that a site has moved meanwhile: subscriptions
// whose site changed between the answer of Ancestors and the commit of the expansion
// can then miss the event, and so can gates a question. That is a matter of
// milliseconds, or of as long as checkers and externalizers take.
type VersionedTree interface {
	Tree

	// Version returns another text after each change of the tree that is committed,
	// and the same as long as there is none. A change of sites must be visible to it no
	// later than to Ancestors and no earlier than the subscriptions have moved along: a
	// number that the same transaction changes is one. It must not wait for
	// transactions of the application.
	Version(ctx context.Context) (string, error)
}
