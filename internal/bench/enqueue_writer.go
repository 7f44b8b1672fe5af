package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/riverhook/riverhook/outbox"
)

// The kinds of writers.
const (
	writeOurs  = "ours"
	writeRiver = "river"
	writeRow   = "row"
)

func newWriter(pool *pgxpool.Pool, kind string, batch int) (writer, error) {
	switch kind {
	case writeRow:
		return writer{each: batch}, nil
	case writeRiver:
		return newRiverWriter(pool, batch)
	case writeOurs:
		return newOurWriter(batch)
	default:
		return writer{}, fmt.Errorf("no kind %q of writers", kind)
	}
}

// enqueuedType is that of what writers enqueue.
const enqueuedType = "bench.enqueued"

func newOurWriter(batch int) (writer, error) {
	client, err := outbox.New(nil)
	if err != nil {
		return writer{}, err
	}
	if batch == 1 {
		return writer{each: 1, call: func(ctx context.Context, tx pgx.Tx) error {
			_, err := client.Enqueue(ctx, tx, outbox.Intent{Type: enqueuedType, Data: payload})
			return err
		}}, nil
	}
	return writer{each: batch, call: func(ctx context.Context, tx pgx.Tx) error {
		_, err := client.EnqueueMany(ctx, tx, someIntents(batch, enqueuedType))
		return err
	}}, nil
}

// newRiverWriter inserts through a client that only inserts, as an application
// has it.
func newRiverWriter(pool *pgxpool.Pool, batch int) (writer, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return writer{}, err
	}
	if batch == 1 {
		return writer{each: 1, call: func(ctx context.Context, tx pgx.Tx) error {
			args, err := newBarePost()
			if err != nil {
				return err
			}
			_, err = client.InsertTx(ctx, tx, args, nil)
			return err
		}}, nil
	}
	return writer{each: batch, call: func(ctx context.Context, tx pgx.Tx) error {
		params := make([]river.InsertManyParams, batch)
		for i := range params {
			args, err := newBarePost()
			if err != nil {
				return err
			}
			params[i].Args = args
		}
		_, err := client.InsertManyTx(ctx, tx, params)
		return err
	}}, nil
}

func migrateRiver(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}
