package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

// resolve measures what it costs to know exactly who is told what: by filters,
// and by the schema of an event type.
//
//   - filtered_of_plain: the expansion of intents, from their commit until the
//     last decision is committed, where a tenth of 100,000 subscriptions to 1,000
//     event types have a filter, of that where none has. Both databases take turns,
//     which of them begins too. Each intent meets ten subscriptions; every filter
//     is another one and lets pass, so that the same is written. All are paused, so
//     that nothing is sent. The first round meets every filter, as an engine has
//     that runs for a while; it is figured apart.
//   - validation_of_unmarshal: see validation.
func resolve(ctx context.Context, b *bench) (r *result, err error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, 2*time.Minute, 5*time.Minute, time.Hour))
	defer cancel()
	r = newResult()
	audiences := map[string]*audience{}
	defer func() {
		for _, a := range audiences {
			a.pool.Close()
		}
	}()
	names := []string{"plain", "filtered"}
	for _, name := range names {
		if audiences[name], err = newAudience(ctx, b, name); err != nil {
			return nil, err
		}
	}
	times := map[string][]float64{}
	engines := map[string]*delivery.Engine{}
	defer func() {
		for _, engine := range engines {
			err = errors.Join(err, engine.Stop(ctx))
		}
	}()
	for _, name := range names {
		a := audiences[name]
		engine, err := a.start(ctx)
		if err != nil {
			return nil, err
		}
		engines[name] = engine
		first, err := a.expand(ctx, a.each())
		if err != nil {
			return nil, err
		}
		r.figure(name+"_first_us_per_intent", first)
	}
	for range of(b.size, 1, 5, 15) {
		for _, name := range names {
			a := audiences[name]
			took, err := a.expand(ctx, a.some(of(b.size, 20, 500, 2000)))
			if err != nil {
				return nil, err
			}
			times[name] = append(times[name], took)
		}
		names[0], names[1] = names[1], names[0]
	}
	for name, all := range times {
		r.figure(name+"_us_per_intent", median(all))
	}
	r.figure("subscriptions", float64(audiences["filtered"].tenants*perTenant))
	r.ratio("filtered_of_plain", medianRatio(times["filtered"], times["plain"]))
	return r, validation(b, r)
}

// A tenant has ten subscriptions to each of ten event types. Those of the tenants
// overlap: there are a tenth as many types as there are pairs of both.
const (
	tenantTypes = 10
	perType     = 10
	perTenant   = tenantTypes * perType
)

// audience is a database with many subscriptions, of which an intent meets ten.
type audience struct {
	*world

	client  *outbox.Client
	tenants int
	types   int
}

func newAudience(ctx context.Context, b *bench, name string) (*audience, error) {
	w, err := b.newWorld(ctx, "resolve_"+name)
	if err != nil {
		return nil, err
	}
	a := &audience{world: w, tenants: of(b.size, 10, 200, 1000)}
	a.types = a.tenants
	if a.client, err = outbox.New(nil); err != nil {
		return nil, err
	}
	filter := ""
	if name == "filtered" {
		filter = "data.id.startsWith('usr_') && size(data.name) < "
	}
	_, err = w.pool.Exec(ctx, `
		WITH made AS (
			INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, state, filter)
			SELECT
				riverhook.new_id(), '/t' || t, 'https://example.com/hook', ARRAY['bench.resolve.t' || (t * $2 + e) % $4::integer], true,
				'standard', 'paused', CASE WHEN n = 0 AND $5 <> '' THEN $5 || (1000 + t * $2 + e) ELSE '' END
			FROM generate_series(0, $1 - 1) AS t, generate_series(0, $2 - 1) AS e, generate_series(0, $3 - 1) AS n
			ORDER BY random()
			RETURNING id
		)
		INSERT INTO riverhook.secret (id, subscription_id, value, sealed)
		SELECT riverhook.new_id(), made.id, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', false FROM made`,
		a.tenants, tenantTypes, perType, a.types, filter)
	if err != nil {
		return nil, err
	}
	_, err = w.pool.Exec(ctx, "VACUUM ANALYZE riverhook.subscription, riverhook.secret")
	return a, err
}

func (a *audience) start(ctx context.Context) (*delivery.Engine, error) {
	engine, err := newEngine(a.pool, "resolve")
	if err != nil {
		return nil, err
	}
	if err := engine.Start(ctx); err != nil {
		return nil, err
	}
	return engine, nil
}

// intent is one of the n-th type of a tenant.
func (a *audience) intent(tenant, n int) outbox.Intent {
	return outbox.Intent{
		Type: resolveType((tenant*tenantTypes + n) % a.types),
		Site: hierarchy.Path(fmt.Sprintf("/t%d", tenant)),
		Data: payload,
	}
}

// each has an intent of each type of each tenant.
func (a *audience) each() []outbox.Intent {
	var intents []outbox.Intent
	for tenant := range a.tenants {
		for n := range tenantTypes {
			intents = append(intents, a.intent(tenant, n))
		}
	}
	return intents
}

func (a *audience) some(n int) []outbox.Intent {
	intents := make([]outbox.Intent, n)
	for i := range intents {
		intents[i] = a.intent(rand.IntN(a.tenants), rand.IntN(tenantTypes)) //nolint:gosec // no secret
	}
	return intents
}

// expand commits intents and returns how many microseconds the engine took to
// expand each of them.
func (a *audience) expand(ctx context.Context, intents []outbox.Intent) (each float64, err error) {
	before, err := a.made(ctx)
	if err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		for some := range slices.Chunk(intents, enqueueBatch) {
			if _, err := a.client.EnqueueMany(ctx, tx, some); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := a.expanded(ctx); err != nil {
		return 0, err
	}
	each = microseconds(time.Since(began)) / float64(len(intents))
	after, err := a.made(ctx)
	if made := len(intents) * perType; err == nil && after-before != made {
		err = fmt.Errorf("%d deliveries of %d intents, not %d", after-before, len(intents), made)
	}
	return each, err
}

func (a *audience) made(ctx context.Context) (n int, err error) {
	err = a.pool.QueryRow(ctx, "SELECT count(*) FROM riverhook.delivery").Scan(&n)
	return n, err
}

// expanded waits until no intent is pending.
func (a *audience) expanded(ctx context.Context) error {
	for {
		var pending bool
		err := a.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM riverhook.intent_state WHERE state = 'pending')").Scan(&pending)
		if err != nil || !pending {
			return err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}
