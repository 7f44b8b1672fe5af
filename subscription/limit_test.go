package subscription

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func limited(t *testing.T, pool *pgxpool.Pool, perOwner, perSite int) *Store {
	t.Helper()
	subs, err := NewStore(pool, &Config{
		CheckURL:    checkHTTPS,
		MaxPerOwner: perOwner,
		MaxPerSite:  perSite,
		Sealer:      testSealer(t),
	})
	require.NoError(t, err)
	return subs
}

func ownedBy(owner string, site hierarchy.Path) Spec {
	spec := specAt(site)
	spec.Owner = owner
	spec.Operator = owner == ""
	return spec
}

func TestLimit_AnOwnerHasNoMoreSubscriptions(t *testing.T) {
	t.Parallel()
	subs := limited(t, pgtest.Pool(t), 2, -1)
	first, err := subs.Create(t.Context(), ownedBy("ada", "/a"))
	require.NoError(t, err)
	second, err := subs.Create(t.Context(), ownedBy("ada", "/b"))
	require.NoError(t, err)
	_, err = subs.Deactivate(t.Context(), second.ID, "not heard of any more")
	require.NoError(t, err)

	_, err = subs.Create(t.Context(), ownedBy("ada", "/c"))
	require.ErrorIs(t, err, ErrLimit)
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, LimitError{
		Limit: "MaxPerOwner",
		Max:   2,
		Of:    "ada",
	}, *limit)
	require.EqualError(t, err,
		`subscription: create subscription: owner "ada" has as many subscriptions as Config.MaxPerOwner allows, which is 2`)

	for range 3 {
		_, err = subs.Create(t.Context(), ownedBy("", "/a"))
		require.NoError(t, err, "the operator's are not counted")
	}
	_, err = subs.Create(t.Context(), ownedBy("bob", "/a"))
	require.NoError(t, err)
	require.NoError(t, subs.Delete(t.Context(), first.ID))
	_, err = subs.Create(t.Context(), ownedBy("ada", "/c"))
	require.NoError(t, err, "deleted ones are not counted")
}

func TestLimit_ASiteHasNoMoreSubscriptions(t *testing.T) {
	t.Parallel()
	subs := limited(t, pgtest.Pool(t), -1, 2)
	for _, owner := range []string{"ada", ""} {
		_, err := subs.Create(t.Context(), ownedBy(owner, "/a"))
		require.NoError(t, err)
	}
	below, err := subs.Create(t.Context(), ownedBy("ada", "/a/b"))
	require.NoError(t, err, "what is below is not counted")
	for _, create := range []func() error{
		func() error {
			_, err := subs.Create(t.Context(), ownedBy("bob", "/a"))
			return err
		},
		func() error {
			_, err := subs.Create(t.Context(), ownedBy("", "/a"))
			return err
		},
		func() error {
			_, err := subs.Update(t.Context(), below.ID, Update{Site: new(hierarchy.Path("/a"))})
			return err
		},
	} {
		var limit *LimitError
		require.ErrorAs(t, create(), &limit)
		require.Equal(t, LimitError{
			Limit: "MaxPerSite",
			Max:   2,
			Of:    "/a",
		}, *limit)
		require.ErrorContains(t, create(), `site "/a" has as many`)
	}
	_, err = subs.Update(t.Context(), below.ID, Update{Site: new(hierarchy.Path("/a/b")), Name: new("stays where it is")})
	require.NoError(t, err)
}

func TestLimit_HoldsWhenManyCreateAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.PoolSize(t, 10)
	subs := limited(t, pool, 5, 8)
	var (
		creators sync.WaitGroup
		mu       sync.Mutex
		refused  = map[string]int{}
	)
	for i := range 30 {
		creators.Go(func() {
			_, err := subs.Create(t.Context(), ownedBy([]string{"ada", "bob", "eve"}[i%3], "/a"))
			mu.Lock()
			defer mu.Unlock()
			if limit, ok := errors.AsType[*LimitError](err); ok {
				refused[limit.Limit]++
			} else if err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	creators.Wait()

	var atSite, mostOfOne int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT sum(n), max(n) FROM (SELECT count(*) AS n FROM riverhook.subscription GROUP BY owner) x`).Scan(&atSite, &mostOfOne))
	require.Equal(t, 8, atSite)
	require.LessOrEqual(t, mostOfOne, 5)
	require.Equal(t, 22, refused["MaxPerOwner"]+refused["MaxPerSite"])
}

func TestLimit_HoldsUnderEachIsolation(t *testing.T) {
	t.Parallel()
	for _, isolation := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.PoolSize(t, 3)
			subs := limited(t, pool, 1, -1)
			tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation})
			require.NoError(t, err)
			var one int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM riverhook.subscription`).Scan(&one), "its snapshot is taken")
			_, err = subs.Create(t.Context(), ownedBy("ada", "/a"))
			require.NoError(t, err)

			_, err = subs.In(tx).Create(t.Context(), ownedBy("ada", "/b"))

			require.Error(t, err)
			var failed *pgconn.PgError
			if isolation == pgx.ReadCommitted {
				require.ErrorIs(t, err, ErrLimit)
				_, err = subs.In(tx).Create(t.Context(), ownedBy("bob", "/b"))
				require.NoError(t, err, "the transaction can go on")
			} else {
				require.ErrorAs(t, err, &failed)
				require.Equal(t, "40001", failed.Code)
			}
			require.NoError(t, tx.Rollback(t.Context()))
		})
	}
}

func TestLimit_AnOwnerHasAHundredSubscriptionsByDefault(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := limited(t, pool, 0, 0)
	last := subscribeAt(t, subs, "/a")
	_, err := pool.Exec(t.Context(), `INSERT INTO riverhook.subscription (id, site, url, events, owner, dialect)
		SELECT gen_random_uuid(), site, url, events, owner, dialect FROM riverhook.subscription, generate_series(1, 99)`)
	require.NoError(t, err)

	_, err = subs.Create(t.Context(), specAt("/b"))
	require.ErrorIs(t, err, ErrLimit)
	require.NoError(t, subs.Delete(t.Context(), last.ID))
	_, err = subs.Create(t.Context(), specAt("/b"))
	require.NoError(t, err)
}
