package subscription

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

const maxReason = 1024

// ActivateOpts say how a subscription becomes active again.
type ActivateOpts struct {
	// DropHeld ends the deliveries that a pause has held back as cancelled, with
	// that reason, in time that grows with their number; delivery.Engine.Recover
	// still brings them back. An event that is being expanded at that moment may be
	// delivered all the same. Deliveries that something else holds, such as an open
	// circuit, go on. Default: all go out.
	DropHeld bool
}

func (h *Handle) activate(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	if err := h.lockPlaces(ctx, tx); err != nil {
		return false, err
	}
	sub, err := h.lock(ctx, tx, id)
	if err != nil {
		return false, err
	}
	to := StateActive
	if sub.unproven() && sub.State != StateActive {
		to = StatePendingVerification
	}
	if sub.State == to {
		return false, h.in(tx).CloseCircuit(ctx, id)
	}
	if err := h.checkPlace(ctx, tx, sub.Site); err != nil {
		return false, err
	}
	if sub.stranded {
		return false, &InvalidError{Field: "Site", Reason: "was deleted; give it a site by an update first"}
	}
	if opts != nil && opts.DropHeld {
		err := h.in(tx).DropHeld(ctx, &store.DropHeldParams{SubscriptionID: id, Reason: "dropped when the subscription was activated"})
		if err != nil {
			return false, err
		}
	}
	was := sub.State
	sub.State = to
	if sub.toBeProven() != "" && (to == StatePendingVerification || was == StateDeactivated) {
		if err := h.setChallenge(ctx, tx, sub); err != nil {
			return false, err
		}
	}
	if err := h.in(tx).CloseCircuit(ctx, id); err != nil {
		return false, err
	}
	if was == StateDeactivated {
		if err := h.in(tx).KeepWait(ctx, id); err != nil {
			return false, err
		}
	}
	return true, h.setState(ctx, tx, id, to, "")
}

func (h *Handle) deactivate(ctx context.Context, tx pgx.Tx, id uuid.UUID, reason string) (bool, error) {
	if err := text.Check(reason, maxReason); err != nil {
		return false, fmt.Errorf("reason: %w", err)
	}
	sub, err := h.lock(ctx, tx, id)
	if err != nil || sub.State == StateDeactivated {
		return false, err
	}
	return true, h.setState(ctx, tx, id, StateDeactivated, reason)
}

func (h *Handle) pause(ctx context.Context, tx pgx.Tx, id uuid.UUID) (bool, error) {
	sub, err := h.lock(ctx, tx, id)
	switch {
	case err != nil || sub.State == StatePaused:
		return false, err
	case sub.State == StateDeactivated:
		return false, fmt.Errorf("subscription %s: %w", id, ErrDeactivated)
	}
	return true, h.setState(ctx, tx, id, StatePaused, "")
}

func (h *Handle) setState(ctx context.Context, tx pgx.Tx, id uuid.UUID, state State, reason string) error {
	return h.in(tx).SetSubscriptionState(ctx, &store.SetSubscriptionStateParams{
		ID:     id,
		Reason: reason,
		State:  string(state),
	})
}
