package subscription

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	urlA = "https://a.example/hook"
	urlB = "https://a.example/other"
	urlC = "https://c.example/hook"
)

// provenSubscription is one at urlA that is proven and active, and has credentials.
func provenSubscription(t *testing.T, subs *Store) uuid.UUID {
	t.Helper()
	spec := specAt("/a")
	spec.URL, spec.Verification = urlA, VerificationChallenge
	spec.Credentials, spec.SecretHeaders = Credentials{Bearer: "t0ken"}, map[string]string{"X-Key": "k3y"}
	created, err := subs.Create(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, StatePendingVerification, created.State)
	require.NoError(t, subs.MarkVerified(t.Context(), created.ID, urlA))
	return created.ID
}

func get(t *testing.T, subs *Store, id uuid.UUID) *Subscription {
	t.Helper()
	sub, err := subs.Get(t.Context(), id)
	require.NoError(t, err)
	return sub
}

// challengeOf is what is to be proven of a subscription, its fence, and whether an
// engine asks by itself.
func challengeOf(t require.TestingT, pool *pgxpool.Pool, id uuid.UUID) (fence *uuid.UUID, url string, due bool) {
	ctx, cancel := testContext(t)
	defer cancel()
	rows, err := pool.Query(ctx, `
		SELECT id, url, due_at IS NOT NULL FROM riverhook.endpoint_challenge WHERE subscription_id = $1 AND id IS NOT NULL`, id)
	require.NoError(t, err)
	defer rows.Close()
	if rows.Next() {
		require.NoError(t, rows.Scan(&fence, &url, &due))
	}
	return fence, url, due
}

func TestVerify_ANewURLTakesOverWhenItIsProven(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	id := provenSubscription(t, subs)
	before := get(t, subs, id)
	require.Equal(t, StateActive, before.State)
	require.NotNil(t, before.VerifiedAt)

	changed, err := subs.Update(ctx, id, Update{URL: new(urlB)})
	require.NoError(t, err)
	require.Equal(t, []string{urlA, urlB, "active"}, []string{changed.URL, changed.PendingURL, string(changed.State)})
	first, url, due := challengeOf(t, pool, id)
	require.Equal(t, urlB, url)
	require.True(t, due)

	// The same again asks no further, another replaces it, and the one in force drops it.
	_, err = subs.Update(ctx, id, Update{URL: new(urlB)})
	require.NoError(t, err)
	again, _, _ := challengeOf(t, pool, id)
	require.Equal(t, first, again)
	_, err = subs.Update(ctx, id, Update{URL: new(urlC)})
	require.NoError(t, err)
	require.ErrorIs(t, subs.MarkVerified(ctx, id, urlB), ErrNotFound, "another took its place")
	changed, err = subs.Update(ctx, id, Update{URL: new(urlA)})
	require.NoError(t, err)
	require.Empty(t, changed.PendingURL)
	require.Equal(t, before.VerifiedAt, changed.VerifiedAt, "it was proven before")
	fence, _, _ := challengeOf(t, pool, id)
	require.Nil(t, fence)
	require.ErrorIs(t, subs.MarkVerified(ctx, id, urlC), ErrNotFound)
	require.ErrorIs(t, subs.MarkVerified(ctx, id, urlA), ErrNotFound, "nothing waits")

	_, err = subs.Update(ctx, id, Update{URL: new(urlB)})
	require.NoError(t, err)
	require.NoError(t, subs.MarkVerified(ctx, id, urlB))
	after := get(t, subs, id)
	require.Equal(t, []string{urlB, ""}, []string{after.URL, after.PendingURL})
	require.True(t, after.VerifiedAt.After(*before.VerifiedAt))
	require.Equal(t, CredentialsBearer, after.Credentials, "it is the same host")
	require.Contains(t, after.SecretHeaders, "X-Key")
}

func TestVerify_CredentialsNeverComeToAHostThatIsToBeProven(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	id := provenSubscription(t, subs)

	// What is given for the new host would be sent to the old one.
	for field, u := range map[string]Update{
		"Credentials":   {URL: new(urlC), Credentials: &Credentials{Bearer: "n3w"}},
		"SecretHeaders": {URL: new(urlC), SecretHeaders: &map[string]string{"X-Key": "n3w"}},
	} {
		_, err := subs.Update(ctx, id, u)
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Field)
	}
	_, err := subs.Update(ctx, id, Update{URL: new(urlB), Credentials: &Credentials{Bearer: "n3w"}})
	require.NoError(t, err, "the same host")

	sub, err := subs.Update(ctx, id, Update{URL: new(urlC)})
	require.NoError(t, err)
	require.Equal(t, CredentialsBearer, sub.Credentials, "the old URL is in force")
	require.NoError(t, subs.MarkVerified(ctx, id, urlC))
	after := get(t, subs, id)
	require.Equal(t, urlC, after.URL)
	require.Empty(t, after.Credentials)
	require.Empty(t, after.SecretHeaders)
	require.Greater(t, after.CredentialsVersion, sub.CredentialsVersion, "engines forget what they have opened")
	var left int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.endpoint_auth`).Scan(&left))
	require.Zero(t, left)

	_, err = subs.Deactivate(ctx, id, "")
	require.NoError(t, err)
	_, err = subs.Update(ctx, id, Update{Credentials: &Credentials{Bearer: "n3w"}})
	require.NoError(t, err)
	_, err = subs.Update(ctx, id, Update{URL: new(urlA)})
	require.ErrorContains(t, err, "Credentials: must be given again, or removed", "it takes the place of the other at once")
}

func TestRequireVerification_HoldsWhereNoneIsNamed(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	old := subscribeAt(t, newSubscriptions(t, pool), "/a")
	require.Equal(t, StateActive, old.State)
	subs, err := NewStore(pool, &Config{
		CheckURL:            checkHTTPS,
		RequireVerification: VerificationEcho,
		Sealer:              testSealer(t),
		Verifications:       []Verification{VerificationChallenge, VerificationEcho},
	})
	require.NoError(t, err)

	created := subscribeAt(t, subs, "/a")
	require.Equal(t, []any{StatePendingVerification, VerificationEcho}, []any{created.State, created.Verification})
	spec := specAt("/a")
	spec.Verification = VerificationChallenge
	own, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	require.Equal(t, VerificationChallenge, own.Verification)
	spec.Verification = VerificationCloudEvents
	_, err = subs.Create(ctx, spec)
	require.ErrorContains(t, err, `Verification: "cloudevents" is not known; known are challenge, echo`)

	// One from before goes on, and its next URL must be proven.
	changed, err := subs.Update(ctx, old.ID, Update{Name: new("old")})
	require.NoError(t, err)
	require.Empty(t, changed.Verification)
	changed, err = subs.Update(ctx, old.ID, Update{URL: new(urlB)})
	require.NoError(t, err)
	require.Equal(t, []any{StateActive, VerificationEcho, urlB}, []any{changed.State, changed.Verification, changed.PendingURL})
	// Nobody gets away from it.
	for _, id := range []uuid.UUID{old.ID, created.ID} {
		changed, err = subs.Update(ctx, id, Update{Verification: new(Verification(""))})
		require.NoError(t, err)
		require.Equal(t, VerificationEcho, changed.Verification)
	}
}

func TestVerify_ProofIsNotGivenUpWhileAURLWaitsForIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	id := provenSubscription(t, subs)
	none := Update{Verification: new(Verification(""))}
	_, err := subs.Update(ctx, id, Update{URL: new(urlB)})
	require.NoError(t, err)
	_, err = subs.Update(ctx, id, none)
	require.ErrorContains(t, err, "Verification: must not be empty while a URL is to be proven")

	// Another method asks from the beginning.
	first, _, _ := challengeOf(t, pool, id)
	_, err = subs.Update(ctx, id, Update{Verification: new(VerificationEcho)})
	require.NoError(t, err)
	second, url, due := challengeOf(t, pool, id)
	require.NotEqual(t, first, second)
	require.Equal(t, urlB, url)
	require.True(t, due)

	require.NoError(t, subs.MarkVerified(ctx, id, urlB))
	_, err = subs.Update(ctx, id, none)
	require.NoError(t, err)
	changed, err := subs.Update(ctx, id, Update{URL: new(urlA)})
	require.NoError(t, err)
	require.Equal(t, urlA, changed.URL)
	require.Nil(t, changed.VerifiedAt)
}

func TestVerify_APendingURLIsShownWithoutCredentials(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	id := provenSubscription(t, subs)
	changed, err := subs.Update(t.Context(), id, Update{URL: new(urlB + "?token=hunter2")})
	require.NoError(t, err)
	text, err := json.Marshal(changed)
	require.NoError(t, err)
	require.NotContains(t, string(text)+fmt.Sprintf("%+v", changed), "hunter2")
	require.Contains(t, string(text), `"pending_url":"https://a.example/other?redacted"`)
}

// urlModel is what a subscription may do with its URL.
type urlModel struct {
	state        State
	url, pending string
	proven       bool // url was
}

func (m *urlModel) inForce() bool {
	return m.state == StateActive || m.state == StatePaused && m.proven
}

// asked is the URL that is to be proven, and whether an engine asks by itself.
func (m *urlModel) asked() (url string, due bool) {
	switch {
	case m.pending != "":
		return m.pending, m.state != StateDeactivated
	case !m.proven:
		return m.url, m.state == StatePendingVerification
	default:
		return "", false
	}
}

func (m *urlModel) setURL(url string) {
	switch {
	case url == m.url:
		m.pending = ""
	case m.inForce():
		m.pending = url
	default:
		m.url = url
		m.pending = ""
		m.proven = false
	}
}

func (m *urlModel) prove() {
	if m.pending != "" {
		m.url, m.pending = m.pending, ""
	}
	m.proven = true
	if m.state == StatePendingVerification {
		m.state = StateActive
	}
}

func (m *urlModel) activate() {
	if m.state = StateActive; !m.proven {
		m.state = StatePendingVerification
	}
}

// Whatever is done in whatever order, a subscription is active with a URL that was
// proven, and only the answer to the last question counts.
func TestVerify_URLsFollowTheirModel(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		spec := specAt("/a")
		spec.URL = urlA
		spec.Verification = VerificationChallenge
		spec.Paused = rapid.Bool().Draw(t, "paused")
		created, err := subs.Create(ctx, spec)
		require.NoError(t, err)
		id, model := created.ID, urlModel{state: StatePendingVerification, url: urlA}
		if spec.Paused {
			model.state = StatePaused
		}
		var former []uuid.UUID // fences of questions that were put before
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			fence, _, _ := challengeOf(t, pool, id)
			step := rapid.SampledFrom([]string{"url", "pause", "activate", "deactivate", "prove", "prove late", "mark"}).Draw(t, "step")
			url := rapid.SampledFrom([]string{urlA, urlB, urlC}).Draw(t, "url")
			switch step {
			case "url":
				_, err = subs.Update(ctx, id, Update{URL: &url})
				model.setURL(url)
			case "pause":
				if _, err = subs.Pause(ctx, id); model.state == StateDeactivated {
					require.ErrorIs(t, err, ErrDeactivated)
					err = nil
				} else {
					model.state = StatePaused
				}
			case "activate":
				_, err = subs.Activate(ctx, id, nil)
				model.activate()
			case "deactivate":
				_, err = subs.Deactivate(ctx, id, "")
				model.state = StateDeactivated
			case "prove":
				if fence != nil {
					_, err = subs.in(pool).RecordProof(ctx, &store.RecordProofParams{SubscriptionID: id, ID: fence})
					model.prove()
				}
			case "prove late":
				if len(former) > 0 {
					late := rapid.SampledFrom(former).Draw(t, "late")
					var proven []uuid.UUID
					proven, err = subs.in(pool).RecordProof(ctx, &store.RecordProofParams{SubscriptionID: id, ID: &late})
					require.Empty(t, proven)
				}
			case "mark":
				if asked, _ := model.asked(); asked == url {
					model.prove()
					err = subs.MarkVerified(ctx, id, url)
				} else {
					require.ErrorIs(t, subs.MarkVerified(ctx, id, url), ErrNotFound)
				}
			}
			require.NoError(t, err)
			got, err := subs.Get(ctx, id)
			require.NoError(t, err)
			require.Equal(t, urlModel{got.State, got.URL, got.PendingURL, got.VerifiedAt != nil}, model, step)
			wantURL, wantDue := model.asked()
			now, gotURL, gotDue := challengeOf(t, pool, id)
			require.Equal(t, wantURL, gotURL, step)
			require.True(t, gotDue || !wantDue, "an engine asks, unless it finds that it must not: %s", step)
			if fence != nil && (now == nil || *now != *fence) && !slices.Contains(former, *fence) {
				former = append(former, *fence)
			}
		}
	})
}

func TestWithin_MarksNothingVerifiedOutside(t *testing.T) {
	t.Parallel()
	all := newSubscriptions(t, pgtest.Pool(t))
	spec := specAt("/b")
	spec.URL, spec.Verification = urlA, VerificationChallenge
	outside, err := all.Create(t.Context(), spec)
	require.NoError(t, err)

	require.ErrorIs(t, within(t, all, "/a").MarkVerified(t.Context(), outside.ID, urlA), ErrNotFound)
	require.Equal(t, StatePendingVerification, get(t, all, outside.ID).State)
	require.NoError(t, within(t, all, "/b").MarkVerified(t.Context(), outside.ID, urlA))
	require.Equal(t, StateActive, get(t, all, outside.ID).State)
}

func TestRequireVerification_RefusesWhatProvesLess(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	weak := specAt("/a")
	weak.Verification = VerificationCloudEvents
	before, err := newSubscriptions(t, pool).Create(ctx, weak)
	require.NoError(t, err)
	allowed := map[Verification][]Verification{
		"":                      Verifications(),
		VerificationCloudEvents: Verifications(),
		VerificationEcho:        {VerificationChallenge, VerificationEcho, VerificationRESTHooks},
		VerificationRESTHooks:   {VerificationChallenge, VerificationEcho, VerificationRESTHooks},
		VerificationChallenge:   {VerificationChallenge},
	}
	for required, methods := range allowed {
		subs, err := NewStore(pool, &Config{
			CheckURL:            checkHTTPS,
			MaxPerOwner:         -1,
			RequireVerification: required,
			Sealer:              testSealer(t),
		})
		require.NoError(t, err)
		user := subs.As("ada@example.com", access.AuthorizerFunc(func(context.Context, access.Action) error { return nil }))
		for _, method := range Verifications() {
			spec := specAt("/a")
			spec.Verification = method
			created, err := user.Create(ctx, spec)
			if slices.Contains(methods, method) {
				require.NoError(t, err)
				require.Equal(t, method, created.Verification)
				_, err = user.Update(ctx, created.ID, Update{Verification: &method})
				require.NoError(t, err)
				continue
			}
			reason := fmt.Sprintf("Verification: %q proves less than %q, which is required", method, required)
			require.ErrorContains(t, err, reason)
			require.ErrorIs(t, err, ErrInvalid)
			_, err = subs.Create(ctx, spec)
			require.ErrorContains(t, err, reason)
			_, err = user.Update(ctx, before.ID, Update{Verification: &method, URL: new(urlB)})
			require.ErrorContains(t, err, reason)
		}
	}

	// The next URL of one from before is proven as it is required by now.
	subs, err := NewStore(pool, &Config{
		CheckURL:            checkHTTPS,
		MaxPerOwner:         -1,
		RequireVerification: VerificationChallenge,
		Sealer:              testSealer(t),
	})
	require.NoError(t, err)
	changed, err := subs.Update(ctx, before.ID, Update{Name: new("old")})
	require.NoError(t, err)
	require.Equal(t, VerificationCloudEvents, changed.Verification)
	changed, err = subs.Update(ctx, before.ID, Update{URL: new(urlB)})
	require.NoError(t, err)
	require.Equal(t, VerificationChallenge, changed.Verification)
}
