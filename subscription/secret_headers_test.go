package subscription

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

// specWith has headers, and others that are sealed.
func specWith(headers, secret map[string]string) Spec {
	spec := specAt("/")
	spec.Headers, spec.SecretHeaders = headers, secret
	return spec
}

func TestSealedHeaders_ThatAreRefusedAreNamedAndNotShown(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	long := strings.Repeat("s3cret", 700) // two of them have more than 8 KiB, one has not
	for _, tc := range []struct {
		want            string
		headers, secret map[string]string
	}{
		{`SecretHeaders: "Webhook-Id": is reserved`, nil, map[string]string{"Webhook-Id": "s3cret"}},
		{`SecretHeaders: "idempotency_key": is reserved`, nil, map[string]string{"idempotency_key": "s3cret"}},
		{`SecretHeaders: "X-Key": its value must not hold line breaks`, nil, map[string]string{"X-Key": "s3cret\r\nX-Evil: 1"}},
		{`SecretHeaders: "X Key": is not the name of a header`, nil, map[string]string{"X Key": "s3cret"}},
		{`SecretHeaders: "X-Key": its value is "[redacted]"`, nil, map[string]string{"X-Key": "[redacted]"}},
		{`SecretHeaders: has 51 headers; at most 50`, nil, manyKeys(51)},
		{`SecretHeaders: has 8410 bytes; at most 8192`, nil, map[string]string{"X-Key": long, "X-Two": long}},
		{`SecretHeaders: "x_key": is in Headers as well`, map[string]string{"x_key": "v"}, map[string]string{"X-Key": "s3cret"}},
		{`SecretHeaders: has 51 headers with those of Headers; at most 50`, manyKeys(50), map[string]string{"X-Key": "s3cret"}},
		{`SecretHeaders: has 8410 bytes with those of Headers`, map[string]string{"X-One": long}, map[string]string{"X-Key": long}},
	} {
		_, err := subs.Create(t.Context(), specWith(tc.headers, tc.secret))
		require.ErrorIs(t, err, ErrInvalid, tc.want)
		require.ErrorContains(t, err, tc.want)
		require.NotContains(t, err.Error(), "s3cret")
	}

	spec := specWith(nil, map[string]string{"authorization": "s3cret"})
	spec.Credentials = Credentials{Bearer: "b34rer"}
	_, err := subs.Create(t.Context(), spec)
	require.ErrorContains(t, err, "Credentials: must be empty: SecretHeaders has Authorization")
}

func TestUpdate_WhatChangesOfHeadersIsHeldAgainstWhatIsThere(t *testing.T) {
	t.Parallel()
	ctx, subs := t.Context(), newSubscriptions(t, pgtest.Pool(t))
	created, err := subs.Create(ctx, specWith(map[string]string{"X-Open": "v"}, map[string]string{"X-Key": strings.Repeat("k", 8000)}))
	require.NoError(t, err)
	update := func(headers, secret map[string]string) error {
		var u Update
		if headers != nil {
			u.Headers = &headers
		}
		if secret != nil {
			u.SecretHeaders = &secret
		}
		_, err := subs.Update(ctx, created.ID, u)
		return err
	}

	require.ErrorContains(t, update(map[string]string{"x-key": "v"}, nil), `Headers: "x-key": is in SecretHeaders as well`)
	require.ErrorContains(t, update(nil, map[string]string{"x_open": "v"}), `SecretHeaders: "X-Open": is in Headers as well`)
	require.ErrorContains(t, update(manyKeys(50), nil), "Headers: has 51 headers with those of SecretHeaders")
	require.NoError(t, update(map[string]string{"X-Fits": strings.Repeat("v", 8192-8000-len("X-Fits")-len("X-Key"))}, nil))
	require.ErrorContains(t, update(map[string]string{"X-Fits": strings.Repeat("v", 8193-8000-len("X-Fits")-len("X-Key"))}, nil),
		"Headers: has 8193 bytes with those of SecretHeaders; at most 8192")
	require.NoError(t, update(map[string]string{"X-Key": "v"}, map[string]string{"X-Fits": "s3cret"}), "they change places")
	require.ErrorContains(t, update(nil, map[string]string{"X-Fits": "[redacted]"}), `SecretHeaders: "X-Fits": its value is "[redacted]"`)
	require.NoError(t, update(nil, map[string]string{}))
	require.NoError(t, update(manyKeys(50), nil))
}

func TestSealedHeaders_AreShownByTheirNamesAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx, subs := t.Context(), newSubscriptions(t, pool)
	spec := specWith(map[string]string{"X-Open": "v"}, map[string]string{"X-Key": "s3cret", "X-Other": "s3cret"})
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	both := map[string]string{"X-Key": "[redacted]", "X-Other": "[redacted]"}
	require.Equal(t, both, created.SecretHeaders)
	require.Equal(t, 1, created.CredentialsVersion)
	name := "renamed"

	for i, tc := range []struct {
		update  Update
		want    map[string]string
		version int
	}{
		{Update{Name: &name}, both, 1},
		{Update{Credentials: &Credentials{Bearer: "b34rer"}}, both, 2},
		{Update{SecretHeaders: &map[string]string{"X-Key": "s3cret"}}, map[string]string{"X-Key": "[redacted]"}, 3},
		{Update{SecretHeaders: &map[string]string{}}, nil, 4},
		{Update{SecretHeaders: &map[string]string{"X-Key": "s3cret"}}, map[string]string{"X-Key": "[redacted]"}, 5},
	} {
		sub, err := subs.Update(ctx, created.ID, tc.update)
		require.NoError(t, err)
		require.Equal(t, tc.want, sub.SecretHeaders, "update %d", i)
		require.Equal(t, tc.version, sub.CredentialsVersion, "update %d", i)
		got, err := subs.Get(ctx, created.ID)
		require.NoError(t, err)
		require.Equal(t, sub, got)
		listed, err := listed(subs.List(ctx, nil))
		require.NoError(t, err)
		require.Equal(t, []Subscription{*sub}, listed)
		text, err := json.Marshal([]any{sub, tc.update, spec})
		require.NoError(t, err)
		var stored string
		require.NoError(t, pool.QueryRow(ctx, `SELECT string_agg(a::text || encode(value, 'escape'), '') || (
			SELECT string_agg(s::text, '') FROM riverhook.subscription s) FROM riverhook.endpoint_auth a`).Scan(&stored))
		for _, text := range []string{string(text), stored, fmt.Sprintf("%v %+v %#v %v %+v", sub, tc.update, spec, created, got)} {
			require.NotContains(t, text, "s3cret")
		}
	}
}

func TestSealedHeaders_DoNotFollowTheURLToAnotherHost(t *testing.T) {
	t.Parallel()
	ctx, subs := t.Context(), newSubscriptions(t, pgtest.Pool(t))
	created, err := subs.Create(ctx, specWith(nil, map[string]string{"X-Key": "s3cret"}))
	require.NoError(t, err)
	to := func(url string, secret *map[string]string) error {
		_, err := subs.Update(ctx, created.ID, Update{URL: &url, SecretHeaders: secret})
		return err
	}

	require.NoError(t, to("https://example.com/another", nil))
	err = to("https://example.org/hook", nil)
	require.ErrorContains(t, err, "SecretHeaders: must be given again, or removed: URL leads to another host")
	require.NoError(t, to("https://example.org/hook", &map[string]string{"X-Key": "another"}))
	require.NoError(t, to("https://example.net/hook", &map[string]string{}))
	require.NoError(t, to("https://example.org/hook", nil), "there is nothing to follow")
}

func TestReseal_SealsHeadersAnewWithTheSecrets(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	_, err := storeWith(t, pool, seal.Clear()).Create(ctx, specWith(nil, map[string]string{"X-Key": "s3cret"}))
	require.NoError(t, err)
	inClear := func() (n int) {
		require.NoError(t, pool.QueryRow(ctx,
			`SELECT count(*) FROM riverhook.endpoint_auth WHERE NOT sealed AND encode(value, 'escape') = '{"X-Key":"s3cret"}'`).Scan(&n))
		return n
	}
	require.Equal(t, 1, inClear())

	result, err := newSubscriptions(t, pool).Reseal(ctx, nil)

	require.NoError(t, err)
	require.Equal(t, 2, result.Resealed)
	require.Zero(t, inClear())
}
