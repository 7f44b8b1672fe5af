package delivery_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/subscription"
)

// withoutRights are the methods of engine and history that no principal is given.
var withoutRights = map[string]string{
	"Ask":           "is for the application, before it does something",
	"As":            "makes a handle of a principal",
	"Heartbeat":     "is there in tests only",
	"History":       "is all of the history",
	"InSlot":        "is there in tests only",
	"InSlots":       "is there in tests only",
	"Intent":        "is of the application, whoever subscribes",
	"Intents":       "are of the application, whoever subscribes",
	"Maintain":      "is there in tests only",
	"OnPoint":       "is there in tests only",
	"Process":       "is there in tests only",
	"Prune":         "is for the operator",
	"Ready":         "is for the operator",
	"ReindexBy":     "is there in tests only",
	"RereadAfter":   "is there in tests only",
	"RetryFailed":   "runs an intent again for everybody",
	"RunDue":        "is for the operator",
	"SetClock":      "is there in tests only",
	"Start":         "is for the operator",
	"Stats":         "are of all subscriptions",
	"Stop":          "is for the operator",
	"Subscriptions": "is the store; it has an As of its own",
	"VerifyDue":     "is there in tests only",

	"RetryFailedMany":  "runs intents again for everybody",
	"UnwrittenReturns": "is there in tests only",
}

func TestPrincipal_HasEachMethodOfEngineAndHistoryOrIsKeptFromIt(t *testing.T) {
	t.Parallel()
	names := func(of reflect.Type) (names []string) {
		for method := range of.Methods() {
			names = append(names, method.Name)
		}
		return names
	}
	for whole, part := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[*delivery.Engine]():  reflect.TypeFor[*delivery.Handle](),
		reflect.TypeFor[*delivery.History](): reflect.TypeFor[*delivery.View](),
	} {
		forPrincipals := names(part)
		for _, method := range names(whole) {
			_, kept := withoutRights[method]
			if method == "As" { // that of a View would be another's
				require.NotContains(t, forPrincipals, method)
				continue
			}
			require.NotEqual(t, kept, slices.Contains(forPrincipals, method),
				"%s must be a method of %s, or be one of withoutRights with the reason", method, part)
		}
	}
}

// allow allows these verbs to anybody.
func allow(verbs ...access.Verb) access.Authorizer {
	return access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		if !slices.Contains(verbs, a.Verb) {
			return access.ErrDenied
		}
		return nil
	})
}

func TestPrincipal_EachMethodOfItsEngineAsksForItsRight(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	ctx := t.Context()
	down := errors.New("down")
	inTx := func(do func(tx pgx.Tx) error) error { return pgx.BeginFunc(ctx, b.pool, do) }
	db := stdlib.OpenDBFromPool(b.pool)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	calls := map[string]struct {
		verb access.Verb
		call func(p *delivery.Handle, id uuid.UUID, sub uuid.UUID, intent string) error
	}{
		"Attempts": {access.VerbHistory, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			_, err := p.Attempts(ctx, id)
			return err
		}},
		"Cancel": {access.VerbSend, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			return p.Cancel(ctx, id, "no more")
		}},
		"In": {access.VerbSend, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			return inTx(func(tx pgx.Tx) error { return p.In(tx).Cancel(ctx, id, "no more") })
		}},
		"ConfirmSecret": {access.VerbSecret, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, err := p.ConfirmSecret(ctx, sub)
			return err
		}},
		"Deliveries": {access.VerbHistory, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, err := p.Deliveries(ctx, &delivery.DeliveryFilter{SubscriptionID: sub})
			return err
		}},
		"Delivery": {access.VerbHistory, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			_, err := p.Delivery(ctx, id)
			return err
		}},
		"Health": {access.VerbHistory, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, err := p.Health(ctx, sub)
			return err
		}},
		"Message": {access.VerbHistory, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			_, err := p.Message(ctx, id)
			return err
		}},
		"Ping": {access.VerbSend, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, _, err := p.Ping(ctx, sub, nil)
			return err
		}},
		"Recover": {access.VerbSend, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, err := p.Recover(ctx, sub, nil)
			return err
		}},
		"Redeliver": {access.VerbSend, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			return p.Redeliver(ctx, id)
		}},
		"InSQL": {access.VerbSend, func(p *delivery.Handle, id, _ uuid.UUID, _ string) error {
			tx, err := db.BeginTx(ctx, nil)
			require.NoError(t, err)
			defer tx.Rollback()
			return errors.Join(p.InSQL(tx).Redeliver(ctx, id), tx.Commit())
		}},
		"VerifyEndpoint": {access.VerbSend, func(p *delivery.Handle, _, sub uuid.UUID, _ string) error {
			_, err := p.VerifyEndpoint(ctx, sub)
			return err
		}},
	}
	for method := range reflect.TypeFor[*delivery.Handle]().Methods() {
		if method.Name != "Explain" { // TestExplain_HasALineForEachSubscriptionOfAnOwner tests its right
			require.Contains(t, calls, method.Name)
		}
	}
	for name, c := range calls {
		r := b.receiver(nil)
		sub := b.subscribe(r, nil)
		intent := b.enqueue(nil)
		b.drain(engine)
		id := b.delivery(intent, sub.ID).ID
		if name == "Cancel" || name == "In" {
			require.NoError(t, engine.Redeliver(ctx, id))
		}
		if name == "ConfirmSecret" {
			secret, err := b.subs.RotateSecret(ctx, sub.ID, &subscription.RotateOpts{Confirm: true})
			require.NoError(t, err)
			require.NoError(t, r.Trust(secret))
		}
		if name == "VerifyEndpoint" {
			_, err := b.subs.Update(ctx, sub.ID, subscription.Update{
				URL: new(r.URL() + "/other"), Verification: new(subscription.VerificationChallenge),
			})
			require.NoError(t, err)
		}
		sent, state := len(r.Requests()), b.delivery(intent, sub.ID)
		by := func(auth access.Authorizer) error { return c.call(engine.As("ann", auth), id, sub.ID, intent) }
		require.ErrorIs(t, by(nil), delivery.ErrNotFound, name)
		require.NotErrorIs(t, by(nil), access.ErrDenied, name)
		others := slices.DeleteFunc(access.Verbs(), func(v access.Verb) bool { return v == c.verb })
		require.ErrorIs(t, by(allow(others...)), access.ErrDenied, name)
		require.ErrorIs(t, by(access.AuthorizerFunc(func(context.Context, access.Action) error { return down })), down, name)
		require.Len(t, r.Requests(), sent, name)
		require.Equal(t, state, b.delivery(intent, sub.ID), name)
		require.NoError(t, by(allow(access.VerbView, c.verb)), name)

		missing := c.call(engine.As("ann", allow(access.Verbs()...)), uuid.Max, uuid.Max, "")
		require.ErrorIs(t, missing, delivery.ErrNotFound, name)
		require.NoError(t, b.subs.Delete(ctx, sub.ID))
		b.drain(engine)
	}
}

// ownersOnly lets everybody do everything with their own.
var ownersOnly = &access.SiteManagers{}

func TestPrincipal_SeesTheHistoryOfItsOwnPageByPage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	_, mine := b.subscribeAs("ada")
	_, bobs := b.subscribeAs("bob")
	var want []uuid.UUID
	for range 7 {
		id := b.enqueue(nil)
		b.drain(engine)
		want = append([]uuid.UUID{b.delivery(id, mine).ID}, want...)
	}
	ada := engine.As("ada", ownersOnly)
	for _, limit := range []int{1, 3, 7, 0} {
		var got []uuid.UUID
		filter := &delivery.DeliveryFilter{Limit: limit}
		for {
			page, err := ada.Deliveries(t.Context(), filter)
			require.NoError(t, err)
			for _, d := range page.Deliveries {
				got = append(got, d.ID)
			}
			if filter.Cursor = page.Next; page.Next == "" {
				break
			}
			require.Len(t, page.Deliveries, limit)
		}
		require.Equal(t, want, got)
	}
	_, err := ada.Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: bobs})
	require.ErrorIs(t, err, delivery.ErrNotFound)
	_, err = ada.Deliveries(t.Context(), &delivery.DeliveryFilter{Limit: -1})
	require.ErrorContains(t, err, "Limit")

	// The history outlives the subscription, and so does the right to see it.
	require.NoError(t, b.subs.Delete(t.Context(), mine))
	page, err := ada.Deliveries(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Deliveries, len(want))
	require.ErrorIs(t, ada.Redeliver(t.Context(), want[0]), delivery.ErrSubscriptionGone)
}

// Neither a page nor its Next tells of what others are sent, however much.
func TestPrincipalDeliveries_TellNothingOfOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	_, mine := b.subscribeAs("ada")
	for range 2 {
		b.enqueue(nil)
	}
	b.drain(engine)
	ada := engine.As("ada", ownersOnly)
	pages := func() []delivery.DeliveryPage {
		var pages []delivery.DeliveryPage
		for f := (&delivery.DeliveryFilter{Limit: 1}); ; {
			page, err := ada.Deliveries(t.Context(), f)
			require.NoError(t, err)
			pages = append(pages, *page)
			if f.Cursor = page.Next; page.Next == "" {
				return pages
			}
		}
	}
	alone := pages()
	require.Len(t, alone, 2)
	require.Equal(t, mine, alone[1].Deliveries[0].SubscriptionID)
	_, bobs := b.subscribeAs("bob")
	b.exec(`
		INSERT INTO riverhook.delivery
		SELECT (jsonb_populate_record(d, jsonb_build_object('id', p || substr(gen_random_uuid()::text, 2), 'subscription_id', $1::uuid,
			'intent_id', gen_random_uuid()))).*
		FROM riverhook.delivery d, generate_series(1, 2500), unnest(ARRAY['f', '0']) p`, bobs)
	b.exec(`
		INSERT INTO riverhook.intent
		SELECT (jsonb_populate_record(i, jsonb_build_object('id', d.intent_id, 'wire_id', d.intent_id))).*
		FROM riverhook.intent i, riverhook.delivery d
		WHERE d.subscription_id = $1 AND i.id = (SELECT min(id::text)::uuid FROM riverhook.intent)`, bobs)
	require.Equal(t, alone, pages())
	page, err := engine.As("eve", ownersOnly).Deliveries(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, &delivery.DeliveryPage{}, page)
	page, err = ada.Deliveries(t.Context(), &delivery.DeliveryFilter{Owner: "bob"})
	require.NoError(t, err)
	require.Equal(t, &delivery.DeliveryPage{}, page)
	page, err = ada.Deliveries(t.Context(), &delivery.DeliveryFilter{Owner: "ada"})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 2)
}

func TestPrincipal_WhatIsForTheOperatorAloneIsNotForIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.point("http://hooks.example.com/", nil)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Resolver = resolver{"10.9.8.7"} })
	})
	id := b.enqueue(nil)
	b.drain(engine)
	p := engine.As("ann", allow(access.Verbs()...))
	attempts, err := p.Attempts(t.Context(), b.delivery(id, sub).ID)
	require.NoError(t, err)
	pinged, _, err := p.Ping(t.Context(), sub, nil)
	require.NoError(t, err)
	for _, a := range []delivery.Attempt{attempts[0], *pinged} {
		require.Equal(t, delivery.OutcomeBlocked, a.Outcome)
		require.Empty(t, a.Reason)
	}
}

func TestPrincipal_HistoryHoldsNoConnectionWhileTheAuthorizerIsAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	sub := b.subscribe(b.receiver(&deliverytest.ReceiverConfig{}), nil)
	intent := b.enqueue(nil)
	b.drain(engine)
	cfg := b.pool.Config()
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	history, err := delivery.NewHistory(pool, nil)
	require.NoError(t, err)
	p := history.As("ann", access.AuthorizerFunc(func(ctx context.Context, _ access.Action) error {
		_, err := pool.Exec(ctx, `SELECT 1`) // takes the one connection
		return err
	}))
	page, err := p.Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: sub.ID})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 1)
	_, err = p.Message(t.Context(), page.Deliveries[0].ID)
	require.NoError(t, err)
	_, err = p.Explain(t.Context(), intent)
	require.NoError(t, err)
}
