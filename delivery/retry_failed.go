package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/internal/store"
)

// retryStep is how many intents RetryFailedMany looks through in one statement.
const retryStep = 1000

// RetryFailed runs an intent again where it has failed: its expansion, when that
// has failed or its job was cancelled, goes on where it stopped, and decisions
// that have failed are made anew, all of them, Config.Limits.ChunkSize at a time. It returns
// how many these were, 0 when nothing has failed. id is the wire id; the error is ErrNotFound, or ErrErased,
// ErrPruned or another ErrPayloadGone.
func (e *Engine) RetryFailed(ctx context.Context, id string) (int, error) {
	n, err := e.retryFailed(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("delivery: retry intent %q: %w", id, err)
	}
	return n, nil
}

func (e *Engine) retryFailed(ctx context.Context, id string) (int, error) {
	if !isText(id) {
		return 0, ErrNotFound
	}
	rows, err := e.store.RetryFailedIntent(ctx, id)
	switch {
	case err != nil:
		return 0, err
	case len(rows) == 0:
		return 0, ErrNotFound
	case rows[0].Gone == string(PayloadErased):
		return 0, ErrErased
	case rows[0].Gone == string(PayloadPruned):
		return 0, ErrPruned
	case rows[0].Gone != "":
		return 0, ErrPayloadGone
	default:
		return rows[0].Retried, nil
	}
}

// RetryFailedMany is RetryFailed of each intent that a filter lists and of which
// something has failed, oldest first; nil is all intents. Limit is the most that are
// run again. Default: all. Those whose data is gone stay as they are. It returns how
// many expansions and decisions are run again. Each intent is committed by
// itself: after an error the number says how many those before it were, and another call
// goes on with the rest. It looks through all intents that the other fields leave, so
// bound it by Since where there are many.
func (e *Engine) RetryFailedMany(ctx context.Context, filter *IntentFilter) (int, error) {
	f := IntentFilter{}
	if filter != nil {
		f = *filter
	}
	n, err := e.retryFailedMany(ctx, &f)
	if err != nil {
		return n, fmt.Errorf("delivery: retry intents: %w", err)
	}
	return n, nil
}

func (e *Engine) retryFailedMany(ctx context.Context, f *IntentFilter) (retried int, err error) {
	most := f.Limit
	if f.Limit > 0 { // of a list it has an upper bound
		f.Limit = 1
	}
	list, err := f.params()
	if err != nil {
		return 0, err
	}
	p := &store.FailedIntentsParams{
		After:        list.After,
		Before:       list.Before,
		TypeRegex:    list.TypeRegex,
		Channel:      list.Channel,
		Site:         list.Site,
		Under:        list.Under,
		ResourceKind: list.ResourceKind,
		ResourceID:   list.ResourceID,
		State:        list.State,
		Since:        list.Since,
		Until:        list.Until,
		MaxRows:      retryStep,
	}
	for intents := 0; ; {
		step, err := e.store.FailedIntents(ctx, p)
		if err != nil {
			return retried, err
		}
		for _, id := range step.WireIds {
			n, err := e.retryFailed(ctx, id)
			if err != nil && !errors.Is(err, ErrPayloadGone) && !errors.Is(err, ErrNotFound) { // it went meanwhile
				return retried, err
			}
			retried += n
			intents++
			if intents == most {
				return retried, nil
			}
		}
		if step.Seen < p.MaxRows {
			return retried, nil
		}
		p.After = step.Last
	}
}
