package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// recordQuestionTimeout bounds the record of a question, behind its answers.
const recordQuestionTimeout = 5 * time.Second

// errStaleQuestion says that the sites are not those any more at which the gates of a
// question were found: nothing was written.
var errStaleQuestion = errors.New("the sites have changed")

// writeQuestion writes down what came of a question: an intent that is expanded,
// decisions, and deliveries that have ended, with what their attempts say of the
// endpoints. It goes on where who asked has gone, and tries again while another
// transaction has locked what it writes. If it is to be checked, it can be an
// errStaleQuestion.
func (e *Engine) writeQuestion(ctx context.Context, q *questioning, checked bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordQuestionTimeout)
	defer cancel()
	if checked {
		stale, err := e.resolver.Stale(ctx, q.Standing)
		if err != nil || stale {
			return errStaleQuestion
		}
	} else {
		q.Standing = hierarchy.Standing{}
	}
	for {
		err := pgx.BeginTxFunc(ctx, e.pool, store.BoundedTx(), func(tx pgx.Tx) error {
			return e.insertQuestion(ctx, store.In(tx, e.cfg.Schema), q)
		})
		if !isContended(err) || !record.Sleep(ctx, ctx, record.BusyWait) {
			return err
		}
	}
}

// isContended is true of an error that comes of what another transaction has locked.
func isContended(err error) bool {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(failed.Code, "40") || failed.Code == "55P03")
}

// concludeQuestion tells of a question that is over, and of the error of its record,
// which it returns for Answer.
func (e *Engine) concludeQuestion(ctx context.Context, q *questioning, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordQuestionTimeout)
	defer cancel()
	if err != nil {
		err = fmt.Errorf("delivery: record question %s: %w", q.Intent.Event.ID, err)
		e.log.ErrorContext(ctx, "riverhook: a question is not recorded", "intent", q.Intent.Event.ID, "error", err)
	}
	for _, d := range q.Decisions {
		if tr := q.Asked[d.Subscription.ID]; tr != nil {
			e.records.Log(ctx, tr, true)
			e.limiter.Recorded(tr)
			if err == nil {
				go e.records.CallHooks(ctx, tr) // who asked does not wait for a hook
			}
		} else if d.Outcome == decide.OutcomeUnanswered {
			e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: a gate was not asked", slog.String("intent", q.Intent.Event.ID),
				slog.Any("subscription", d.Subscription.ID), slog.String("reason", d.Reason))
		}
		endpoint := attempt.EndpointKey{SubscriptionID: d.Subscription.ID, URLVersion: d.Subscription.URLVersion}
		if releaseErr := e.releaser.Next(ctx, endpoint); releaseErr != nil {
			e.log.WarnContext(ctx, "riverhook: held deliveries wait", "subscription", d.Subscription.ID, "error", releaseErr)
		}
	}
	return err
}

// insertQuestion takes the way of an intent through the same statements, all of them
// in one transaction.
//
// Of a question whose resource was erased since it was asked, or is just being
// erased, only what became of it is written.
func (e *Engine) insertQuestion(ctx context.Context, db *store.Queries, q *questioning) error {
	ev := q.Intent.Event
	erased, err := wasErased(ctx, db, q)
	if err != nil {
		return err
	}
	if err := db.InsertQuestion(ctx, &store.InsertQuestionParams{
		ID:           q.Intent.ID,
		WireID:       ev.ID,
		Type:         ev.Type,
		Site:         ev.Site,
		ActiveSite:   ev.ActiveSite,
		ResourceKind: ev.ResourceKind,
		ResourceID:   ev.ResourceID,
		Actor:        ev.Actor,
		Channel:      ev.Channel,
		TreeVersion:  q.Intent.TreeVersion,
		Attributes:   attributesOf(ev),
		Data:         ev.Data,
		OccurredAt:   ev.OccurredAt,
	}); err != nil {
		return err
	}
	expanded := &store.CommitExpansionsParams{}
	health := record.Health{}
	if err := addExpansion(expanded, &q.expansion); err != nil {
		return err
	}
	made, err := db.CommitExpansions(ctx, expanded)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(made, func(row store.CommitExpansionsRow) bool { return row.Stale }) {
		return errStaleQuestion
	}
	var ended []*attempt.Transition
	for _, d := range q.Decisions {
		if tr := q.Asked[d.Subscription.ID]; tr != nil {
			ended = append(ended, tr)
		}
	}
	addUnresolvable(health, q.Decisions)
	if err := e.records.Write(ctx, db, ended, health); err != nil {
		return err
	}
	if erased {
		if err := db.EraseQuestion(ctx, q.Intent.ID); err != nil {
			return err
		}
	}
	return e.records.Conclude(ctx, db, health)
}

// wasErased keeps the resource of a question from being erased while the question is
// recorded, and says whether it was erased since the question was asked. It does not
// wait for a transaction that erases it: that one counts as committed.
func wasErased(ctx context.Context, db *store.Queries, q *questioning) (bool, error) {
	kind, id := q.Intent.Event.ResourceKind, q.Intent.Event.ResourceID
	if kind == "" {
		return false, nil
	}
	locked, err := db.TryErasureLock(ctx, &store.TryErasureLockParams{ResourceKind: kind, ResourceID: id})
	if err != nil || !locked {
		return true, err
	}
	return db.ErasedWithin(ctx, &store.ErasedWithinParams{
		ResourceKind: kind,
		ResourceID:   id,
		AgeMs:        time.Since(q.Begun).Milliseconds() + 1,
	})
}
