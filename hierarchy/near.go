package hierarchy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SubscribeNear creates a subscription at the site closest to a resource: the
// one that the resource's path names as it is called now, or else the nearest
// above it that the tree knows. spec.Site must be empty.
//
// A resource without a site is refused, and so is a path that the tree knows
// nothing of but "/": a subscription there would hear everybody's events.
// Subscribe at "/" by Create, where that is meant.
func SubscribeNear(ctx context.Context, subs *Subscriptions, tree Tree, resource Path, spec SubscriptionSpec) (*Created, error) {
	if err := near(&spec, resource, func() ([]Path, error) { return tree.Ancestors(ctx, resource) }); err != nil {
		return nil, failed("subscribe near", err)
	}
	return subs.Create(ctx, spec)
}

// SubscribeNearTx is SubscribeNear in the caller's transaction. [Sites] are
// asked within it, other trees are not.
func SubscribeNearTx(
	ctx context.Context, tx pgx.Tx, subs *Subscriptions, tree Tree, resource Path, spec SubscriptionSpec,
) (*Created, error) {
	err := near(&spec, resource, func() ([]Path, error) {
		if sites, ok := tree.(*Sites); ok {
			return sites.AncestorsTx(ctx, tx, resource)
		}
		return tree.Ancestors(ctx, resource)
	})
	if err != nil {
		return nil, failed("subscribe near", err)
	}
	return subs.CreateTx(ctx, tx, spec)
}

func near(spec *SubscriptionSpec, resource Path, ancestors func() ([]Path, error)) error {
	invalid := func(reason string) error { return &InvalidSubscriptionError{Field: "Site", Reason: reason} }
	if spec.Site != "" {
		return invalid("must be empty: the tree says which it is")
	}
	if err := checkPath(string(resource)); err != nil {
		return invalid(fmt.Sprintf("the resource's path %s %v", quoted(string(resource)), err))
	}
	chain, err := ancestors()
	if err != nil {
		return err
	}
	if err := checkChain(chain); err != nil {
		return fmt.Errorf("tree: %w: %w", errTree, err)
	}
	if chain[0] == Root && resource != Root {
		return invalid(fmt.Sprintf(`no site is known near %s but "/"`, quoted(string(resource))))
	}
	spec.Site = chain[0]
	return nil
}
