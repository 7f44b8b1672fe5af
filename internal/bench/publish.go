package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/outbox"
)

// publishIntents publishes events of a type by Enqueue, each alone in its transaction.
func publishIntents(client *outbox.Client, pool *pgxpool.Pool, eventType string) publisher {
	return publishEach(client, pool, func() outbox.Intent { return outbox.Intent{Type: eventType, Data: payload} })
}

// publishEach is publishIntents of what next returns.
func publishEach(client *outbox.Client, pool *pgxpool.Pool, next func() outbox.Intent) publisher {
	return func(ctx context.Context) (id string, committed time.Time, err error) {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return "", committed, err
		}
		defer tx.Rollback(ctx) //nolint:errcheck // it is committed by then
		res, err := client.Enqueue(ctx, tx, next())
		if err != nil {
			return "", committed, err
		}
		err = tx.Commit(ctx)
		return res.ID, time.Now(), err
	}
}

// publishJobs publishes bare posts by InsertTx, alone in its transaction.
func (l *baseline) publishJobs() publisher {
	return func(ctx context.Context) (id string, committed time.Time, err error) {
		args, err := newBarePost()
		if err != nil {
			return "", committed, err
		}
		tx, err := l.pool.Begin(ctx)
		if err != nil {
			return "", committed, err
		}
		defer tx.Rollback(ctx) //nolint:errcheck // it is committed by then
		if _, err := l.client.InsertTx(ctx, tx, args, nil); err != nil {
			return "", committed, err
		}
		err = tx.Commit(ctx)
		return args.ID.String(), time.Now(), err
	}
}
