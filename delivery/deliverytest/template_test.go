package deliverytest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// story is a test of an application: n events, the first of which is sent twice. It must
// count its own requests and jobs alone, whoever runs at the same time.
func story(t *testing.T, pool *pgxpool.Pool, schema string, n int) {
	t.Helper()
	ctx := t.Context()
	engine, err := delivery.New(pool, &delivery.Config{
		Egress: deliverytest.LocalPolicy(),
		Schema: schema,
		Sealer: seal.Clear(),
	})
	require.NoError(t, err)
	client, err := outbox.New(&outbox.Config{Schema: schema})
	require.NoError(t, err)
	r := deliverytest.NewReceiver(t, nil)
	r.Script(deliverytest.Answer{Status: 500})
	created, err := engine.Subscriptions().Create(ctx, subscription.Spec{
		Events:   []string{"user.*"},
		Operator: true,
		URL:      r.URL(),
	})
	require.NoError(t, err)
	require.NoError(t, r.Trust(created.Secret))
	for i := range n {
		require.NoError(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := client.Enqueue(ctx, tx, outbox.Intent{Type: "user.created", ID: fmt.Sprint("user-", i)})
			return err
		}))
		ran, err := engine.RunDue(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, ran, "the one expansion")
	}
	require.Len(t, r.Requests(), n)
	deliverytest.Drain(ctx, t, engine, &deliverytest.DrainOpts{Ahead: time.Minute})
	require.Len(t, r.Requests(), n+1)
}

func TestTemplate_ParallelTestsHaveADatabaseEach(t *testing.T) {
	t.Parallel()
	server := pgtest.EmptyDatabase(t)
	template, err := deliverytest.NewTemplate(t.Context(), server, func(ctx context.Context, pool *pgxpool.Pool) error {
		return outbox.Migrate(ctx, pool, nil)
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, template.Close())
		require.NoError(t, template.Close(), "it is gone")
		tb := new(fakeTB)
		require.Nil(t, template.Pool(tb))
		require.Len(t, tb.errors, 1)
		require.Contains(t, tb.errors[0], "does not exist")
	})
	for n := range 6 {
		t.Run(strconv.Itoa(n+1), func(t *testing.T) {
			t.Parallel()
			story(t, template.Pool(t), "", n+1)
		})
	}
}

func TestTemplate_CopiesAreDroppedAndStopNobody(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := pgtest.EmptyDatabase(t)
	template, err := deliverytest.NewTemplate(ctx, server, func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, `CREATE TABLE users (id text)`)
		return err
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, template.Close()) }()
	tb := new(fakeTB)
	one, other := template.Pool(tb), template.Pool(tb)
	_, err = one.Exec(ctx, `INSERT INTO users VALUES ('ada')`)
	require.NoError(t, err)
	count := func(pool *pgxpool.Pool, query string, args ...any) (n int) {
		require.NoError(t, pool.QueryRow(ctx, query, args...).Scan(&n))
		return n
	}
	require.Zero(t, count(other, `SELECT count(*) FROM users`), "a copy each")
	var names [2]string
	for i, pool := range []*pgxpool.Pool{one, other} {
		names[i] = pool.Config().ConnConfig.Database
		require.Regexp(t, `^riverhook_test_[0-9a-f-]{36}$`, names[i])
	}

	for _, cleanup := range tb.cleanups {
		cleanup()
	}

	require.Empty(t, tb.errors)
	pool, err := pgxpool.New(ctx, server)
	require.NoError(t, err)
	defer pool.Close()
	require.Zero(t, count(pool, `SELECT count(*) FROM pg_database WHERE datname = ANY ($1)`, names[:]))
}

func TestNewTemplate_LeavesNothingOfOneThatCannotBePrepared(t *testing.T) {
	t.Parallel()
	var name string
	server := pgtest.EmptyDatabase(t)
	_, err := deliverytest.NewTemplate(t.Context(), server, func(_ context.Context, pool *pgxpool.Pool) error {
		name = pool.Config().ConnConfig.Database
		return errors.New("a migration failed")
	})
	require.EqualError(t, err, "deliverytest: new template: a migration failed")
	pool, err := pgxpool.New(t.Context(), server)
	require.NoError(t, err)
	defer pool.Close()
	var there bool
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&there))
	require.False(t, there)
	_, err = deliverytest.NewTemplate(t.Context(), "postgres://%", nil)
	require.ErrorContains(t, err, "deliverytest: new template: ")
}

// Where a role may create no databases, each test can have a schema.
func TestDrain_ParallelTestsHaveASchemaEach(t *testing.T) {
	t.Parallel()
	pool := pgtest.PoolSize(t, 20)
	for n := range 3 {
		t.Run(strconv.Itoa(n+1), func(t *testing.T) {
			t.Parallel()
			schema := fmt.Sprint("test_", n+1)
			require.NoError(t, outbox.Migrate(t.Context(), pool, &outbox.MigrateOpts{Schema: schema}))
			story(t, pool, schema, n+1)
		})
	}
}
