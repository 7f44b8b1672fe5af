package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SiteManagers is the [Authorizer] for applications whose sites have managers. It
// knows four kinds of principals:
//
//   - Operators may do everything. They alone may make subscriptions at "/", which
//     hear every tenant, and subscriptions without an owner.
//   - A manager of a site may do everything with the subscriptions of owners there
//     and below, and make such for any owner.
//   - The owner of a subscription may do everything with it, wherever it is, but
//     not make it hear or be another: see MayCreate.
//   - Others may do nothing.
//
// Each function may do I/O and may be nil, which is "nobody". An error of one
// means that the answer is not known now. The zero value lets owners do what
// owners may, and allows nothing else. It must not be changed while it is in use.
type SiteManagers struct {
	// Ancestors returns the sites from the one that site names up to "/", nearest
	// first and by their present paths, as the method Ancestors of
	// subscription.Store does. Default: by the path itself, for sites that do not move.
	Ancestors func(ctx context.Context, site Path) ([]Path, error)

	// IsManager says whether a principal manages one of the sites itself.
	IsManager func(ctx context.Context, principal string, sites []Path) (bool, error)

	// IsOperator says whether a principal is one of the operators.
	IsOperator func(ctx context.Context, principal string) (bool, error)

	// MayCreate says whether a principal that manages nothing there may make this
	// subscription for itself, as Action says, or change one of its own to it. It
	// is not asked about "/".
	MayCreate func(ctx context.Context, a Action) (bool, error)
}

var _ BatchAuthorizer = (*SiteManagers)(nil)

// Authorize implements [Authorizer].
func (m *SiteManagers) Authorize(ctx context.Context, a Action) error {
	return m.AuthorizeMany(ctx, []Action{a})[0]
}

// AuthorizeMany implements [BatchAuthorizer]. It asks each of its functions once
// for actions that need the same answer.
func (m *SiteManagers) AuthorizeMany(ctx context.Context, as []Action) []error {
	q := &managersQuestion{
		SiteManagers: m,
		operators:    map[string]answer[bool]{},
		chains:       map[Path]answer[[]Path]{},
		managers:     map[managed]answer[bool]{},
	}
	answers := make([]error, len(as))
	for i, a := range as {
		answers[i] = q.authorize(ctx, a)
	}
	return answers
}

// managersQuestion remembers what was answered.
type managersQuestion struct {
	*SiteManagers

	operators map[string]answer[bool]
	chains    map[Path]answer[[]Path]
	managers  map[managed]answer[bool]
}

// managed is what somebody may be a manager of.
type managed struct {
	principal string
	site      Path
}

type answer[T any] struct {
	value T
	err   error
}

func (q *managersQuestion) authorize(ctx context.Context, a Action) error {
	if a.Principal == "" || !slices.Contains(Verbs(), a.Verb) {
		return fmt.Errorf("%w: to %q is not for %q", ErrDenied, a.Verb, a.Principal)
	}
	allowed, err := q.allows(ctx, a)
	if err == nil && !allowed {
		err = fmt.Errorf("%w: %q may not %s this at %q", ErrDenied, a.Principal, a.Verb, a.Site)
	}
	return err
}

func (q *managersQuestion) allows(ctx context.Context, a Action) (bool, error) {
	owns := !a.Operator && a.Owner == a.Principal
	if owns && a.Verb != VerbCreate {
		return true, nil
	}
	if operator, err := q.isOperator(ctx, a.Principal); operator || err != nil || a.Operator {
		return operator, err
	}
	chain, err := q.chain(ctx, a.Site)
	if err != nil || a.Verb == VerbCreate && chain[0] == root {
		return false, err
	}
	if manages, err := q.manages(ctx, a.Principal, chain); manages || err != nil || !owns || q.MayCreate == nil {
		return manages, err
	}
	return q.MayCreate(ctx, a)
}

func (q *managersQuestion) isOperator(ctx context.Context, principal string) (bool, error) {
	if q.IsOperator == nil {
		return false, nil
	}
	return once(q.operators, principal, func() (bool, error) { return q.IsOperator(ctx, principal) })
}

// chain is never empty and ends with "/": an answer that could widen what a
// manager manages is none.
func (q *managersQuestion) chain(ctx context.Context, site Path) ([]Path, error) {
	return once(q.chains, site, func() ([]Path, error) {
		if q.Ancestors == nil {
			return ancestors(site)
		}
		chain, err := q.Ancestors(ctx, site)
		if err == nil && (len(chain) == 0 || chain[len(chain)-1] != root) {
			err = errors.New(`access: SiteManagers.Ancestors: an answer must end with "/"`)
		}
		return chain, err
	})
}

func (q *managersQuestion) manages(ctx context.Context, principal string, chain []Path) (bool, error) {
	if q.IsManager == nil {
		return false, nil
	}
	return once(q.managers, managed{principal, chain[0]}, func() (bool, error) {
		return q.IsManager(ctx, principal, slices.Clone(chain))
	})
}

func once[K comparable, V any](known map[K]answer[V], key K, ask func() (V, error)) (V, error) {
	a, ok := known[key]
	if !ok {
		a.value, a.err = ask()
		known[key] = a
	}
	return a.value, a.err
}

func ancestors(site Path) ([]Path, error) {
	if !strings.HasPrefix(string(site), "/") || site != root && strings.HasSuffix(string(site), "/") {
		return nil, fmt.Errorf("access: %q is not a site's path", site)
	}
	return site.Ancestors(), nil
}
