package subscription

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/hostile"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// textFields are the fields of a subscription that hold text, by the name that a
// refusal has.
func textFields(text string) map[string]func(s *Spec) {
	return map[string]func(s *Spec){
		"Channels":    func(s *Spec) { s.Channels = []string{"a", text} },
		"Description": func(s *Spec) { s.Description = text },
		"Dialect":     func(s *Spec) { s.Dialect = text },
		"Events":      func(s *Spec) { s.Events = []string{text} },
		"Filter":      func(s *Spec) { s.Filter = text },
		"Headers":     func(s *Spec) { s.Headers = map[string]string{"X-A": text} },
		"Metadata":    func(s *Spec) { s.Metadata = map[string]string{text: text} },
		"Name":        func(s *Spec) { s.Name = text },
		"Owner":       func(s *Spec) { s.Owner = text },
		"Permission":  func(s *Spec) { s.Permission = text },
		"Schedule":    func(s *Spec) { s.Schedule = text },
		"Site":        func(s *Spec) { s.Site = hierarchy.Path(text) },
		"URL":         func(s *Spec) { s.URL = "https://example.com/?" + text },
	}
}

// Each text in each field is stored as it is or refused by the field's name, and
// the transaction goes on either way.
func TestCreate_HostileTextIsKeptOrRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	kept := 0
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		pgtest.RolledBack(t, pgtest.PoolIn(t, pool, mode), func(tx pgx.Tx) {
			for name, text := range hostile.Texts() {
				for field, change := range textFields(text) {
					spec := specAt("/a")
					change(&spec)
					created, err := subs.In(tx).Create(t.Context(), spec)
					if err != nil {
						requireRefused(t, err, field, name)
						continue
					}
					kept++
					require.Equal(t, spec, specOf(created.Subscription, spec), "%s in %s", name, field)
					got, err := subs.In(tx).Get(t.Context(), created.ID)
					require.NoError(t, err)
					require.Equal(t, created.Subscription, *got)
					list, err := listed(subs.In(tx).List(t.Context(), &ListOpts{Owner: spec.Owner, Limit: 1}))
					require.NoError(t, err)
					require.Equal(t, []Subscription{created.Subscription}, list, "%s in %s", name, field)
				}
			}
			var n int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM riverhook.subscription").Scan(&n))
			require.Positive(t, n)
		})
	}
	require.Greater(t, kept, 150)
}

func TestCreate_WhatMovesTheCursorIsRefusedInWhatPeopleAreShown(t *testing.T) {
	t.Parallel()
	texts := hostile.Texts()
	for _, name := range []string{
		"a line break", "control characters", "separators of lines", "overridden direction", "isolated direction",
	} {
		for _, field := range []string{"Channels", "Description", "Filter", "Name", "Owner", "Permission"} {
			if (field == "Description" || field == "Filter") && name == "a line break" {
				continue // it may have lines
			}
			spec := specAt("/a")
			textFields(texts[name])[field](&spec)
			_, err := testConfig().prepare(spec)
			requireRefused(t, err, field, name)
		}
	}
	spec := specAt("/a")
	spec.Description = "One\nTwo\r\n\tThree"
	_, err := testConfig().prepare(spec)
	require.NoError(t, err)
	spec.Description = "One\rTwo"
	_, err = testConfig().prepare(spec)
	require.ErrorContains(t, err, "control character U+000D")
}

func TestCreate_AfterTextThatPostgresCannotHoldTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs, sites := newSubscriptions(t, pool), newSites(t, pool, "/a")
	kept := subscribeAt(t, subs, "/a")
	ctx := t.Context()
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		for name, text := range hostile.Impossible() {
			for field, change := range textFields(text) {
				spec := specAt("/a")
				change(&spec)
				_, err := subs.In(tx).Create(ctx, spec)
				requireRefused(t, err, field, name)
			}
			path := hierarchy.Path("/a/" + text)
			_, err := listed(subs.In(tx).List(ctx, &ListOpts{Owner: text}))
			require.ErrorContains(t, err, "Owner", name)
			_, err = listed(subs.In(tx).List(ctx, &ListOpts{Site: path}))
			require.ErrorContains(t, err, "Site", name)
			_, err = subs.In(tx).Update(ctx, kept.ID, Update{Name: &text})
			requireRefused(t, err, "Name", name)
			_, err = subs.In(tx).Deactivate(ctx, kept.ID, text)
			require.ErrorContains(t, err, "reason", name)
			_, err = subs.In(tx).DeleteByOwner(ctx, text, nil)
			require.ErrorContains(t, err, "owner", name)
			_, err = subs.byTree(sites).In(tx).DeleteByOwner(ctx, "ada", &DeleteByOwnerOpts{Above: path})
			require.ErrorContains(t, err, "Above", name)

			_, err = sites.In(tx).Create(ctx, path)
			require.ErrorIs(t, err, hierarchy.ErrInvalidPath, name)
			_, err = sites.In(tx).Get(ctx, path)
			require.ErrorIs(t, err, ErrNotFound, name)
			require.ErrorIs(t, err, hierarchy.ErrInvalidPath, name)
			_, err = sites.In(tx).Rename(ctx, "/a", text)
			require.ErrorIs(t, err, hierarchy.ErrInvalidPath, name)
			_, err = sites.In(tx).Rename(ctx, path, "b")
			require.ErrorIs(t, err, ErrNotFound, name)
			_, err = sites.In(tx).Move(ctx, "/a", path)
			require.ErrorIs(t, err, ErrNotFound, name)
			require.ErrorIs(t, sites.In(tx).Delete(ctx, path, nil), ErrNotFound, name)
			_, err = listedSites(sites.In(tx).List(ctx, &hierarchy.SiteListOpts{Cursor: cursor.Sites.OfText(string(path))}))
			require.ErrorContains(t, err, "Cursor", name)
			chain, err := sites.In(tx).Ancestors(ctx, path)
			require.NoError(t, err, name)
			require.Equal(t, []hierarchy.Path{"/a", "/"}, chain, "a path that is not known")
		}
		got, err := subs.In(tx).Get(ctx, kept.ID)
		require.NoError(t, err)
		require.Equal(t, kept.Subscription, *got)
	})
}

func TestHost_AnInternationalOneIsStoredInASCII(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://example.com/ü":                "https://example.com/ü",
		"https://bücher.example/a?b=ü":         "https://xn--bcher-kva.example/a?b=ü",
		"https://BÜCHER.Example:8443":          "https://xn--bcher-kva.example:8443",
		"https://straße.example":               "https://xn--strae-oqa.example",
		"https://b\u00fccher\u3002example/":    "https://xn--bcher-kva.example/",
		"https://\u0430pple.com/":              "https://xn--pple-43d.com/",
		"https://ａｐｐｌｅ.com/":                   "https://apple.com/",
		"https://１２７.0.0.1/":                   "https://127.0.0.1/",
		"https://xn--bcher-kva.example/":       "https://xn--bcher-kva.example/",
		"https://b%C3%BCcher.example/":         "https://b%C3%BCcher.example/", // not ASCII once it is parsed: CheckURL says so
		"https://user:pw@example.com/ü":        "https://user:pw@example.com/ü",
		"https://bücher.example@example.com/":  "https://bücher.example@example.com/",
		"https://bücher.example\\@example.com": "https://bücher.example\\@example.com", // no URL: CheckURL says so
	} {
		spec := specAt("/a")
		spec.URL = given
		n, err := testConfig().prepare(spec)
		require.NoError(t, err, given)
		require.Equal(t, want, n.sub.URL)

		u := tokensFrom(strings.ReplaceAll(given, "?", ";"))
		callers := u.Credentials.OAuth2
		require.NoError(t, testConfig().checkUpdate(u), given)
		require.Equal(t, strings.ReplaceAll(want, "?", ";"), u.Credentials.OAuth2.TokenURL)
		require.Equal(t, strings.ReplaceAll(given, "?", ";"), callers.TokenURL, "what the caller has stays as it is")
	}
	for given, why := range map[string]string{
		"https://evil.example／.example.com/":   "not a name that can be written in ASCII",
		"https://example.com＠evil.example/":    "not a name that can be written in ASCII",
		"https://\u05d0a.example/":             "not a name that can be written in ASCII",
		"https://a\u200db.example/":            "not a name that can be written in ASCII",
		"https://user:hunter2@bücher.example/": "must be written in ASCII: xn--bcher-kva.example",
	} {
		spec := specAt("/a")
		spec.URL = given
		_, err := testConfig().prepare(spec)
		requireRefused(t, err, "URL", given)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), "hunter2")

		err = testConfig().checkUpdate(tokensFrom(given))
		requireRefused(t, err, "Credentials.OAuth2.TokenURL", given)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), "hunter2")
	}

	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	created := subscribeAt(t, subs, "/a")
	updated, err := subs.Update(t.Context(), created.ID, Update{URL: new("https://bücher.example/")})
	require.NoError(t, err)
	require.Equal(t, "https://xn--bcher-kva.example/", updated.URL)
}

// tokensFrom is an update to credentials that are asked for at a URL.
func tokensFrom(url string) *Update {
	return &Update{Credentials: &Credentials{OAuth2: &OAuth2Credentials{
		ClientID:     "hooks",
		ClientSecret: "s3cret",
		TokenURL:     url,
	}}}
}

func requireRefused(t *testing.T, err error, field, name string) {
	t.Helper()
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid, "%s: %s", field, name)
	require.Equal(t, field, invalid.Field, "%s: %v", name, err)
	require.Less(t, len(invalid.Reason), 600)
}

// specOf is the part of a subscription that a specification of the tests has.
func specOf(s Subscription, given Spec) Spec {
	got := given
	got.Channels = s.Channels
	got.Description = s.Description
	got.Events = s.Events
	got.Headers = s.Headers
	got.Metadata = s.Metadata
	got.Filter = s.Filter
	got.Name = s.Name
	got.Owner = s.Owner
	got.Schedule = s.Schedule
	got.Site = s.Site
	got.URL = s.URL
	if given.Dialect != "" {
		got.Dialect = s.Dialect
	}
	if given.Permission != "" {
		got.Permission = s.Permission
	}
	return got
}
