package pginbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/receiver"
)

// retryRows is how many events one transaction retries.
const retryRows = 500

var _ receiver.Operator = (*Inbox)(nil)

// List implements [receiver.Operator].
func (in *Inbox) List(ctx context.Context, filter receiver.EventFilter) (receiver.EventPage, error) {
	f, place, err := filter.Normalize()
	if err != nil {
		return receiver.EventPage{}, fmt.Errorf("pginbox: list events: %w", err)
	}
	params := &store.ListInboxEventsParams{
		Receiver: f.Receiver,
		Owner:    f.Owner,
		State:    string(f.State),
		Since:    given(f.Since),
		Until:    given(f.Until),
		MaxRows:  f.Limit + 1,
	}
	if f.Cursor != "" {
		params.BeforeAt = &place.At
		params.BeforeID, err = uuid.Parse(place.ID)
		if err != nil {
			return receiver.EventPage{}, fmt.Errorf("pginbox: list events: %w: Cursor: %w", receiver.ErrInvalidFilter, err)
		}
	}
	rows, err := store.Filtering(in.pool, in.cfg.Schema).ListInboxEvents(ctx, params)
	if err != nil {
		return receiver.EventPage{}, fmt.Errorf("pginbox: list events: %w", err)
	}
	events := make([]receiver.EventRecord, len(rows))
	for i, row := range rows {
		events[i] = receiver.EventRecord{
			ID:             row.ID.String(),
			Receiver:       row.Receiver,
			Owner:          row.Owner,
			DeliveryID:     row.DeliveryID,
			ContentType:    row.ContentType,
			State:          receiver.State(row.State),
			Attempts:       row.Attempt,
			Message:        row.Message,
			Error:          row.Error,
			ResponseStatus: row.ResponseStatus,
			ReceivedAt:     row.ReceivedAt,
			EndedAt:        row.EndedAt,
		}
		if events[i].State == receiver.Pending {
			events[i].DueAt = &row.DueAt
		}
	}
	return receiver.NewEventPage(events, f.Limit), nil
}

func given(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// Retry implements [receiver.Operator].
func (in *Inbox) Retry(ctx context.Context, id string) (receiver.Status, error) {
	status, err := in.retry(ctx, id)
	if err != nil {
		return receiver.Status{}, fmt.Errorf("pginbox: retry an event: %w", err)
	}
	return status, nil
}

func (in *Inbox) retry(ctx context.Context, text string) (receiver.Status, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return receiver.Status{}, receiver.ErrNotFound
	}
	var retried bool
	err = in.readCommitted(ctx, func(queries *store.Queries) error {
		failed, err := queries.FailedInboxEvent(ctx, id)
		if err != nil {
			return err
		}
		if retried, err = reopen(ctx, queries, failed, 0); retried || err != nil {
			return err
		}
		hastened, err := queries.HastenInboxEvent(ctx, id)
		retried = len(hastened) > 0
		return err
	})
	if err != nil {
		return receiver.Status{}, err
	}
	status, err := in.status(ctx, id)
	if err == nil && !retried && status.State != receiver.Pending {
		err = receiver.ErrEnded
	}
	return status, err
}

// RetryMany implements [receiver.Operator].
func (in *Inbox) RetryMany(ctx context.Context, filter receiver.EventFilter) (int, error) {
	if err := filter.ForRetry(); err != nil {
		return 0, fmt.Errorf("pginbox: retry events: %w", err)
	}
	began, err := in.store.InboxTime(ctx)
	if err != nil {
		return 0, fmt.Errorf("pginbox: retry events: %w", err)
	}
	for retried := 0; ; {
		var failed []uuid.UUID
		err := in.readCommitted(ctx, func(queries *store.Queries) (err error) {
			failed, err = queries.FailedInboxEvents(ctx, &store.FailedInboxEventsParams{
				EndedBefore: began,
				Receiver:    filter.Receiver,
				Owner:       filter.Owner,
				Since:       given(filter.Since),
				Until:       given(filter.Until),
				MaxRows:     retryRows,
			})
			if err == nil {
				_, err = reopen(ctx, queries, failed, 0)
			}
			return err
		})
		if err != nil {
			return retried, fmt.Errorf("pginbox: retry events: %w", err)
		}
		retried += len(failed)
		if len(failed) < retryRows {
			return retried, nil
		}
	}
}

// reopen opens a new round of failed events, which are locked.
func reopen(ctx context.Context, queries *store.Queries, failed []uuid.UUID, wait time.Duration) (bool, error) {
	if len(failed) == 0 {
		return false, nil
	}
	opened, err := queries.RetryInboxEvents(ctx, &store.RetryInboxEventsParams{Ids: failed, WaitMs: wait.Milliseconds()})
	return len(opened) > 0, err
}
