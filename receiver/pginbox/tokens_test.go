package pginbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

func TestTokens_AreStoredHashedAndOpenUntilTheyAreRevoked(t *testing.T) {
	t.Parallel()
	b := &bundle{T: t, pool: pgtest.Pool(t)}
	tokens, err := pginbox.NewTokens(b.pool, nil)
	require.NoError(t, err)
	rec := in(nothing)
	rec.Tokens = tokens
	registry, err := receiver.NewRegistry(rec)
	require.NoError(t, err)
	handler, err := receiver.NewHandler(registry, b.open(registry), &receiver.Config{BaseURL: "http://localhost"})
	require.NoError(t, err)
	post := func(token string) int {
		url, err := handler.HookURL("in", token)
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	anns, err := tokens.Create(t.Context(), "in", "ann")
	require.NoError(t, err)
	second, err := tokens.Create(t.Context(), "in", "ann")
	require.NoError(t, err)
	bobs, err := tokens.Create(t.Context(), "in", "bob")
	require.NoError(t, err)
	elsewhere, err := tokens.Create(t.Context(), "other", "ann")
	require.NoError(t, err)

	for _, token := range []string{anns, second, bobs} {
		require.Equal(t, http.StatusAccepted, post(token))
	}
	require.Equal(t, http.StatusNotFound, post(elsewhere))
	require.Equal(t, http.StatusNotFound, post(strings.ToLower(anns)))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE owner = 'ann'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.inbox_token t WHERE t::text LIKE '%`+anns+`%'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.inbox_event e WHERE e::text LIKE '%`+anns+`%'`))

	revoked, err := tokens.Revoke(t.Context(), "in", "ann")

	require.NoError(t, err)
	require.Equal(t, 2, revoked)
	require.Equal(t, http.StatusNotFound, post(anns))
	require.Equal(t, http.StatusAccepted, post(bobs))
}

func TestTokens_OneOfNobodyIsRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	tokens, err := pginbox.NewTokens(pool, nil)
	require.NoError(t, err)

	for _, owner := range []string{"", "\xff", "a\x00", strings.Repeat("x", 256)} {
		_, err := tokens.Create(t.Context(), "in", owner)
		require.ErrorContains(t, err, "owner")
	}
	_, err = tokens.Create(t.Context(), "In", "ann")
	require.ErrorContains(t, err, "name")
	_, err = pginbox.NewTokens(pool, &pginbox.TokensConfig{Schema: "Not A Name"})
	require.ErrorContains(t, err, "Schema")
	_, err = pginbox.NewTokens(nil, nil)
	require.Error(t, err)
}
