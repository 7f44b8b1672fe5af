package outboxtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/outbox/outboxtest"
)

// hire is a function of an application, which its test is about.
func hire(ctx context.Context, tx pgx.Tx, id, name string) error {
	_, err := outbox.Enqueue(ctx, tx, outbox.Intent{
		Type:     "person.created",
		Resource: access.Resource{Kind: "person", ID: id},
		Data:     map[string]string{"id": id, "name": name},
	})
	return err
}

// How an application's test looks: nothing is committed, nothing is sent.
func TestHire_TellsSubscribers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tx, err := pgtest.Pool(t).Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(ctx))

	require.NoError(t, hire(ctx, tx, "42", "Ann"))

	outboxtest.RequireEnqueued(ctx, t, tx, outbox.Intent{
		Type:     "person.created",
		Resource: access.Resource{Kind: "person", ID: "42"},
		Data:     map[string]string{"id": "42", "name": "Ann"},
	}, nil)
	outboxtest.RequireNotEnqueued(ctx, t, tx, outbox.Intent{Type: "person.deleted"}, nil)
}
