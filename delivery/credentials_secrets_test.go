package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

const unopened = "its signing secret cannot be opened in the process that tried"

// with is an engine with another sealer.
func (b *bundle) with(s seal.Sealer) *delivery.Engine {
	b.t.Helper()
	return b.engine(func(cfg *delivery.Config) { cfg.Sealer = s })
}

// openingSealer does first what before says, for each value that it opens. An
// error of it is that of the sealer.
type openingSealer struct {
	seal.Sealer

	before func(ciphertext []byte) error
	opened atomic.Int32
}

func (s *openingSealer) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	s.opened.Add(1)
	if s.before != nil {
		if err := s.before(ciphertext); err != nil {
			return nil, err
		}
	}
	return s.Sealer.Decrypt(ciphertext, associatedData)
}

func TestSecrets_OneThatDoesNotOpenHereWaitsForAProcessThatHasTheKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	other := seal.NewKey()
	for name, s := range map[string]seal.Sealer{
		"another key":     keysetOf(other.Reveal()),
		"no key":          seal.Clear(),
		"one that panics": &openingSealer{Sealer: sealer(), before: func([]byte) error { panic("hunter2") }},
		"one that is out of reach": &openingSealer{Sealer: sealer(), before: func([]byte) error {
			return errors.New("the key management is down")
		}},
	} {
		var text log
		id := b.enqueue(nil)
		waits := b.engine(func(cfg *delivery.Config) {
			cfg.Logger, cfg.Sealer = slog.New(slog.NewTextHandler(&text, nil)), s
		})
		for range 3 { // the first attempt, and later ones
			b.drain(waits)
			b.pass(time.Minute)
		}
		require.Empty(t, received(r, id), name)
		d := b.delivery(id, sub.ID)
		require.Equal(t, "pending", d.State, name)
		require.Equal(t, unopened, d.Reason, name)
		require.Zero(t, d.Attempts)
		require.Empty(t, b.outcomes(d.ID))
		require.Contains(t, text.String(), `msg="riverhook: delivery waits"`)
		require.Contains(t, text.String(), "subscription="+sub.ID.String())
		require.NotContains(t, text.String(), "hunter2")

		b.drain(b.engine(nil))
		require.Len(t, received(r, id), 1, name)
		require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	}
}

// A receiver may have only the new secret, or only the old one.
func TestSecrets_OfSeveralAllMustOpen(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	newKey := seal.NewKey().Reveal()
	secret, err := b.with(keysetOf(newKey)).Subscriptions().RotateSecret(t.Context(), sub.ID, nil)
	require.NoError(t, err)

	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Empty(t, r.Requests())
	b.pass(time.Minute)
	b.drain(b.with(keysetOf(engineKey + " " + newKey)))

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	parsed, err := dialect.ParseSecret(secret.Reveal())
	require.NoError(t, err)
	req := r.Requests()[0]
	require.NoError(t, dialect.StandardVerifier(nil).Verify(req.Header, req.Body, []dialect.Secret{parsed}, req.At))
}

// The first attempt, a later one and a ping read the secrets each for itself.
func TestSecrets_ThoseInForceSignNewestFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:      r.URL(),
		Events:   []string{"**"},
		Operator: true,
		Schedule: "twice",
	})
	require.NoError(t, err)
	second, err := b.subs.RotateSecret(t.Context(), created.ID, nil)
	require.NoError(t, err)
	names := map[string]dialect.Secret{"first": created.Secret, "second": second}
	for _, secret := range names {
		require.NoError(t, r.Trust(secret))
	}
	signers := func(req deliverytest.Request) []string {
		var out []string
		header := req.Header.Clone()
		for signature := range strings.FieldsSeq(req.Header.Get("Webhook-Signature")) {
			header.Set("Webhook-Signature", signature)
			for name, secret := range names {
				if dialect.StandardVerifier(nil).Verify(header, req.Body, []dialect.Secret{secret}, req.At) == nil {
					out = append(out, name)
				}
			}
		}
		return out
	}
	requireSigned := func(want ...string) {
		t.Helper()
		before := len(r.Requests())
		r.Script(deliverytest.Answer{Status: 500})
		b.enqueue(nil)
		b.drainAhead(engine, 2*time.Hour)
		_, _, err := engine.Ping(t.Context(), created.ID, nil)
		require.NoError(t, err)
		sent := r.Requests()[before:]
		require.Len(t, sent, 3)
		for _, req := range sent {
			require.Equal(t, want, signers(req))
		}
	}

	requireSigned("second", "first")
	require.Equal(t, 1, b.exec(`UPDATE riverhook.secret SET expires_at = now() WHERE expires_at IS NOT NULL`))
	requireSigned("second")
}

func TestSecrets_OneThatWasStoredInClearStillSignsAndIsResealed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subs = b.with(seal.Clear()).Subscriptions()
	sub := b.subscribe(r, nil)
	engine := b.engine(nil)
	b.enqueue(nil)
	b.drain(engine)
	require.Len(t, r.Requests(), 1)

	result, err := engine.Subscriptions().Reseal(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, result.Resealed)
	b.enqueue(nil)
	b.drain(engine)
	require.Len(t, r.Requests(), 2)
	id := b.enqueue(nil)
	b.drain(b.with(seal.Clear()))
	require.Equal(t, unopened, b.delivery(id, sub.ID).Reason)
}

// The sealer takes the only connection that there is.
func TestSecrets_AreOpenedWhileNoConnectionIsHeld(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, nil)
	cfg := b.pool.Config()
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	asked := &openingSealer{Sealer: sealer(), before: func([]byte) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return pool.Ping(ctx)
	}}
	own := b.cfg
	own.Sealer = asked
	for range 2 { // the first attempt and a ping, then later ones; each engine remembers
		engine, err := delivery.New(pool, &own)
		require.NoError(t, err)
		b.enqueue(nil)
		b.drain(engine)
		b.pass(time.Minute)
		_, _, err = engine.Ping(t.Context(), sub.ID, nil)
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, asked.opened.Load())
	require.NotEmpty(t, r.Requests())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE reason = $1`, unopened))
}

func TestSecrets_OneThatIsSlowToOpenKeepsNoOtherDeliveryWaiting(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow, quick := b.receiver(nil), b.receiver(nil)
	sub := b.subscribe(slow, nil)
	b.subscribe(quick, nil)
	var value []byte
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT value FROM riverhook.secret WHERE subscription_id = $1`, sub.ID).Scan(&value))
	answer := make(chan struct{})
	b.start(b.with(&openingSealer{Sealer: sealer(), before: func(ciphertext []byte) error {
		if bytes.Equal(ciphertext, value) {
			<-answer
		}
		return nil
	}}))

	b.enqueue(nil)
	b.enqueue(nil)

	_, err := quick.Wait(t.Context(), 2)
	require.NoError(t, err)
	require.Empty(t, slow.Requests())
	close(answer)
	_, err = slow.Wait(t.Context(), 2)
	require.NoError(t, err)
}

func TestSecrets_TheSealerIsAskedOncePerSecret(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	b.subscribe(r, nil)
	asked := &openingSealer{Sealer: sealer()}
	engine := b.with(asked)
	for range 20 {
		b.enqueue(nil)
	}
	b.drain(engine)
	require.Len(t, r.Requests(), 40)
	require.EqualValues(t, 2, asked.opened.Load())
}

func TestSecrets_AnEd25519OneSignsForWhoeverHasThePublicKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:        r.URL(),
		Events:     []string{"**"},
		Operator:   true,
		SecretKind: subscription.SecretEd25519,
	})
	require.NoError(t, err)
	r.TrustKeys(created.Secret.PublicKey())

	b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 1)
	require.Regexp(t, `^v1a,[A-Za-z0-9+/]{86}==$`, r.Requests()[0].Header.Get("Webhook-Signature"))
	infos, err := b.subs.ListSecrets(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, created.Secret.PublicKey().String(), infos[0].PublicKey)

	// While a shared secret takes over, both sign.
	secret, err := b.subs.RotateSecret(t.Context(), created.ID, &subscription.RotateOpts{SecretKind: subscription.SecretHMAC})
	require.NoError(t, err)
	b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Regexp(t, `^v1,[A-Za-z0-9+/]{43}= v1a,`, r.Requests()[1].Header.Get("Webhook-Signature"))
	other := deliverytest.NewReceiver(t, nil)
	require.NoError(t, other.Trust(secret))
}

func TestConfirmSecret_ByAPingThatItAloneSigns(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	knowsOld, err := deliverytest.StartReceiver(nil)
	require.NoError(t, err)
	t.Cleanup(knowsOld.Close)
	sub := b.subscribe(knowsOld, nil)
	engine := b.engine(nil)
	_, err = engine.ConfirmSecret(t.Context(), sub.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound, "none waits")
	_, err = engine.ConfirmSecret(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
	secret, err := b.subs.RotateSecret(t.Context(), sub.ID, &subscription.RotateOpts{Confirm: true})
	require.NoError(t, err)

	id := b.enqueue(nil)
	b.drain(engine)
	require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(id)[0].ID))
	b.drain(engine)
	require.NoError(t, knowsOld.Err(), "what is sent is signed with the former one")
	signatures := func(r deliverytest.Request) int {
		return len(strings.Fields(r.Header.Get("Webhook-Signature")))
	}
	require.Equal(t, 1, signatures(knowsOld.Requests()[0]), "and with that alone")
	require.Equal(t, 1, signatures(knowsOld.Requests()[1]), "a later attempt too")
	a, err := engine.ConfirmSecret(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeRejected, a.Outcome)
	require.Error(t, knowsOld.Err(), "the ping is not")
	infos, err := b.subs.ListSecrets(t.Context(), sub.ID)
	require.NoError(t, err)
	require.True(t, infos[0].Pending)
	ping, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, ping.Outcome, "other pings are signed as deliveries are")
	require.Equal(t, 1, signatures(knowsOld.Requests()[3]))

	require.NoError(t, knowsOld.Trust(secret))
	a, err = engine.ConfirmSecret(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	infos, err = b.subs.ListSecrets(t.Context(), sub.ID)
	require.NoError(t, err)
	require.False(t, infos[0].Pending)
	require.NotNil(t, infos[1].ExpiresAt)
	knowsNew := b.receiver(nil)
	require.NoError(t, knowsNew.Trust(secret))
	_, err = b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: new(knowsNew.URL())})
	require.NoError(t, err)
	b.enqueue(nil)
	b.drain(engine)
	require.Len(t, knowsNew.Requests(), 1)

	_, err = b.subs.RotateSecret(t.Context(), sub.ID, &subscription.RotateOpts{Confirm: true})
	require.NoError(t, err)
	_, err = b.with(seal.Clear()).ConfirmSecret(t.Context(), sub.ID)
	require.ErrorIs(t, err, seal.ErrNoKey)
	_, _, err = b.with(seal.Clear()).Ping(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

// The receiver rotates while it answers.
func TestConfirmSecret_OneThatWasOvertakenConfirmsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var subID uuid.UUID
	var rotated error
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		_, rotated = b.subs.RotateSecret(context.Background(), subID, &subscription.RotateOpts{Confirm: true})
		return deliverytest.Answer{}
	}})
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:      r.URL(),
		Events:   []string{"**"},
		Operator: true,
	})
	require.NoError(t, err)
	subID = created.ID
	_, err = b.subs.RotateSecret(t.Context(), subID, &subscription.RotateOpts{Confirm: true})
	require.NoError(t, err)

	_, err = b.engine(nil).ConfirmSecret(t.Context(), subID)

	require.NoError(t, rotated)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	infos, err := b.subs.ListSecrets(t.Context(), subID)
	require.NoError(t, err)
	require.True(t, infos[0].Pending)
}
