package outbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// prepare checks intents, before anything is sent, and says whether the
// statement that writes them is to send a notification.
func (c *Client) prepare(ctx context.Context, in []Intent) (records []*record, notify bool, err error) {
	records = make([]*record, len(in))
	due := false
	for i := range in {
		rec, bad := newRecord(&in[i], c.cfg.MaxDataBytes)
		if bad != nil {
			bad.Index = i
			return nil, false, bad
		}
		if c.registry == nil && in[i].SchemaVersion != 0 {
			return nil, false, &InvalidIntentError{
				Index:  i,
				Field:  "SchemaVersion",
				Reason: "needs Config.Pool",
			}
		}
		records[i] = rec
		due = due || rec.NotBefore == nil || !rec.NotBefore.After(c.wakes.now())
	}
	if c.registry != nil && len(in) > 0 {
		if err := c.registry.check(ctx, in, records); err != nil {
			return nil, false, err
		}
	}
	return records, due && c.wakes.take(), nil
}

// forOne are the arguments of enqueue_one.
func (c *Client) forOne(rec *record, notify bool) (*store.EnqueueOneParams, error) {
	attributes := "{}"
	if len(rec.Attributes) > 0 {
		text, err := encode(rec.Attributes)
		if err != nil {
			return nil, err
		}
		attributes = text
	}
	return &store.EnqueueOneParams{
		ID:            pgtype.Text{String: rec.ID, Valid: rec.ID != ""},
		Type:          rec.Type,
		Site:          cmp.Or(string(rec.Site), string(hierarchy.Root)),
		ActiveSite:    string(rec.ActiveSite),
		ResourceKind:  rec.ResourceKind,
		ResourceID:    rec.ResourceID,
		Actor:         rec.Actor,
		Channel:       rec.Channel,
		Attributes:    attributes,
		SchemaVersion: rec.SchemaVersion,
		Data:          rec.Data,
		OccurredAt:    rec.OccurredAt,
		NotBefore:     rec.NotBefore,
		Share:         pgtype.Text{String: rec.Share, Valid: rec.Share != ""},
		Client:        migration.Version,
		MaxBytes:      c.cfg.MaxDataBytes,
		Checked:       rec.checked,
		Notify:        notify,
	}, nil
}

// forMany are the arguments of enqueue_batch.
func (c *Client) forMany(records []*record, notify bool) (*store.EnqueueBatchParams, error) {
	intents, err := encode(records)
	if err != nil {
		return nil, err
	}
	return &store.EnqueueBatchParams{
		Intents:  intents,
		Client:   migration.Version,
		MaxBytes: c.cfg.MaxDataBytes,
		Checked:  !slices.ContainsFunc(records, func(rec *record) bool { return !rec.checked }),
		Notify:   notify,
	}, nil
}

func encode(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("outbox: encode intents: %w", err)
	}
	return buf.String(), nil
}

// SQLSTATEs that a database which is not migrated answers with, and others
// that need an explanation.
const (
	insufficientPrivilege = "42501"
	invalidSchemaName     = "3F000"
	otherVersion          = "RH001" // raised by refuse_client
	undefinedFunction     = "42883"
	undefinedTable        = "42P01"
)

func (c *Client) databaseError(err error) error {
	return explained(c.cfg.Schema, err, "enqueue", "EXECUTE on its functions enqueue_one and enqueue_batch")
}

// explained says what to do about an error of the database. Drivers tell the
// SQLSTATE by the same method.
func explained(schema string, err error, action, rights string) error {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return fmt.Errorf("outbox: %s: %w", action, err)
	}
	switch state.SQLState() {
	case insufficientPrivilege:
		return fmt.Errorf("outbox: %s: the role needs USAGE on schema %q and %s: %w", action, schema, rights, err)
	case invalidSchemaName, undefinedFunction, undefinedTable:
		return fmt.Errorf("outbox: %s: %w: schema %q is missing or incomplete: run outbox.Migrate: %w",
			action, ErrNotMigrated, schema, err)
	case otherVersion:
		return fmt.Errorf("outbox: %s: %w: run outbox.Migrate, or update the program: %w", action, ErrNotMigrated, err)
	default:
		return fmt.Errorf("outbox: %s: %w", action, err)
	}
}
