package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// prepare checks and encodes intents, before anything is sent. It returns nil
// where there are none.
func (c *Client) prepare(in []Intent) (*store.EnqueueBatchParams, error) {
	if len(in) == 0 {
		return nil, nil
	}
	records := make([]*record, len(in))
	due := false
	for i := range in {
		rec, bad := newRecord(&in[i], c.cfg.MaxDataBytes)
		if bad != nil {
			bad.Index = i
			return nil, bad
		}
		records[i] = rec
		due = due || rec.NotBefore == nil || !rec.NotBefore.After(c.wakes.now())
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(records); err != nil {
		return nil, fmt.Errorf("outbox: encode intents: %w", err)
	}
	return &store.EnqueueBatchParams{
		Client:   migration.Version,
		Intents:  buf.String(),
		MaxBytes: int32(c.cfg.MaxDataBytes),
		Notify:   due && c.wakes.take(),
	}, nil
}

// SQLSTATEs that a database which is not migrated answers with, and others
// that need an explanation.
const (
	insufficientPrivilege = "42501"
	invalidSchemaName     = "3F000"
	otherVersion          = "RH001" // raised by enqueue_batch
	undefinedFunction     = "42883"
	undefinedTable        = "42P01"
)

// databaseError says what to do about an error of the database. Drivers tell
// the SQLSTATE by the same method.
func (c *Client) databaseError(err error) error {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return fmt.Errorf("outbox: enqueue: %w", err)
	}
	switch state.SQLState() {
	case insufficientPrivilege:
		return fmt.Errorf("outbox: enqueue: the role needs USAGE on schema %q and EXECUTE on its functions enqueue and enqueue_batch: %w",
			c.cfg.Schema, err)
	case invalidSchemaName, undefinedFunction, undefinedTable:
		return fmt.Errorf("outbox: enqueue: %w: schema %q is missing or incomplete: run outbox.Migrate: %w",
			ErrNotMigrated, c.cfg.Schema, err)
	case otherVersion:
		return fmt.Errorf("outbox: enqueue: %w: run outbox.Migrate, or update the program: %w", ErrNotMigrated, err)
	default:
		return fmt.Errorf("outbox: enqueue: %w", err)
	}
}
