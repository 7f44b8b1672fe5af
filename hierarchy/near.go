package hierarchy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// Creator creates subscriptions: a [*Subscriptions], or a [*PrincipalSubscriptions]
// on behalf of its principal. It is not for others to implement.
type Creator interface {
	Create(ctx context.Context, spec SubscriptionSpec) (*Created, error)
	CreateTx(ctx context.Context, tx pgx.Tx, spec SubscriptionSpec) (*Created, error)
}

// SubscribeNear creates a subscription at the site closest to a resource: the
// one that the resource's path names as it is called now, or else the nearest
// above it that the tree knows. spec.Site must be empty.
//
// A resource without a site is refused, and so is a path that the tree knows
// nothing of but "/": a subscription there would hear everybody's events.
// Subscribe at "/" by Create, where that is meant.
func SubscribeNear(ctx context.Context, subs Creator, tree Tree, resource Path, spec SubscriptionSpec) (*Created, error) {
	if err := near(ctx, nil, &spec, resource, tree); err != nil {
		return nil, failed("subscribe near", err)
	}
	return subs.Create(ctx, spec)
}

// SubscribeNearTx is SubscribeNear in the caller's transaction. [Sites] are
// asked within it, other trees are not.
func SubscribeNearTx(
	ctx context.Context, tx pgx.Tx, subs Creator, tree Tree, resource Path, spec SubscriptionSpec,
) (*Created, error) {
	if err := near(ctx, tx, &spec, resource, tree); err != nil {
		return nil, failed("subscribe near", err)
	}
	return subs.CreateTx(ctx, tx, spec)
}

func near(ctx context.Context, db store.DBTX, spec *SubscriptionSpec, resource Path, tree Tree) error {
	invalid := func(reason string) error { return &InvalidSubscriptionError{Field: "Site", Reason: reason} }
	if spec.Site != "" {
		return invalid("must be empty: the tree says which it is")
	}
	if err := checkPath(string(resource)); err != nil {
		return invalid(fmt.Sprintf("the resource's path %s %v", quoted(string(resource)), err))
	}
	chain, err := ancestorsIn(ctx, db, tree, resource)
	if err != nil {
		return err
	}
	if chain[0] == Root && resource != Root {
		return invalid(fmt.Sprintf(`no site is known near %s but "/"`, quoted(string(resource))))
	}
	spec.Site = chain[0]
	return nil
}

// ancestorsIn asks a tree. [Sites] are asked in the caller's transaction, if db is
// one.
func ancestorsIn(ctx context.Context, db store.DBTX, tree Tree, p Path) ([]Path, error) {
	var chain []Path
	var err error
	sites, ours := tree.(*Sites)
	if tx, ok := db.(pgx.Tx); ok && ours {
		chain, err = sites.AncestorsTx(ctx, tx, p)
	} else {
		chain, err = tree.Ancestors(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if err := checkChain(chain); err != nil {
		return nil, fmt.Errorf("tree: %w: %w", errTree, err)
	}
	return chain, nil
}
