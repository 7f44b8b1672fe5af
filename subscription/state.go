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

// Activate makes a subscription active again, after a pause or a deactivation,
// and says whether it was not. Deliveries that were held go out in their order;
// those that were cancelled by a deactivation stay so. What counts towards an
// automatic deactivation is counted from now on. It closes a circuit that failures
// have opened, also of a subscription that is active already, of which nothing else
// changes; a wait that the endpoint has asked for stays. A subscription at a former
// path, or whose site was deleted, is refused ([ErrInvalid], field
// Site): update its site first.
//
// One whose URL must be proven and was not becomes StatePendingVerification instead,
// and its endpoint is asked; so it is false for one that is in that state.
// Nil opts are the defaults.
func (s *Store) Activate(ctx context.Context, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return run(ctx, s, "activate subscription", func(tx pgx.Tx) (bool, error) { return s.activate(ctx, tx, id, opts) })
}

// Deactivate stops a subscription and says whether it was not stopped already,
// in which case the first reason stays. Its pending deliveries end cancelled and
// its epoch grows by one. The reason, up to 1024 characters, is shown wherever
// the subscription is.
func (s *Store) Deactivate(ctx context.Context, id uuid.UUID, reason string) (bool, error) {
	return run(ctx, s, "deactivate subscription", func(tx pgx.Tx) (bool, error) { return s.deactivate(ctx, tx, id, reason) })
}

// Pause holds deliveries back, new ones included, and says whether the
// subscription was not paused. A deactivated one is refused with [ErrDeactivated].
// One whose URL was not proven is asked for its proof only when it is activated.
func (s *Store) Pause(ctx context.Context, id uuid.UUID) (bool, error) {
	return run(ctx, s, "pause subscription", func(tx pgx.Tx) (bool, error) { return s.pause(ctx, tx, id) })
}

func (s *Store) activate(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	if err := s.lockPlaces(ctx, tx); err != nil {
		return false, err
	}
	sub, err := s.lock(ctx, tx, id)
	if err != nil {
		return false, err
	}
	to := StateActive
	if sub.unproven() && sub.State != StateActive {
		to = StatePendingVerification
	}
	if sub.State == to {
		return false, s.in(tx).CloseCircuit(ctx, id)
	}
	if err := s.checkPlace(ctx, tx, sub.Site); err != nil {
		return false, err
	}
	if sub.stranded {
		return false, &InvalidError{Field: "Site", Reason: "was deleted; give it a site by an update first"}
	}
	if opts != nil && opts.DropHeld {
		err := s.in(tx).DropHeld(ctx, &store.DropHeldParams{SubscriptionID: id, Reason: "dropped when the subscription was activated"})
		if err != nil {
			return false, err
		}
	}
	was := sub.State
	sub.State = to
	if sub.toBeProven() != "" && (to == StatePendingVerification || was == StateDeactivated) {
		if err := s.setChallenge(ctx, tx, sub); err != nil {
			return false, err
		}
	}
	if err := s.in(tx).CloseCircuit(ctx, id); err != nil {
		return false, err
	}
	if was == StateDeactivated {
		if err := s.in(tx).KeepWait(ctx, id); err != nil {
			return false, err
		}
	}
	return true, s.setState(ctx, tx, id, to, "")
}

func (s *Store) deactivate(ctx context.Context, tx pgx.Tx, id uuid.UUID, reason string) (bool, error) {
	if err := text.Check(reason, maxReason); err != nil {
		return false, fmt.Errorf("reason: %w", err)
	}
	sub, err := s.lock(ctx, tx, id)
	if err != nil || sub.State == StateDeactivated {
		return false, err
	}
	return true, s.setState(ctx, tx, id, StateDeactivated, reason)
}

func (s *Store) pause(ctx context.Context, tx pgx.Tx, id uuid.UUID) (bool, error) {
	sub, err := s.lock(ctx, tx, id)
	switch {
	case err != nil || sub.State == StatePaused:
		return false, err
	case sub.State == StateDeactivated:
		return false, fmt.Errorf("subscription %s: %w", id, ErrDeactivated)
	}
	return true, s.setState(ctx, tx, id, StatePaused, "")
}

func (s *Store) setState(ctx context.Context, tx pgx.Tx, id uuid.UUID, state State, reason string) error {
	return s.in(tx).SetSubscriptionState(ctx, &store.SetSubscriptionStateParams{
		ID:     id,
		Reason: reason,
		State:  string(state),
	})
}
