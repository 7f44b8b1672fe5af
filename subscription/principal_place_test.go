package subscription

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// A manager of a tenant is asked about its path, and before the subscription is there
// another tenant has the path: the question is put again, and what is not allowed there
// is not done.
func TestPrincipal_ASiteThatIsMadeAnewAfterTheQuestion(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(ctx context.Context, p *Handle, tx pgx.Tx, there *Created) error{
		"a creation": func(ctx context.Context, p *Handle, _ pgx.Tx, _ *Created) error {
			_, err := p.Create(ctx, specAt("/acme"))
			return err
		},
		"a creation in a transaction": func(ctx context.Context, p *Handle, tx pgx.Tx, _ *Created) error {
			_, err := p.In(tx).Create(ctx, specAt("/acme"))
			return err
		},
		"another site": func(ctx context.Context, p *Handle, _ pgx.Tx, there *Created) error {
			_, err := p.Update(ctx, there.ID, Update{Site: new(hierarchy.Path("/acme"))})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			sites := newSites(t, pool, "/acme", "/home")
			subs := newSubscriptions(t, pool).byTree(sites)
			there := subscribeAt(t, subs, "/home")
			asked := 0
			auth := access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
				if a.Verb != access.VerbCreate {
					return nil
				}
				asked++
				if asked > 1 {
					return access.ErrDenied // nobody of the first tenant manages the second
				}
				_, err := sites.Rename(ctx, "/acme", "acme-group")
				require.NoError(t, err)
				_, err = sites.Create(ctx, "/acme")
				require.NoError(t, err)
				return nil
			})
			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			require.ErrorIs(t, act(t.Context(), subs.As("max", auth), tx, there), access.ErrDenied)
			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, 2, asked)
			at, err := subs.List(t.Context(), &ListOpts{Site: "/acme"})
			require.NoError(t, err)
			require.Empty(t, at.Subscriptions)
		})
	}
}
