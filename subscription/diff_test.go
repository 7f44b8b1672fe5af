package subscription

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// Of each field that differs, and of no other, there is what Update changes.
func TestDiff_IsWhatAnUpdateHasToChange(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	spec := Spec{
		Channels:      []string{"a"},
		Credentials:   Credentials{Bearer: "hunter2"},
		Description:   "a",
		Dialect:       "cloudevents",
		Events:        []string{"user.*"},
		Headers:       map[string]string{"X-A": "a"},
		MaxInFlight:   1,
		Metadata:      map[string]string{"a": "a"},
		Name:          "a",
		Owner:         "ada",
		Permission:    "edit",
		Rate:          Rate{Events: 5},
		Schedule:      "none",
		SecretHeaders: map[string]string{"X-B": "hunter2"},
		Site:          "/a",
		Timeout:       time.Second,
		URL:           "https://bücher.example/",
	}
	created, err := subs.Create(t.Context(), spec)
	require.NoError(t, err)
	requireDiff(t, subs, created.ID, spec)
	cert, _ := newCertificate(t)

	others := map[string]func(*Spec){
		"Channels":      func(s *Spec) { s.Channels = nil },
		"Credentials":   func(s *Spec) { s.Credentials.Bearer = "hunter3" },
		"Deactivation":  func(s *Spec) { s.Deactivation = &DeactivationRules{Failures: 250} },
		"Description":   func(s *Spec) { s.Description = "" },
		"Dialect":       func(s *Spec) { s.Dialect = "" },
		"Events":        func(s *Spec) { s.Events = []string{"user.*", "a.b"} },
		"FailClosed":    func(s *Spec) { s.FailClosed = true },
		"Filter":        func(s *Spec) { s.Filter = "type == 'a.b'" },
		"Headers":       func(s *Spec) { s.Headers = map[string]string{"X-A": "b"} },
		"MaxInFlight":   func(s *Spec) { s.MaxInFlight = 0 },
		"Metadata":      func(s *Spec) { s.Metadata = nil },
		"Name":          func(s *Spec) { s.Name = "b" },
		"Permission":    func(s *Spec) { s.Permission = "" },
		"Rate":          func(s *Spec) { s.Rate.Burst = 1 },
		"Schedule":      func(s *Spec) { s.Schedule = "" },
		"SecretHeaders": func(s *Spec) { s.SecretHeaders = map[string]string{"X-B": "hunter3"} },
		"Site":          func(s *Spec) { s.Site = "" },
		"TLS":           func(s *Spec) { s.TLS.RootCAs = cert },
		"Timeout":       func(s *Spec) { s.Timeout = 2 * time.Second },
		"URL":           func(s *Spec) { s.URL = "https://bücher.example/other" },
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Update]()) {
		if field.Name == "Verification" {
			continue // TestDiff_AURLThatWaitsForItsProofIsNone
		}
		change := others[field.Name]
		require.NotNil(t, change, "no test changes %s", field.Name)
		other := spec
		change(&other)
		u := requireDiff(t, subs, created.ID, other, field.Name)
		_, err := subs.Update(t.Context(), created.ID, u)
		require.NoError(t, err)
		requireDiff(t, subs, created.ID, other)
		u = requireDiff(t, subs, created.ID, spec, field.Name)
		_, err = subs.Update(t.Context(), created.ID, u)
		require.NoError(t, err)
	}
	moved := spec
	moved.URL = "https://elsewhere.example/"
	requireDiff(t, subs, created.ID, moved, "Credentials", "SecretHeaders", "URL")
	moved.Credentials, moved.SecretHeaders = Credentials{}, nil
	u := requireDiff(t, subs, created.ID, moved, "Credentials", "SecretHeaders", "URL")
	_, err = subs.Update(t.Context(), created.ID, u)
	require.NoError(t, err)
	requireDiff(t, subs, created.ID, moved)
}

// requireDiff requires that these fields differ, in alphabetical order.
func requireDiff(t *testing.T, subs *Store, id uuid.UUID, spec Spec, fields ...string) Update {
	t.Helper()
	u, err := subs.Diff(t.Context(), id, spec)
	require.NoError(t, err)
	var differ []string
	v := reflect.ValueOf(u)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			differ = append(differ, v.Type().Field(i).Name)
		}
	}
	require.Equal(t, fields, differ)
	return u
}

func TestDiff_OneThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	created := subscribeAt(t, subs, "/a")
	spec := specAt("/a")
	spec.Owner = "bob@example.com"
	_, err := subs.Diff(t.Context(), created.ID, spec)
	require.ErrorContains(t, err, "Owner: is for life")
	spec = specAt("/a")
	spec.Owner, spec.Operator = "", true
	_, err = subs.Diff(t.Context(), created.ID, spec)
	require.ErrorContains(t, err, "Owner: is for life")
	spec = specAt("/a")
	spec.URL = "http://example.com/hook"
	_, err = subs.Diff(t.Context(), created.ID, spec)
	require.ErrorIs(t, err, errScheme)
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		require.NoError(t, subs.In(tx).Delete(t.Context(), created.ID))
		_, err := subs.In(tx).Diff(t.Context(), created.ID, specAt("/a"))
		require.ErrorIs(t, err, ErrNotFound)
	})
	requireDiff(t, subs, created.ID, specAt("/a"))
}

func TestDiff_AFormerPathOfTheSiteIsNone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs, sites := newSubscriptions(t, pool), newSites(t, pool, "/a", "/b")
	created := subscribeAt(t, subs, "/a")
	_, err := sites.Rename(t.Context(), "/a", "c")
	require.NoError(t, err)
	requireDiff(t, subs, created.ID, specAt("/a"))
	requireDiff(t, subs, created.ID, specAt("/c"))
	requireDiff(t, subs, created.ID, specAt("/b"), "Site")
}

func TestDiff_AURLThatWaitsForItsProofIsNone(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	spec := specAt("/a")
	spec.Credentials, spec.SecretHeaders = Credentials{Bearer: "hunter2"}, map[string]string{"X-A": "hunter2"}
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	update := func(want Spec, fields ...string) {
		u := requireDiff(t, subs, created.ID, want, fields...)
		_, err := subs.Update(ctx, created.ID, u)
		require.NoError(t, err)
		requireDiff(t, subs, created.ID, want)
	}
	spec.Verification = VerificationEcho
	update(spec, "Verification")

	// The credentials for another host are given when its URL is in force.
	moved := spec
	moved.URL, moved.Credentials = "https://elsewhere.example/", Credentials{Bearer: "hunter3"}
	update(moved, "URL")
	update(spec, "URL") // back again
	update(moved, "URL")
	_, err = subs.Deactivate(ctx, created.ID, "")
	require.NoError(t, err)
	requireDiff(t, subs, created.ID, moved) // the former host is in force again when it is activated
	require.NoError(t, subs.MarkVerified(ctx, created.ID, moved.URL))
	update(moved, "Credentials", "SecretHeaders")
}
