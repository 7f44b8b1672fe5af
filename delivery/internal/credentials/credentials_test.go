package credentials_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// bundle is a database with its store of subscriptions.
type bundle struct {
	t    *testing.T
	db   *pgxpool.Pool
	keys seal.Sealer
	subs *subscription.Store
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	keys, err := seal.NewKeyset(seal.NewKey())
	require.NoError(t, err)
	b := &bundle{
		t:    t,
		db:   pgtest.Pool(t),
		keys: keys,
	}
	b.subs, err = subscription.NewStore(b.db, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      keys,
	})
	require.NoError(t, err)
	return b
}

func (b *bundle) opener(sealer seal.Sealer) *credentials.Opener {
	o := credentials.NewOpener(sealer, store.In(b.db, "riverhook"))
	b.t.Cleanup(o.Close)
	return o
}

func (b *bundle) subscribe(c subscription.Credentials) credentials.Of {
	b.t.Helper()
	created, err := b.subs.Create(b.t.Context(), subscription.Spec{
		Credentials: c,
		Events:      []string{"**"},
		Owner:       "acme",
		Site:        "/",
		URL:         "https://example.com/hooks",
	})
	require.NoError(b.t, err)
	return of(&created.Subscription)
}

func of(sub *subscription.Subscription) credentials.Of {
	return credentials.Of{
		SubscriptionID: sub.ID,
		URL:            sub.URL,
		Version:        sub.CredentialsVersion,
	}
}

// secrets are those of a subscription as statements return them.
func (b *bundle) secrets(id uuid.UUID) (rows [][]byte) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), `
		SELECT array_agg(uuid_send(id) || CASE WHEN sealed THEN decode('01', 'hex') ELSE decode('00', 'hex') END || value)
		FROM riverhook.secret WHERE subscription_id = $1`, id).Scan(&rows))
	return rows
}

// counting is a Sealer that counts what it is asked to open.
type counting struct {
	seal.Sealer

	opened atomic.Int32
}

func (s *counting) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	s.opened.Add(1)
	return s.Sealer.Decrypt(ciphertext, associatedData)
}

// givenUp is how a job calls the Sealer that has ended its process each time.
func givenUp() *callbacks.Caller {
	ended := callbacks.EndedRuns{Runs: map[string]int{callbacks.StepSealer.String(): callbacks.MaxEndedRuns}}
	return callbacks.New().Caller(callbacks.JobRef{JobID: 1, Died: true}, uuid.Must(uuid.NewV7()), ended, nil)
}

func TestSecrets_CallsTheSealerOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sealer := &counting{Sealer: b.keys}
	o, sub := b.opener(sealer), b.subscribe(subscription.Credentials{})
	stored := b.secrets(sub.SubscriptionID)

	_, ok := o.RecallSecrets(sub.SubscriptionID, stored)
	require.False(t, ok, "nothing is remembered yet")
	secrets, err := o.Secrets(t.Context(), nil, sub.SubscriptionID, stored)
	require.NoError(t, err)
	require.Len(t, secrets, 1)
	recalled, ok := o.RecallSecrets(sub.SubscriptionID, stored)
	require.True(t, ok)
	require.Equal(t, secrets, recalled)
	_, err = o.Secrets(t.Context(), nil, sub.SubscriptionID, stored)
	require.NoError(t, err)
	require.EqualValues(t, 1, sealer.opened.Load())
}

func TestSecrets_Fail(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(subscription.Credentials{})
	stored := b.secrets(sub.SubscriptionID)
	other, err := seal.NewKeyset(seal.NewKey())
	require.NoError(t, err)

	_, err = b.opener(other).Secrets(t.Context(), nil, sub.SubscriptionID, stored)
	require.ErrorIs(t, err, seal.ErrNoKey)
	_, err = b.opener(b.keys).Secrets(t.Context(), givenUp(), sub.SubscriptionID, stored)
	require.True(t, callbacks.IsEnded(err))
	_, err = b.opener(b.keys).Secrets(t.Context(), nil, uuid.Must(uuid.NewV7()), stored)
	require.Error(t, err, "they are sealed for their subscription")
	cut := [][]byte{stored[0][:16]}
	_, err = b.opener(b.keys).Secrets(t.Context(), nil, sub.SubscriptionID, cut)
	require.ErrorContains(t, err, "cut off")
	_, ok := b.opener(b.keys).RecallSecrets(sub.SubscriptionID, cut)
	require.False(t, ok)
}

func TestEndpoint_IsOpenedOnceForEachVersion(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sealer := &counting{Sealer: b.keys}
	o := b.opener(sealer)
	authorization := func(sub credentials.Of) string {
		t.Helper()
		e, err := o.Endpoint(t.Context(), nil, sub)
		require.NoError(t, err)
		value, fresh, err := e.Authorization(t.Context(), &http.Client{}, "", time.Now())
		require.NoError(t, err)
		require.True(t, fresh, "nothing newer can be had")
		return value
	}

	require.Empty(t, authorization(b.subscribe(subscription.Credentials{})))
	require.Zero(t, sealer.opened.Load())
	before := b.subscribe(subscription.Credentials{Bearer: "b34rer"})
	require.Equal(t, "Bearer b34rer", authorization(before))
	require.Equal(t, "Bearer b34rer", authorization(before))
	require.EqualValues(t, 1, sealer.opened.Load())

	changed, err := b.subs.Update(t.Context(), before.SubscriptionID, subscription.Update{
		Credentials: &subscription.Credentials{Basic: &subscription.BasicCredentials{Username: "hooks", Password: "pass"}},
	})
	require.NoError(t, err)
	require.Equal(t, "Basic aG9va3M6cGFzcw==", authorization(of(changed)))
	require.EqualValues(t, 2, sealer.opened.Load())
	_, err = o.Endpoint(t.Context(), nil, before)
	require.ErrorIs(t, err, credentials.ErrChanged, "remembered")
	_, err = b.opener(b.keys).Endpoint(t.Context(), nil, before)
	require.ErrorIs(t, err, credentials.ErrChanged, "read from the database")
}

func TestEndpoint_IsForOneOrigin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	o, sub := b.opener(b.keys), b.subscribe(subscription.Credentials{Bearer: "b34rer"})
	e, err := o.Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)

	require.Same(t, e, e.At("https://example.com:443/other"))
	elsewhere, _, err := e.At("https://example.net/hooks").Authorization(t.Context(), &http.Client{}, "", time.Now())
	require.NoError(t, err)
	require.Empty(t, elsewhere)

	sub.URL = "https://example.net/hooks" // as if it had been changed in the database
	_, err = o.Endpoint(t.Context(), nil, sub)
	require.Error(t, err, "it was sealed for another origin")
}

func TestForgetUnused_OpensAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	o, sub := b.opener(b.keys), b.subscribe(subscription.Credentials{Bearer: "b34rer"})
	e, err := o.Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)
	again, err := o.Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)
	require.Same(t, e, again)
	o.ForgetUnused(time.Now().Add(time.Hour))
	o.ForgetUnused(time.Now().Add(2 * time.Hour))
	again, err = o.Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)
	require.NotSame(t, e, again)
}

func TestAuthorization_KeepsATokenUntilItExpiresOrIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 60}`, requests.Add(1))
	}))
	t.Cleanup(server.Close)
	sub := b.subscribe(subscription.Credentials{OAuth2: &subscription.OAuth2Credentials{
		AuthStyle:    "header",
		ClientID:     "hooks",
		ClientSecret: "cl1ent-s3cret",
		TokenURL:     server.URL,
	}})
	e, err := b.opener(b.keys).Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)
	now := time.Now()
	get := func(refused string, now time.Time) (value string, fresh bool) {
		t.Helper()
		value, fresh, err := e.Authorization(t.Context(), server.Client(), refused, now)
		require.NoError(t, err)
		return value, fresh
	}

	value, fresh := get("", now)
	require.Equal(t, "Bearer token-1", value)
	require.True(t, fresh)
	value, fresh = get("", now)
	require.Equal(t, "Bearer token-1", value)
	require.False(t, fresh)
	value, fresh = get("Bearer token-1", now)
	require.Equal(t, "Bearer token-2", value)
	require.True(t, fresh)
	value, _ = get("Bearer token-1", now)
	require.Equal(t, "Bearer token-2", value, "another has been refused")
	value, _ = get("", now.Add(2*time.Minute))
	require.Equal(t, "Bearer token-3", value)
}

func TestAuthorization_ShowsNothingOfAFailure(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("cl1ent-s3cret is wrong"))
	}))
	t.Cleanup(server.Close)
	sub := b.subscribe(subscription.Credentials{OAuth2: &subscription.OAuth2Credentials{
		ClientID:     "hooks",
		ClientSecret: "cl1ent-s3cret",
		TokenURL:     server.URL,
	}})
	e, err := b.opener(b.keys).Endpoint(t.Context(), nil, sub)
	require.NoError(t, err)
	_, _, err = e.Authorization(t.Context(), server.Client(), "", time.Now())
	failed, ok := errors.AsType[*credentials.TokenError](err)
	require.True(t, ok)
	require.NotContains(t, failed.Error(), "cl1ent-s3cret")
	require.Error(t, failed.Err)
}
