package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

// Erased says how many rows Erase has emptied.
type Erased struct {
	Attempts   int `json:"attempts"`   // requests that were made, with what was answered
	Deliveries int `json:"deliveries"` // that were pending, and are cancelled
	Intents    int `json:"intents"`    // events about the resource
	Messages   int `json:"messages"`   // bodies that were made of them
}

// Erase removes what Riverhook keeps of a resource, in the transaction in which
// the application forgets it: data and attributes of its intents, the messages
// made of them, of attempts the headers, the answers and the words of receivers in
// errors, and the words of checkers, externalizers and dialects in reasons. What is
// not expanded yet and what is pending is cancelled, with the reason "erased". The
// rows remain, as a record of what was sent, to whom and when; they keep the
// resource's kind and id, the actor, and what Riverhook says itself in reasons.
//
// Intents that were enqueued earlier in this transaction are covered, those that
// come later are not: enqueue the news that the resource is gone behind it, with
// nothing in it that is to be forgotten. What another transaction has enqueued and
// not yet committed is not seen. An ID whose intent was erased is remembered:
// whatever is enqueued under it is a Duplicate and is not written.
//
// After the commit no engine writes any of it again: of an answer that arrives
// later only the outcome is recorded, and the same holds for a question that was
// asked before. An engine that has taken up a delivery before may still send what it
// holds in memory until its job ends: in seconds, under load in a minute or two. Backups, replicas and the database's log
// keep what they have.
//
// Erase waits for the records that engines are writing, which takes
// milliseconds, and no engine waits for its transaction; but transactions that
// redeliver, cancel or run again the same intents do. It needs READ COMMITTED
// ([ErrIsolation]), and the right to execute the function erase. An error of this
// package's own leaves the transaction usable; any other has aborted it.
func (c *Client) Erase(ctx context.Context, tx pgx.Tx, r access.Resource) (Erased, error) {
	if tx == nil {
		return Erased{}, errEraseNoTx
	}
	if err := checkErase(r); err != nil {
		return Erased{}, err
	}
	row, err := store.In(tx, c.cfg.Schema).Erase(ctx, eraseParams(r))
	if err != nil {
		return Erased{}, c.eraseError(err)
	}
	return erased(row)
}

// EraseSQL is [Client.Erase] for a transaction of database/sql.
func (c *Client) EraseSQL(ctx context.Context, tx Querier, r access.Resource) (Erased, error) {
	if err := txn.CheckQuerier(tx); err != nil {
		return Erased{}, fmt.Errorf("outbox: erase: %w", err)
	}
	if err := checkErase(r); err != nil {
		return Erased{}, err
	}
	var row store.EraseRow
	p := eraseParams(r)
	err := store.ScanSQL(ctx, tx, store.EraseSQL(c.cfg.Schema), []any{p.ResourceKind, p.ResourceID, p.Client},
		&row.Refused, &row.Intents, &row.Messages, &row.Deliveries, &row.Attempts)
	if err != nil {
		return Erased{}, c.eraseError(err)
	}
	return erased(row)
}

// Erase is [Client.Erase] of the default Client.
func Erase(ctx context.Context, tx pgx.Tx, r access.Resource) (Erased, error) {
	return Default().Erase(ctx, tx, r)
}

// EraseSQL is [Client.EraseSQL] of the default Client.
func EraseSQL(ctx context.Context, tx Querier, r access.Resource) (Erased, error) {
	return Default().EraseSQL(ctx, tx, r)
}

var (
	errEraseNoTx     = errors.New("outbox: erase: the transaction is nil")
	errEraseResource = errors.New("outbox: erase: the resource needs both a kind and an id")
)

func checkErase(r access.Resource) error {
	switch {
	case r.Kind == "" || r.ID == "":
		return errEraseResource
	case notText(r.Kind) != "":
		return fmt.Errorf("outbox: erase: the resource's kind %s", notText(r.Kind))
	case notText(r.ID) != "":
		return fmt.Errorf("outbox: erase: the resource's id %s", notText(r.ID))
	}
	return nil
}

func eraseParams(r access.Resource) *store.EraseParams {
	return &store.EraseParams{
		ResourceKind: r.Kind,
		ResourceID:   r.ID,
		Client:       migration.Version,
	}
}

func erased(row store.EraseRow) (Erased, error) {
	if row.Refused != "" {
		return Erased{}, fmt.Errorf("outbox: erase: %w", ErrIsolation)
	}
	return Erased{
		Attempts:   row.Attempts,
		Deliveries: row.Deliveries,
		Intents:    row.Intents,
		Messages:   row.Messages,
	}, nil
}

func (c *Client) eraseError(err error) error {
	return explained(c.cfg.Schema, err, "erase", "EXECUTE on the function erase")
}
