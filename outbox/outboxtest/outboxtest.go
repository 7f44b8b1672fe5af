// Package outboxtest lets an application's tests say what must have been
// enqueued, inside the transaction that enqueued it:
//
//	outboxtest.RequireEnqueued(ctx, t, tx, outbox.Intent{
//		Type:     "user.created",
//		Resource: access.Resource{Kind: "user", ID: "42"},
//	}, nil)
//
// Only what the transaction itself has written counts, committed or not, so
// tests can share a database. An intent is as wanted when every field that is
// set in the wanted one is equal in it: Data as JSON, whatever its spelling;
// times to the microsecond; of Attributes those that are wanted. Enqueuing the
// same ID again writes nothing, so a duplicate is not seen.
//
// The role of the transaction must be allowed to read Riverhook's tables.
package outboxtest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/outbox"
)

// TB is what this package needs of a *testing.T, *testing.B or *testing.F. New
// versions of this package ask for no more.
type TB interface {
	Fatalf(format string, args ...any)
	Helper()
}

// Opts are options of the functions of this package. nil is the zero Opts.
type Opts struct {
	// Schema is as in outbox.Config. Empty: "riverhook".
	Schema string
}

func (o *Opts) schema() string {
	if o == nil || o.Schema == "" {
		return store.DefaultSchema
	}
	return o.Schema
}

// Enqueued returns the intents that the transaction has written, in the order
// in which they were enqueued. Their Data is a json.RawMessage.
func Enqueued(ctx context.Context, tx pgx.Tx, opts *Opts) ([]outbox.Intent, error) {
	if err := store.CheckSchema(opts.schema()); err != nil {
		return nil, fmt.Errorf("outboxtest: Opts.Schema: %w", err)
	}
	text, err := store.In(tx, opts.schema()).IntentsOfTransaction(ctx)
	return decode(text, err)
}

// EnqueuedSQL is Enqueued for a transaction of database/sql.
func EnqueuedSQL(ctx context.Context, tx outbox.Querier, opts *Opts) ([]outbox.Intent, error) {
	if err := store.CheckSchema(opts.schema()); err != nil {
		return nil, fmt.Errorf("outboxtest: Opts.Schema: %w", err)
	}
	var text string
	err := store.ScanSQL(ctx, tx, store.IntentsOfTransactionSQL(opts.schema()), nil, &text)
	return decode(text, err)
}

// RequireEnqueued fails the test unless the transaction has written exactly one
// intent that is as wanted, and returns that.
func RequireEnqueued(ctx context.Context, tb TB, tx pgx.Tx, want outbox.Intent, opts *Opts) outbox.Intent {
	tb.Helper()
	all, err := Enqueued(ctx, tx, opts)
	return requireOne(tb, all, err, want)
}

// RequireEnqueuedSQL is RequireEnqueued for a transaction of database/sql.
func RequireEnqueuedSQL(ctx context.Context, tb TB, tx outbox.Querier, want outbox.Intent, opts *Opts) outbox.Intent {
	tb.Helper()
	all, err := EnqueuedSQL(ctx, tx, opts)
	return requireOne(tb, all, err, want)
}

// RequireNotEnqueued fails the test if the transaction has written an intent
// that is as the unwanted one; the zero Intent is as every one.
func RequireNotEnqueued(ctx context.Context, tb TB, tx pgx.Tx, unwanted outbox.Intent, opts *Opts) {
	tb.Helper()
	all, err := Enqueued(ctx, tx, opts)
	requireNone(tb, all, err, unwanted)
}

// RequireNotEnqueuedSQL is RequireNotEnqueued for a transaction of database/sql.
func RequireNotEnqueuedSQL(ctx context.Context, tb TB, tx outbox.Querier, unwanted outbox.Intent, opts *Opts) {
	tb.Helper()
	all, err := EnqueuedSQL(ctx, tx, opts)
	requireNone(tb, all, err, unwanted)
}

// row is an intent as the statement returns it.
type row struct {
	ActiveSite    hierarchy.Path    `json:"ActiveSite"`
	Actor         string            `json:"Actor"`
	Attributes    map[string]string `json:"Attributes"`
	Channel       string            `json:"Channel"`
	Data          string            `json:"Data"`
	ID            string            `json:"ID"`
	NotBefore     *time.Time        `json:"NotBefore"`
	OccurredAt    time.Time         `json:"OccurredAt"`
	Resource      resource          `json:"Resource"`
	SchemaVersion int               `json:"SchemaVersion"`
	Site          hierarchy.Path    `json:"Site"`
	Type          string            `json:"Type"`
}

type resource struct {
	ID   string `json:"ID"`
	Kind string `json:"Kind"`
}

func decode(text string, err error) ([]outbox.Intent, error) {
	if err != nil {
		return nil, fmt.Errorf("outboxtest: read intents: %w", err)
	}
	var rows []row
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("outboxtest: read intents: %w", err)
	}
	all := make([]outbox.Intent, len(rows))
	for i, row := range rows {
		all[i] = outbox.Intent{
			ActiveSite:    row.ActiveSite,
			Actor:         row.Actor,
			Attributes:    row.Attributes,
			Channel:       row.Channel,
			Data:          json.RawMessage(row.Data),
			ID:            row.ID,
			OccurredAt:    row.OccurredAt,
			Resource:      access.Resource{Kind: row.Resource.Kind, ID: row.Resource.ID},
			SchemaVersion: row.SchemaVersion,
			Site:          row.Site,
			Type:          row.Type,
		}
		if row.NotBefore != nil {
			all[i].NotBefore = *row.NotBefore
		}
	}
	return all, nil
}
