package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// nodesAt are the sites of a depth.
func (w *world) nodesAt(depth int) []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.depth != depth })
}

// move moves a department to another tenant, or renames a site.
func (w *world) move(ctx context.Context, r *rand.Rand) {
	w.siteDeeds.Lock()
	defer w.siteDeeds.Unlock()
	ctx = context.WithoutCancel(ctx)
	if chance(r, 40) {
		w.rename(ctx, one(r, w.nodesAt(1+r.IntN(2))))
		return
	}
	department, tenant := one(r, w.nodesAt(2)), one(r, w.nodesAt(1))
	if department.parent() == tenant {
		return
	}
	at, ok := w.attempt("moves", func(tx pgx.Tx) error {
		from, to, err := w.paths(ctx, tx, department, tenant)
		if err == nil {
			_, err = w.sites.In(tx).Move(ctx, from, to)
		}
		return err
	})
	if ok {
		w.mu.Lock()
		department.spans[len(department.spans)-1].end = at
		department.spans = append(department.spans, span{
			parent: tenant,
			begin:  at,
			end:    never,
		})
		w.mu.Unlock()
	}
}

// paths are those of two sites, as only this goroutine changes them.
func (w *world) paths(ctx context.Context, tx pgx.Tx, a, b *node) (of, other hierarchy.Path, err error) {
	const query = `SELECT (SELECT path FROM riverhook.site WHERE id = $1), (SELECT path FROM riverhook.site WHERE id = $2)`
	err = tx.QueryRow(ctx, query, a.id, b.id).Scan(&of, &other)
	return of, other, err
}

func (w *world) rename(ctx context.Context, n *node) {
	var former hierarchy.Path
	_, ok := w.attempt("renames", func(tx pgx.Tx) (err error) {
		if former, _, err = w.paths(ctx, tx, n, n); err == nil {
			_, err = w.sites.In(tx).Rename(ctx, former, fmt.Sprintf("renamed%d", w.number()))
		}
		return err
	})
	if ok && n.depth == 1 {
		w.mu.Lock()
		w.former = append(w.former, former)
		w.mu.Unlock()
	}
}

// namesake makes another tenant at the former path of one.
func (w *world) namesake(_ context.Context, r *rand.Rand) {
	w.siteDeeds.Lock()
	defer w.siteDeeds.Unlock()
	w.mu.Lock()
	if len(w.former) == 0 || len(w.nodes) > 100 {
		w.mu.Unlock()
		return
	}
	i := r.IntN(len(w.former))
	p := w.former[i]
	w.former = slices.Delete(w.former, i, i+1)
	w.mu.Unlock()
	w.newTenant(p, []string{"a"})
	w.done("namesakes")
}

// changeSubscription makes, pauses, activates, deactivates, moves to another URL or
// deletes a subscription.
func (w *world) changeSubscription(ctx context.Context, r *rand.Rand) {
	ctx = context.WithoutCancel(ctx)
	w.mu.Lock()
	changing := slices.DeleteFunc(slices.Clone(w.listeners), func(s *sub) bool { return s.isSteady() || s.last().state == "deleted" })
	site := one(r, w.nodes)
	w.mu.Unlock()
	if len(changing) < 8 {
		owner := fmt.Sprintf("owner%d", r.IntN(owners))
		if chance(r, 20) {
			owner = deniedOwner
		}
		w.subscribe(site, "changing-", owner, one(r, patterns))
		w.done("subscribe")
		return
	}
	s := one(r, changing)
	next := s.last()
	var do func(tx pgx.Tx) error
	switch what := r.IntN(10); {
	case what < 3:
		next.state, do = "paused", func(tx pgx.Tx) error { _, err := w.subs.In(tx).Pause(ctx, s.id); return err }
	case what < 6:
		next.state, do = "active", func(tx pgx.Tx) error { _, err := w.subs.In(tx).Activate(ctx, s.id, nil); return err }
	case what < 7:
		next.state, do = "deactivated", func(tx pgx.Tx) error { _, err := w.subs.In(tx).Deactivate(ctx, s.id, "by hand"); return err }
	case what < 9:
		next.url = endpoint(s.key, s.version+1)
		do = func(tx pgx.Tx) error {
			_, err := w.subs.In(tx).Update(ctx, s.id, subscription.Update{URL: new(w.receiver.url(s.key, s.version+1))})
			return err
		}
	default:
		next.state, do = "deleted", func(tx pgx.Tx) error { return w.subs.In(tx).Delete(ctx, s.id) }
	}
	w.touch(s, next, do)
}

// touch changes a subscription and writes down when.
func (w *world) touch(s *sub, next touch, do func(tx pgx.Tx) error) {
	at, ok := w.attempt("change subscription", do)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if next.url != s.last().url {
		s.version++
	}
	next.at = at
	s.touches = append(s.touches, next)
}

// removeOwner removes a principal with all its subscriptions.
func (w *world) removeOwner(ctx context.Context, r *rand.Rand) {
	owner := fmt.Sprintf("owner%d", r.IntN(owners))
	at, ok := w.attempt("owners", func(tx pgx.Tx) error {
		_, err := w.subs.In(tx).DeleteByOwner(context.WithoutCancel(ctx), owner, nil)
		return err
	})
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.listeners {
		if s.owner == owner && s.last().state != "deleted" {
			s.touches = append(s.touches, touch{
				at:    at,
				state: "deleted",
				url:   s.last().url,
			})
		}
	}
}

// eraseOne erases a resource that nobody writes about any more.
func (w *world) eraseOne(ctx context.Context, r *rand.Rand) {
	w.mu.Lock()
	i := r.IntN(len(w.resources))
	about := w.resources[i]
	w.resources[i] = w.newResource()
	w.mu.Unlock()
	about.held.Lock() // those who write about it have ended
	about.gone = true
	about.held.Unlock()
	_, ok := w.attempt("erase", func(tx pgx.Tx) error {
		_, err := w.outbox.Erase(context.WithoutCancel(ctx), tx, access.Resource{Kind: "person", ID: about.id})
		return err
	})
	if ok {
		w.mu.Lock()
		w.erased[about.marker()] = true
		w.mu.Unlock()
	}
}

func (w *world) prune(ctx context.Context, _ *rand.Rand) {
	_, ok := w.attempt("prune", func(pgx.Tx) error {
		_, err := w.console.Prune(context.WithoutCancel(ctx))
		return err
	})
	_ = ok
}

// ask asks the gates. A veto must be known to whoever has asked.
func (w *world) ask(ctx context.Context, r *rand.Rand) {
	w.mu.Lock()
	about := one(r, w.resources)
	w.mu.Unlock()
	answer, err := w.console.Ask(context.WithoutCancel(ctx), delivery.Question{
		Type:     "person.delete",
		Resource: access.Resource{Kind: "person", ID: about.id},
		Timeout:  time.Second,
		Data:     map[string]string{"name": about.marker()},
	})
	if answer == nil || answer.ID == "" {
		return
	}
	w.done("questions")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vetoes[answer.ID] = errors.Is(err, delivery.ErrVetoed)
}

// redeliver redelivers or cancels a delivery, or runs again what has failed.
func (w *world) redeliver(ctx context.Context, r *rand.Rand) {
	ctx = context.WithoutCancel(ctx)
	var id uuid.UUID
	err := w.pool.QueryRow(ctx, `SELECT id FROM riverhook.delivery ORDER BY hashtextextended(id::text, $1) LIMIT 1`, r.Int64()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return
	}
	require.NoError(w.t, err)
	w.mu.Lock()
	s := one(r, w.listeners)
	w.mu.Unlock()
	switch what := r.IntN(10); {
	case what < 5:
		w.attempt("redeliver", func(tx pgx.Tx) error { return notAQuestion(w.console.In(tx).Redeliver(ctx, id)) })
	case what < 7:
		w.attempt("cancel", func(tx pgx.Tx) error { return w.console.In(tx).Cancel(ctx, id, "by hand") })
	case what < 9:
		w.attempt("recover", func(pgx.Tx) error {
			_, err := w.console.Recover(ctx, s.id, nil)
			return err
		})
	default:
		w.retryFailed(ctx)
	}
}

func notAQuestion(err error) error {
	if errors.Is(err, delivery.ErrQuestion) {
		return nil
	}
	return err
}

// retryFailed runs again all that has failed.
func (w *world) retryFailed(ctx context.Context) {
	rows, err := w.pool.Query(ctx, `
		SELECT i.wire_id FROM riverhook.intent i JOIN riverhook.intent_state s ON s.intent_id = i.id
		WHERE s.state = 'failed' OR EXISTS (
			SELECT FROM riverhook.decision c WHERE c.intent_id = i.id AND c.outcome IN ('failed', 'filter_error'))`)
	require.NoError(w.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	for _, id := range ids {
		w.attempt("retry failed", func(pgx.Tx) error {
			_, err := w.console.RetryFailed(ctx, id)
			return err
		})
	}
}
