package delivery_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// leakRun is a run of everything in which a secret takes part, well or badly. It
// keeps every line that is logged and all that is returned.
type leakRun struct {
	*bundle

	lines log
	shown []string
}

func (l *leakRun) show(values ...any) {
	l.t.Helper()
	for _, v := range values {
		if err, ok := v.(error); ok {
			l.shown = append(l.shown, err.Error(), fmt.Sprintf("%+v %#v", err, err))
			continue
		}
		text, err := json.Marshal(v)
		require.NoError(l.t, err)
		l.shown = append(l.shown, string(text), fmt.Sprintf("%+v", v))
	}
}

// refused keeps an error, which must be one.
func (l *leakRun) refused(_ any, err error) {
	l.t.Helper()
	require.Error(l.t, err)
	l.show(err)
}

// engine logs everything, in both forms of slog.
func (l *leakRun) logging(change func(cfg *delivery.Config)) *delivery.Engine {
	l.t.Helper()
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	return l.engine(func(cfg *delivery.Config) {
		cfg.Logger = slog.New(slog.NewMultiHandler(slog.NewTextHandler(&l.lines, level), slog.NewJSONHandler(&l.lines, level)))
		if change != nil {
			change(cfg)
		}
	})
}

func TestSecrets_AFullRunShowsNoneAnywhere(t *testing.T) {
	t.Parallel()
	l := &leakRun{bundle: newBundle(t)}
	l.cfg.Sealer = keysetOf(leakKey)
	engine := l.logging(withOrigin)
	l.subs = engine.Subscriptions()

	l.subscribeEverywhere()
	l.verify(engine)
	l.changeSecrets(engine)
	l.meetErrors(engine)
	l.deliver(engine)
	l.readHistory(engine)

	require.NotEmpty(t, l.lines.String())
	require.NotRegexp(t, leaks, l.lines.String(), "the log")
	for _, text := range l.shown {
		require.NotRegexp(t, leaks, text)
	}
	l.requireTablesHoldNone()
}

// subscribeEverywhere subscribes endpoints that answer well, badly and not at all.
func (l *leakRun) subscribeEverywhere() {
	l.t.Helper()
	well := l.receiver(nil)
	gone := l.always(deliverytest.Answer{Status: http.StatusGone, Header: http.Header{
		"Set-Cookie": {"session=hunter5"}, "X-Sealed": {leakHeader},
	}})
	failing := l.always(deliverytest.Answer{Status: http.StatusInternalServerError, Body: []byte("no")})
	away, err := deliverytest.StartReceiver(nil)
	require.NoError(l.t, err)
	away.Close()
	for _, url := range []string{well.URL(), gone.URL(), failing.URL(), away.URL()} {
		for _, secret := range []subscription.Secret{secretOf(leakSecret), secretOf(leakPrivate)} {
			created, err := l.subs.Create(l.t.Context(), subscription.Spec{
				URL:           url + "/hook?token=" + leakQuery,
				Events:        []string{"**"},
				Operator:      true,
				Secret:        secret,
				Schedule:      "twice",
				Headers:       map[string]string{"Authorization": leakBearer, "X-Own": "hunter5", "Cookie": "hunter5"},
				SecretHeaders: map[string]string{"X-Sealed": leakHeader},
			})
			require.NoError(l.t, err)
			l.show(created)
		}
	}
	for _, method := range subscription.Verifications() {
		for _, url := range []string{well.URL(), failing.URL()} {
			created, err := l.subs.Create(l.t.Context(), subscription.Spec{
				URL:           url + "/hook?token=" + leakQuery,
				Events:        []string{"**"},
				Operator:      true,
				Secret:        secretOf(leakSecret),
				Verification:  method,
				SecretHeaders: map[string]string{"X-Sealed": leakHeader},
			})
			require.NoError(l.t, err)
			l.show(created)
		}
	}
}

// verify asks what is to be proven, and changes it.
func (l *leakRun) verify(engine *delivery.Engine) {
	l.t.Helper()
	ctx := l.t.Context()
	subs, err := listed(l.subs.List(ctx, &subscription.ListOpts{State: subscription.StatePendingVerification}))
	require.NoError(l.t, err)
	require.NotEmpty(l.t, subs)
	for _, sub := range subs {
		l.pass(time.Minute)
		attempt, err := engine.VerifyEndpoint(ctx, sub.ID)
		require.NoError(l.t, err)
		l.show(attempt)
		l.refused(engine.VerifyEndpoint(ctx, sub.ID))
		l.refused(nil, l.subs.MarkVerified(ctx, sub.ID, sub.URL+"&again="+leakQuery))
		require.NoError(l.t, l.subs.MarkVerified(ctx, sub.ID, sub.URL))
		changed, err := l.subs.Update(ctx, sub.ID, subscription.Update{URL: new(sub.URL + "&again=" + leakQuery)})
		require.NoError(l.t, err)
		l.show(changed)
	}
	l.drain(engine)
}

// changeSecrets rotates, confirms, lists, revokes, reads and reseals.
func (l *leakRun) changeSecrets(engine *delivery.Engine) {
	l.t.Helper()
	ctx := l.t.Context()
	subs, err := listed(l.subs.List(ctx, nil))
	require.NoError(l.t, err)
	l.show(subs)
	for _, sub := range subs {
		opts := &subscription.RotateOpts{Secret: secretOf(leakSecret)}
		secret, err := l.subs.RotateSecret(ctx, sub.ID, opts)
		require.NoError(l.t, err)
		l.show(secret, opts)
		_, err = l.subs.RotateSecret(ctx, sub.ID, &subscription.RotateOpts{Confirm: true, Secret: secretOf(leakPrivate)})
		require.NoError(l.t, err)
		attempt, err := engine.ConfirmSecret(ctx, sub.ID)
		require.NoError(l.t, err)
		l.show(attempt)
		if attempt, _, err = engine.Ping(ctx, sub.ID, nil); err == nil {
			l.show(attempt)
		}
		update := subscription.Update{SecretHeaders: &map[string]string{"X-Sealed": leakHeader}}
		changed, err := l.subs.Update(ctx, sub.ID, update)
		require.NoError(l.t, err)
		l.show(update, changed)
		infos, err := l.subs.ListSecrets(ctx, sub.ID)
		require.NoError(l.t, err)
		l.show(infos)
		require.NoError(l.t, l.subs.RevokeSecret(ctx, sub.ID, infos[0].ID))
		all, err := l.subs.Secrets(ctx, sub.ID)
		require.NoError(l.t, err)
		l.show(all)
	}
	result, err := l.with(keysetOf(seal.NewKey().Reveal()+" "+leakKey)).Subscriptions().Reseal(ctx, nil)
	require.NoError(l.t, err)
	l.show(result)
	_, err = l.with(keysetOf(leakKey)).Subscriptions().Reseal(ctx, nil) // it lacks the new key
	l.refused(nil, err)
}

// leakySealer panics with what it is to seal.
type leakySealer struct{}

func (leakySealer) Encrypt(plaintext, _ []byte) ([]byte, error) { panic(string(plaintext)) }
func (leakySealer) Decrypt(_, _ []byte) ([]byte, error)         { panic(leakSecret) }

// meetErrors gives each function that takes a secret or a credential a bad one.
func (l *leakRun) meetErrors(engine *delivery.Engine) {
	l.t.Helper()
	ctx := l.t.Context()
	l.refused(seal.ParseKeyset(leakKey[:30]))
	l.refused(seal.ParseKeyset(leakKey + " " + leakKey))
	l.refused(seal.ParseKeyset(leakSecret))
	l.refused(dialect.ParseSecret(leakSecret[:30]))
	l.refused(dialect.ParseSecret(leakKey))
	l.refused(dialect.ParsePublicKey(leakPrivate))
	spec := subscription.Spec{
		URL:      "https://example.com/?token=" + leakQuery,
		Events:   []string{"**"},
		Operator: true,
	}
	for _, spoil := range []func(s *subscription.Spec){
		func(s *subscription.Spec) { s.Secret = secretOf(leakSecret[:30]) },
		func(s *subscription.Spec) {
			s.Secret, s.SecretKind = secretOf(leakSecret), subscription.SecretEd25519
		},
		func(s *subscription.Spec) { s.Secret = secretOf(leakPrivate[:40]) },
		func(s *subscription.Spec) { s.Headers = map[string]string{"Authorization": leakBearer + "\n"} },
		func(s *subscription.Spec) {
			s.SecretHeaders = map[string]string{"X-Sealed": leakHeader + "\n"}
		},
		func(s *subscription.Spec) { s.URL = "https://ada:hunter6@example.com/" },
		func(s *subscription.Spec) { s.URL = "http://example.com:x/?" + leakQuery },
	} {
		bad := spec
		spoil(&bad)
		l.refused(l.subs.Create(ctx, bad))
		l.show(bad)
	}
	policy, err := egress.New(nil)
	require.NoError(l.t, err)
	panics := l.logging(func(cfg *delivery.Config) { cfg.Sealer, cfg.Egress = leakySealer{}, policy }).Subscriptions()
	spec.Secret = secretOf(leakSecret)
	l.refused(panics.Create(ctx, spec))
	_, _, err = engine.Ping(ctx, uuid.New(), nil)
	l.refused(nil, err)
}

// deliver delivers to all of them, also by engines that lack a key or are refused
// the address.
func (l *leakRun) deliver(engine *delivery.Engine) {
	l.t.Helper()
	ctx := l.t.Context()
	subs, err := listed(l.subs.List(ctx, nil))
	require.NoError(l.t, err)
	for _, sub := range subs {
		require.NoError(l.t, l.subs.Delete(ctx, sub.ID))
	}
	l.subscribeEverywhere()
	l.enqueue(nil)
	for _, lacks := range []seal.Sealer{keysetOf(seal.NewKey().Reveal()), leakySealer{}} {
		poor := l.logging(func(cfg *delivery.Config) { cfg.Sealer = lacks })
		l.drain(poor)
		l.pass(time.Minute)
		subs, err = listed(l.subs.List(ctx, nil))
		require.NoError(l.t, err)
		_, _, err = poor.Ping(ctx, subs[0].ID, nil)
		l.refused(nil, err)
		l.refused(poor.Subscriptions().Secrets(ctx, subs[0].ID))
	}
	policy, err := egress.New(&egress.Config{AllowHTTP: true, AnyPort: true})
	require.NoError(l.t, err)
	l.drain(l.logging(func(cfg *delivery.Config) { cfg.Egress = policy }))
	for range 5 {
		l.pass(time.Hour)
		l.drain(engine)
	}
}

func (l *leakRun) readHistory(engine *delivery.Engine) {
	l.t.Helper()
	ctx := l.t.Context()
	h := engine.History()
	intents, err := intentsOf(h.Intents(ctx, nil))
	require.NoError(l.t, err)
	l.show(intents)
	deliveries, err := deliveriesOf(h.Deliveries(ctx, nil))
	require.NoError(l.t, err)
	l.show(deliveries)
	outcomes := map[delivery.Outcome]bool{}
	for _, d := range deliveries {
		attempts, err := h.Attempts(ctx, d.ID)
		require.NoError(l.t, err)
		l.show(attempts)
		for _, a := range attempts {
			outcomes[a.Outcome] = true
		}
	}
	for _, outcome := range []delivery.Outcome{
		delivery.OutcomeBlocked, delivery.OutcomeDelivered, delivery.OutcomeFailed, delivery.OutcomeGone, delivery.OutcomeUnreachable,
	} {
		require.True(l.t, outcomes[outcome], "the run has no attempt that was %s", outcome)
	}
	for _, in := range intents {
		explanation, err := engine.Explain(ctx, in.ID)
		require.NoError(l.t, err)
		l.show(explanation, errors.New(explanation.String()))
	}
}

// requireTablesHoldNone looks at each column of each row, as text, in which bytes
// are hexadecimal.
func (l *leakRun) requireTablesHoldNone() {
	l.t.Helper()
	rows, err := l.pool.Query(l.t.Context(), `
		SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'riverhook' AND c.relkind IN ('r', 'p') ORDER BY 1`)
	require.NoError(l.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(l.t, err)
	require.Contains(l.t, tables, "secret")
	inClear := regexp.MustCompile(leakKeptInClear)
	for _, table := range tables {
		rows, err := l.pool.Query(l.t.Context(), `SELECT t::text FROM riverhook.`+pgx.Identifier{table}.Sanitize()+` t`)
		require.NoError(l.t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(l.t, err)
		if table == "secret" || table == "endpoint_auth" {
			require.NotEmpty(l.t, texts)
		}
		for _, text := range texts {
			if table == "subscription" || table == "endpoint_challenge" {
				text = inClear.ReplaceAllString(text, "")
			}
			require.NotRegexp(l.t, leaks, text, table)
		}
	}
}
