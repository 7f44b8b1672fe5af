package delivery_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

var textVerifiers = map[string]dialect.Verifier{
	"hub":        dialect.HubVerifier(nil),
	"pywebhooks": dialect.PyWebhooksVerifier(),
	"servo":      dialect.ServoVerifier(),
	"stripe":     dialect.StripeVerifier(nil),
}

// The receivers of a home-made sender keep what they have: whatever text that is.
func TestSecrets_ATextOfAnExistingReceiverIsKept(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	lines := &log{}
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for name, verifier := range textVerifiers {
		for _, text := range []string{"s3cr3t-of-" + name, "whsec_of-another-sender", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
			has, err := dialect.NewTextSecret(text) // what the receiver makes of it
			require.NoError(t, err)
			r := b.receiver(&deliverytest.ReceiverConfig{Secrets: []dialect.Secret{has}, Verifier: verifier})
			created, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
				URL:     r.URL(),
				Events:  []string{"**"},
				Owner:   "owner",
				Dialect: name,
				Secret:  secretOf(text),
			})
			require.NoError(t, err)
			require.Equal(t, text, created.Secret.Reveal())

			id := b.enqueue(nil)
			b.drain(engine)

			require.Equal(t, "delivered", b.delivery(id, created.ID).State, "%s: %s", name, text)
			require.NoError(t, r.Err())
			require.NotContains(t, b.text(`SELECT string_agg(encode(value, 'escape'), ' ') FROM riverhook.secret`), text)
			require.NotContains(t, lines.String(), text)
			require.NoError(t, b.subs.Delete(t.Context(), created.ID))
		}
	}
}

func TestSecrets_ATextIsRotatedAndResealedAsTheOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	newKey := seal.NewKey().Reveal()
	engine := b.engine(nil)
	old, next := secretOf("s3cr3t-the-first"), secretOf("s3cr3t-the-next")
	r := b.receiver(&deliverytest.ReceiverConfig{Secrets: []dialect.Secret{next, old}, Verifier: dialect.StripeVerifier(nil)})
	created, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
		URL:     r.URL(),
		Events:  []string{"**"},
		Owner:   "owner",
		Dialect: "stripe",
		Secret:  old,
	})
	require.NoError(t, err)
	secret, err := b.subs.RotateSecret(t.Context(), created.ID, &subscription.RotateOpts{Secret: next})
	require.NoError(t, err)
	require.Equal(t, next.Reveal(), secret.Reveal())
	both := b.engine(func(cfg *delivery.Config) { cfg.Sealer = keysetOf(newKey + " " + engineKey) })
	resealed, err := both.Subscriptions().Reseal(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 2, resealed.Resealed)

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Sealer = keysetOf(newKey) }))

	require.Equal(t, "delivered", b.delivery(id, created.ID).State)
	request := r.Requests()[0]
	for _, secret := range []dialect.Secret{old, next} {
		require.NoError(t, dialect.StripeVerifier(nil).Verify(request.Header, request.Body, []dialect.Secret{secret}, request.At))
	}
	infos, err := b.subs.ListSecrets(t.Context(), created.ID)
	require.NoError(t, err)
	require.Len(t, infos, 2)
	require.True(t, infos[0].Sealed)
	require.Equal(t, subscription.SecretHMAC, infos[0].Kind)
}

// What the libraries of Standard Webhooks take: base64, with the prefix or without.
func TestSecrets_AStandardOneIsTakenAsTheLibrariesTakeIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	const encoded = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	raw, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	has, err := dialect.NewSecret(raw)
	require.NoError(t, err)
	for _, name := range []string{"standard", "cloudevents", "cloudevents-binary"} {
		for _, text := range []string{encoded, "whsec_" + encoded} {
			r := b.receiver(&deliverytest.ReceiverConfig{Secrets: []dialect.Secret{has}, Verifier: dialect.StandardVerifier(nil)})
			created, err := b.subs.Create(t.Context(), subscription.Spec{
				URL:     r.URL(),
				Events:  []string{"**"},
				Owner:   "owner",
				Dialect: name,
				Secret:  secretOf(text),
			})
			require.NoError(t, err)
			require.Equal(t, text, created.Secret.Reveal())
			id := b.enqueue(nil)
			b.drain(engine)
			require.Equal(t, "delivered", b.delivery(id, created.ID).State)
			require.NoError(t, b.subs.Delete(t.Context(), created.ID))
		}
		_, err := b.subs.Create(t.Context(), subscription.Spec{
			URL:     "https://example.com",
			Events:  []string{"**"},
			Owner:   "owner",
			Dialect: name,
			Secret:  secretOf("s3cr3t!"),
		})
		require.ErrorContains(t, err, `Secret: must begin with "whsec_" or "whsk_", or be base64 of 24 to 64 bytes; `+
			`dialects such as "hub" and "stripe" take any text`)
	}
}

func TestSecrets_AnEd25519OneWithAnHMACDialectIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const noHMAC = "an Ed25519 key makes no HMAC"
	spec := subscription.Spec{
		URL:    "https://example.com",
		Events: []string{"**"},
		Owner:  "owner",
	}
	for name := range textVerifiers {
		given, made := spec, spec
		given.Dialect, given.Secret = name, secretOf(leakPrivate)
		made.Dialect, made.SecretKind = name, subscription.SecretEd25519
		_, err := b.subs.Create(t.Context(), given)
		require.ErrorIs(t, err, subscription.ErrInvalid)
		require.ErrorContains(t, err, "Secret: "+noHMAC)
		_, err = b.subs.Create(t.Context(), made)
		require.ErrorContains(t, err, "SecretKind: "+noHMAC)

		spec := spec
		spec.Dialect = name
		created, err := b.subs.Create(t.Context(), spec)
		require.NoError(t, err)
		for field, opts := range map[string]*subscription.RotateOpts{
			"Secret": {Secret: secretOf(leakPrivate)}, "SecretKind": {SecretKind: subscription.SecretEd25519, Confirm: true},
		} {
			_, err = b.subs.RotateSecret(t.Context(), created.ID, opts)
			require.ErrorContains(t, err, field+": "+noHMAC)
		}
	}
}

// Another dialect must be able to sign with what there is.
func TestUpdate_OfTheDialectNeedsASecretThatFits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	create := func(dialect, secret string) subscription.Subscription {
		t.Helper()
		created, err := b.subs.Create(t.Context(), subscription.Spec{
			URL:     "https://example.com",
			Events:  []string{"**"},
			Owner:   "owner",
			Dialect: dialect,
			Secret:  secretOf(secret),
		})
		require.NoError(t, err)
		return created.Subscription
	}
	to := func(sub subscription.Subscription, dialect string) error {
		_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{Dialect: &dialect})
		return err
	}
	text, private := create("hub", "s3cr3t!"), create("standard", leakPrivate)

	require.ErrorContains(t, to(text, "standard"),
		`Dialect: "standard" cannot sign with the secret that there is, rotate it first: must begin with "whsec_"`)
	require.ErrorContains(t, to(text, ""), `Dialect: "standard" cannot sign`)
	require.NoError(t, to(text, "servo"))
	require.NoError(t, to(text, "servo"))
	require.ErrorContains(t, to(private, "hub"),
		`Dialect: "hub" cannot sign with the secret that there is, rotate it first: an Ed25519 key makes no HMAC`)
	require.NoError(t, to(private, "cloudevents"))

	for _, rotate := range []*subscription.RotateOpts{
		{Confirm: true, SecretKind: subscription.SecretHMAC},
		{SecretKind: subscription.SecretHMAC},
	} {
		require.Error(t, to(private, "stripe"))
		_, err := b.subs.RotateSecret(t.Context(), private.ID, rotate)
		require.NoError(t, err)
	}
	require.NoError(t, to(private, "stripe"))
	_, err := b.subs.RotateSecret(t.Context(), text.ID, nil)
	require.NoError(t, err)
	require.NoError(t, to(text, "standard"))
}

// A dialect of the application says what it can sign with, or is given what it was before.
// What is left when the newest is revoked must be one that the dialect can sign with.
func TestRevokeSecret_LeavesOneThatFits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(b.receiver(nil), func(spec *subscription.Spec) { spec.SecretKind = subscription.SecretEd25519 })
	_, err := b.subs.RotateSecret(t.Context(), sub.ID, &subscription.RotateOpts{SecretKind: subscription.SecretHMAC})
	require.NoError(t, err)
	_, err = b.subs.Update(t.Context(), sub.ID, subscription.Update{Dialect: new("stripe")})
	require.NoError(t, err)
	infos, err := b.subs.ListSecrets(t.Context(), sub.ID)
	require.NoError(t, err)
	owner := b.subs.As("ada", allow(access.Verbs()...))
	for _, revoke := range []func(ctx context.Context, id, secret uuid.UUID) error{b.subs.RevokeSecret, owner.RevokeSecret} {
		err := revoke(t.Context(), sub.ID, infos[0].ID)
		require.ErrorIs(t, err, subscription.ErrLastSecret)
		require.ErrorContains(t, err, `"stripe" cannot sign with the one before it: an Ed25519 key makes no HMAC`)
	}
	require.NoError(t, owner.RevokeSecret(t.Context(), sub.ID, infos[1].ID))
	_, err = b.subs.RotateSecret(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.NoError(t, b.subs.RevokeSecret(t.Context(), sub.ID, infos[0].ID))
}

func TestSecrets_OfADialectOfTheApplication(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	signer := dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) { return http.Header{}, nil })
	var custom []dialect.Dialect
	for _, cfg := range []dialect.CustomConfig{
		{Name: "own-signer", Signer: signer},
		{Name: "own-hmac", Signer: dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-Acme"})},
		{Name: "both", Signer: dialect.Signers(dialect.StandardSigner(), dialect.HubSigner(nil))},
		{Name: "unsigned", Signer: dialect.Unsigned()},
	} {
		d, err := dialect.NewCustom(&cfg)
		require.NoError(t, err)
		custom = append(custom, d)
	}
	var err error
	b.cfg.Dialects, err = dialect.NewRegistry(custom...)
	require.NoError(t, err)
	subs := b.engine(nil).Subscriptions()
	for name, takes := range map[string][4]bool{ // a text, base64, whsec_, whsk_
		"own-signer": {false, true, true, true},
		"own-hmac":   {true, true, true, false},
		"both":       {false, true, true, false},
		"unsigned":   {true, true, true, true},
	} {
		for i, text := range []string{"s3cr3t!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", leakSecret, leakPrivate} {
			_, err := subs.Create(t.Context(), subscription.Spec{
				URL:     "https://example.com",
				Events:  []string{"**"},
				Owner:   "owner",
				Dialect: name,
				Secret:  secretOf(text),
			})
			require.Equal(t, takes[i], err == nil, "%s: %d: %v", name, i, err)
		}
	}
}
