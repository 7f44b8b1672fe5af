package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
)

// recordTimeout bounds the record of a question, after its answers.
const recordTimeout = 5 * time.Second

// errStale says that the sites have changed since the gates of a question were found:
// nothing was written.
var errStale = errors.New("the sites have changed")

// Recorder records questions. It is safe for concurrent use.
type Recorder struct {
	DB       *pgxpool.Pool
	Limiter  *slots.Limiter
	Log      *slog.Logger
	Records  *record.Recorder
	Releaser *slots.Releaser
	Resolver *resolve.Resolver
	Schema   string
}

// write writes what came of a question: an intent that is expanded, decisions, and
// deliveries that have ended, with what their attempts say of the endpoints. It goes on
// after the end of ctx, and tries again while another transaction has locked what it
// writes. If the sites are checked, the error can be errStale.
func (r *Recorder) write(ctx context.Context, q *question, checked bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if checked {
		stale, err := r.Resolver.Stale(ctx, q.chunk.Standing)
		if err != nil || stale {
			return errStale
		}
	} else {
		q.chunk.Standing = resolve.Standing{}
	}
	for {
		err := store.InTx(ctx, r.DB, r.Schema, func(db *store.Queries) error { return r.insert(ctx, db, q) })
		if !isContended(err) || !record.Sleep(ctx, ctx, record.BusyWait) {
			return err
		}
	}
}

// isContended is true of an error because another transaction has locked something.
func isContended(err error) bool {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(failed.Code, "40") || failed.Code == "55P03")
}

// conclude logs a question that is over, calls hooks, and releases deliveries that were
// held while gates had the slots. It returns the error of the record, for the application.
func (r *Recorder) conclude(ctx context.Context, q *question, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	id := q.chunk.Intent.Event.ID
	if err != nil {
		err = fmt.Errorf("delivery: record question %s: %w", id, err)
		r.Log.ErrorContext(ctx, "riverhook: a question is not recorded", "intent", id, "error", err)
	}
	for i := range q.chunk.Decisions {
		d := &q.chunk.Decisions[i]
		tr := q.asked[d.Subscription.ID]
		if tr == nil {
			if d.Outcome == decide.OutcomeUnanswered {
				r.Log.LogAttrs(ctx, slog.LevelWarn, "riverhook: a gate was not asked", slog.String("intent", id),
					slog.Any("subscription", d.Subscription.ID), slog.String("reason", d.Reason))
			}
			continue
		}
		r.Records.Log(ctx, tr, true)
		r.Limiter.Recorded(tr)
		if err == nil {
			go r.Records.CallHooks(ctx, tr) // the application does not wait for a hook
		}
		if held := r.Releaser.Next(ctx, tr.Target.Share, tr.Target.EndpointKey()); held != nil {
			r.Log.WarnContext(ctx, "riverhook: held deliveries wait", "subscription", d.Subscription.ID, "error", held)
		}
	}
	return err
}

// insert writes a question as the statements for intents do, all of them in one
// transaction. If its resource was erased since the question was asked, or is just being
// erased, only what became of the question is written.
func (r *Recorder) insert(ctx context.Context, db *store.Queries, q *question) error {
	erased, err := wasErased(ctx, db, q)
	if err != nil {
		return err
	}
	in := q.chunk.Intent
	ev := in.Event
	if err := db.InsertQuestion(ctx, &store.InsertQuestionParams{
		ID:           in.ID,
		WireID:       ev.ID,
		Type:         ev.Type,
		Site:         ev.Site,
		ActiveSite:   ev.ActiveSite,
		ResourceKind: ev.ResourceKind,
		ResourceID:   ev.ResourceID,
		Actor:        ev.Actor,
		Channel:      ev.Channel,
		TreeVersion:  in.TreeVersion,
		Attributes:   attributes(&ev),
		Data:         ev.Data,
		OccurredAt:   ev.OccurredAt,
	}); err != nil {
		return err
	}
	p := &store.CommitExpansionsParams{}
	if err := q.chunk.AddTo(p); err != nil {
		return err
	}
	made, err := db.CommitExpansions(ctx, p)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(made, func(row store.CommitExpansionsRow) bool { return row.Stale }) {
		return errStale
	}
	var ended []*attempt.Transition
	for i := range q.chunk.Decisions {
		if tr := q.asked[q.chunk.Decisions[i].Subscription.ID]; tr != nil {
			ended = append(ended, tr)
		}
	}
	health := record.Health{}
	q.chunk.CountUnresolvable(health)
	if err := r.Records.Write(ctx, db, ended, health); err != nil {
		return err
	}
	if erased {
		if err := db.EraseQuestion(ctx, in.ID); err != nil {
			return err
		}
	}
	return r.Records.Conclude(ctx, db, health)
}

// wasErased keeps the resource of a question from being erased while the question is
// recorded, and says whether it was erased since the question was asked. It does not wait
// for a transaction that erases it: that one counts as committed.
func wasErased(ctx context.Context, db *store.Queries, q *question) (bool, error) {
	kind, id := q.chunk.Intent.Event.ResourceKind, q.chunk.Intent.Event.ResourceID
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
		AgeMs:        time.Since(q.begun).Milliseconds() + 1,
	})
}

// attributes are those of an event as JSON, never null.
func attributes(ev *dialect.Event) string {
	if len(ev.Attributes) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(ev.Attributes) //nolint:errchkjson // texts always encode
	return string(text)
}
