package manifest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const directory = `
sites: [/noaa, /noaa/nws]
event_types:
  user.created:
    description: A user was created
    schemas: [{version: 1, schema: {type: object}}]
subscriptions:
  crm:
    owner: ada@example.com
    url: https://crm.example/hooks
    events: [user.*]
    site: /noaa
    secret: ${SECRET}
    secret_headers: {X-Key: "${KEY}"}
    credentials: {bearer: "${KEY}"}
  audit:
    operator: true
    url: https://audit.example/hooks
    events: ["**"]
`

var directoryEnv = environment{"SECRET": testSecret, "KEY": "hunter2"}

func TestApply_AManifestIsAppliedAndThenUnchanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, `manifest "default": 5 added
  added        site          /noaa
  added        site          /noaa/nws
  added        event type    user.created
  added        subscription  crm
  added        subscription  audit
`, b.apply(directory, directoryEnv).String())
	crm := b.subscription("default", "crm")
	require.Equal(t, hierarchy.Path("/noaa"), crm.Site)
	require.Equal(t, subscription.StateActive, crm.State)
	secrets, err := b.subs.Secrets(t.Context(), crm.ID)
	require.NoError(t, err)
	require.Equal(t, []subscription.Secret{secretOf(testSecret)}, secrets)

	before := b.database()
	plan := b.apply(directory, directoryEnv)
	require.Equal(t, "manifest \"default\": 5 unchanged\n", plan.String())
	require.False(t, plan.Changed())
	require.Equal(t, crm.ID, plan.Changes[3].ID)
	require.Equal(t, before, b.database())
}

func TestPlan_ChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.database()
	plan, err := b.applier.Plan(t.Context(), parse(t, directory, directoryEnv))
	require.NoError(t, err)
	require.Equal(t, 5, plan.count(ActionAdded))
	for _, c := range plan.Changes {
		require.Equal(t, uuid.Nil, c.ID)
	}
	require.Equal(t, before, b.database())
}

// one is a manifest of one subscription.
func one(fields string) string {
	return "subscriptions:\n  crm:\n    url: https://crm.example/\n    events: [\"**\"]\n    operator: true\n" + fields
}

func TestApply_EachFieldThatChangesIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply(one(""), nil)
	id := b.subscription("default", "crm").ID
	env := environment{"A": "a", "B": "b"}
	for _, tt := range []struct{ fields, want string }{
		{"    channels: [a]\n", "channels"},
		{"    credentials: {bearer: \"${A}\"}\n", "channels, credentials"},
		{"    credentials: {bearer: \"${B}\"}\n", "credentials"},
		{"    credentials: {basic: {username: a, password: b}}\n", "credentials"},
		{"    fail_closed: true\n", "credentials, fail_closed"},
		{"    filter: type == 'a.b'\n", "fail_closed, filter"},
		{"    filter: type == 'b.a'\n", "filter"},
		{"    deactivation: {failures: 250}\n", "deactivation, filter"},
		{"    deactivation: {failures: 250, window: 48h}\n", "deactivation"},
		{"    description: a\n", "deactivation, description"},
		{"    dialect: cloudevents\n", "description, dialect"},
		{"    dialect: standard\n", "dialect"},
		{"    headers: {X-A: a}\n", "headers"},
		{"    headers: {X-A: b}\n", "headers"},
		{"    max_in_flight: 3\n", "headers, max_in_flight"},
		{"    metadata: {a: b}\n", "max_in_flight, metadata"},
		{"    name: a\n", "metadata, name"},
		{"    rate: {events: 5}\n", "name, rate"},
		{"    rate: {events: 5, per: 1m}\n", "rate"},
		{"    schedule: none\n", "rate, schedule"},
		{"    secret_headers: {X-A: \"${A}\"}\n", "schedule, secret_headers"},
		{"    secret_headers: {X-A: \"${B}\"}\n", "secret_headers"},
		{"    site: /a\n", "secret_headers, site"},
		{"    timeout: 3s\n", "site, timeout"},
		{"    tls: {root_cas: \"" + strings.ReplaceAll(authority(t), "\n", "\\n") + "\"}\n", "timeout, tls"},
		{"    secret: " + testSecret + "\n", "secret, tls"},
		{"    secret_kind: v1a\n", "secret"},
		{"", ""},
	} {
		plan := b.apply(one(tt.fields), env)
		require.Equal(t, tt.want, strings.Join(plan.Changes[0].Fields, ", "))
		require.Equal(t, tt.want != "", plan.Changes[0].Action == ActionChanged)
		require.Equal(t, "manifest \"default\": 1 unchanged\n", b.apply(one(tt.fields), env).String(), tt.fields)
	}
	require.Equal(t, id, b.subscription("default", "crm").ID)
}

func TestApply_CredentialsOfTheFileGoAlongToAnotherHost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const text = "subscriptions:\n  crm:\n    url: https://%s/\n    events: [\"**\"]\n    operator: true\n    credentials: {bearer: a}\n" +
		"    secret_headers: {X-A: b}\n"
	b.apply(fmt.Sprintf(text, "a.example"), nil)
	plan := b.apply(fmt.Sprintf(text, "b.example"), nil)
	require.Equal(t, []string{"credentials", "secret_headers", "url"}, plan.Changes[0].Fields)
	require.False(t, b.apply(fmt.Sprintf(text, "b.example"), nil).Changed())
}

func TestApply_ASecretThatChangesIsRotated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply(one(""), nil)
	id := b.subscription("default", "crm").ID
	generated, err := b.subs.Secrets(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, generated, 1)

	require.Equal(t, []string{"secret"}, b.apply(one("    secret: ${S}\n"), environment{"S": testSecret}).Changes[0].Fields)
	secrets, err := b.subs.Secrets(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []subscription.Secret{secretOf(testSecret), generated[0]}, secrets, "the former one signs for the overlap")

	require.False(t, b.apply(one(""), nil).Changed(), "a secret that the file does not have stays")
}

// A subscription that leaves and comes back is the same one, however often.
func TestApply_ASubscriptionThatTheFileLosesIsDeactivatedAndComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply(one(""), nil)
	first := b.subscription("default", "crm")
	for round := range 3 {
		require.Equal(t, "manifest \"default\": 1 deactivated\n  deactivated  subscription  crm\n", b.apply("{}", nil).String())
		gone := b.subscription("default", "crm")
		require.Equal(t, subscription.StateDeactivated, gone.State)
		require.Equal(t, `removed from manifest "default"`, gone.StateReason)
		require.Equal(t, round+2, gone.Epoch)
		require.Equal(t, "manifest \"default\": is empty\n", b.apply("{}", nil).String())

		plan := b.apply(one(fmt.Sprintf("    name: round %d\n", round)), nil)
		require.Equal(t, "manifest \"default\": 1 reactivated\n  reactivated  subscription  crm: name\n", plan.String())
		back := b.subscription("default", "crm")
		require.Equal(t, first.ID, back.ID)
		require.Equal(t, subscription.StateActive, back.State)
	}
}

func TestApply_WhatOthersDecidedAboutTheStateStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	b.apply(one(""), nil)
	id := b.subscription("default", "crm").ID

	_, err := b.subs.Pause(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "manifest \"default\": 1 unchanged\n  unchanged    subscription  crm (is paused)\n", b.apply(one(""), nil).String())
	require.Equal(t, subscription.StatePaused, b.subscription("default", "crm").State)

	_, err = b.subs.Deactivate(ctx, id, "410 Gone")
	require.NoError(t, err)
	require.Equal(t, "manifest \"default\": 1 changed\n  changed      subscription  crm: name (stays deactivated: 410 Gone)\n",
		b.apply(one("    name: a\n"), nil).String())
	require.False(t, b.apply("{}", nil).Changed(), "it is not active")
	require.Equal(t, "410 Gone", b.subscription("default", "crm").StateReason)
	require.Equal(t, 0, b.apply(one("    name: a\n"), nil).count(ActionReactivated), "nor did the manifest deactivate it")

	_, err = b.subs.Activate(ctx, id, nil)
	require.NoError(t, err)
	require.False(t, b.apply(one("    name: a\n"), nil).Changed())
	require.Equal(t, 1, b.apply("{}", nil).count(ActionDeactivated))
	require.Equal(t, 1, b.apply(one("    paused: true\n"), nil).count(ActionReactivated))
	require.Equal(t, subscription.StatePaused, b.subscription("default", "crm").State)
}

func TestApply_WhatIsChangedByHandBecomesWhatTheFileSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply(one(""), nil)
	id := b.subscription("default", "crm").ID
	_, err := b.subs.Update(t.Context(), id, subscription.Update{Name: new("by hand"), Events: &[]string{"user.*"}})
	require.NoError(t, err)
	require.Equal(t, []string{"events", "name"}, b.apply(one(""), nil).Changes[0].Fields)

	require.NoError(t, b.subs.Delete(t.Context(), id))
	require.Equal(t, 1, b.apply(one(""), nil).count(ActionAdded), "what is deleted is gone")
	require.NotEqual(t, id, b.subscription("default", "crm").ID)
}

func TestApply_WhatAManifestDoesNotKeepIsNotTouched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		Name:     "crm",
		Operator: true,
		Events:   []string{"**"},
		URL:      "https://crm.example/",
	})
	require.NoError(t, err)
	b.apply("name: other\n"+one(""), nil)
	b.apply(one(""), nil)
	b.apply("{}", nil)

	byCode, err := b.subs.Get(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, created.Subscription, *byCode)
	require.Equal(t, subscription.StateActive, b.subscription("other", "crm").State)
	require.Equal(t, subscription.StateDeactivated, b.subscription("default", "crm").State)
}

func TestApply_EventTypesAreRegisteredAndNotArchivedByOmission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	types, err := outbox.NewEventTypes(b.pool, nil)
	require.NoError(t, err)
	b.apply("event_types: {a.b: {description: one, schemas: [{version: 1, schema: {type: object}}]}, c.d: {extends: [a.b]}}", nil)
	const next = "event_types: {a.b: {archived: true, payloads: hash, payload_age: 24h, " +
		"schemas: [{version: 2, schema: {type: array}, example: []}]}}"
	require.Equal(t, "archived, description, payload_age, payloads, schemas", strings.Join(b.apply(next, nil).Changes[0].Fields, ", "))
	require.False(t, b.apply("event_types: {a.b: {payloads: hash, payload_age: 24h}, c.d: {extends: [a.b]}}", nil).Changed())
	before := b.database()
	require.False(t, b.apply("event_types: {a.b: {archived: true, payloads: hash, payload_age: 24h}}", nil).Changed())
	require.Equal(t, before, b.database())
	typ, err := types.Get(t.Context(), "a.b")
	require.NoError(t, err)
	require.NotNil(t, typ.ArchivedAt)
	require.Len(t, typ.Schemas, 2)
	unarchived := b.apply("event_types: {a.b: {archived: false, payloads: hash, payload_age: 24h}}", nil)
	require.Equal(t, []string{"archived"}, unarchived.Changes[0].Fields)
	require.Equal(t, []string{"extends"}, b.apply("event_types: {c.d: {}}", nil).Changes[0].Fields)
}

func TestApply_ASiteThatWasMovedIsFollowedAndNeverMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	const text = "sites: [/noaa, /noaa/nws]\nsubscriptions:\n" +
		"  crm: {url: https://crm.example/, events: ['**'], operator: true, site: /noaa/nws}\n"
	b.apply(text, nil)
	sites, err := hierarchy.NewSites(b.pool, nil)
	require.NoError(t, err)
	_, err = sites.Rename(ctx, "/noaa/nws", "weather")
	require.NoError(t, err)
	require.Equal(t, "manifest \"default\": 3 unchanged\n  unchanged    site          /noaa/nws (is /noaa/weather now)\n",
		b.apply(text, nil).String())
	require.Equal(t, hierarchy.Path("/noaa/weather"), b.subscription("default", "crm").Site)

	// A site that was deleted is not there, although its path leads to the one above.
	require.NoError(t, sites.Delete(ctx, "/noaa/weather", nil))
	require.Equal(t, "manifest \"default\": 1 added, 1 changed, 1 unchanged\n"+
		"  added        site          /noaa/nws\n"+
		"  changed      subscription  crm: site (stays deactivated: site deleted)\n",
		b.apply(text, nil).String())
	require.Equal(t, hierarchy.Path("/noaa/nws"), b.subscription("default", "crm").Site)
	require.NoError(t, sites.Delete(ctx, "/noaa/nws", nil))
	const elsewhere = "subscriptions:\n  crm: {url: https://crm.example/, events: ['**'], operator: true, site: /noaa/weather}\n"
	_, err = b.applier.Apply(ctx, parse(t, elsewhere, nil))
	require.EqualError(t, err, `webhooks.yaml:2:74: subscriptions.crm.site: "/noaa/weather" is a former path; it leads to "/noaa" now`)
}

func TestApply_WhatAStoreRefusesIsNamedByItsLineAndNothingIsDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply(one(""), nil)
	before := b.database()
	text := `sites: [/a, /b/c]
event_types:
  a.b: {extends: [c.d]}
  c.d: {extends: [a.b]}
  e.f:
    schemas:
      - {version: 1, schema: {type: nothing}}
subscriptions:
  crm:
    url: https://crm.example/
    events: ["**"]
    owner: ada
  plain:
    operator: true
    url: http://user:hunter2@example.com/
    events: ["**"]
  nobody:
    url: https://example.com/
    events: ["**"]
  secret:
    operator: true
    url: https://example.com/
    events: ["**"]
    secret: ${SECRET}
  oauth:
    operator: true
    url: https://example.com/
    events: ["**"]
    credentials:
      oauth2: {client_id: a, client_secret: hunter2, token_url: "http://example.com/?hunter2"}
webhooks:
  - name: servo
    url: http://example.com/
    events: after:measure
    secret: ${SECRET}
`
	m := parse(t, text, environment{"SECRET": "hunter2"})
	for name, do := range map[string]func(context.Context, *Manifest) (*Plan, error){"apply": b.applier.Apply, "plan": b.applier.Plan} {
		plan, err := do(t.Context(), m)
		require.Nil(t, plan, name)
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorIs(t, err, subscription.ErrInvalid)
		require.ErrorIs(t, err, outbox.ErrInvalidEventType)
		require.Equal(t, []string{
			`1:13: sites[1]: the site above it is not there`,
			`4:9: event_types["c.d"].extends: is a cycle: c.d extends a.b extends c.d`,
			`6:5: event_types["e.f"].schemas: version 1: Schema: at "/type": does not satisfy "enum" of the schema`,
			`12:12: subscriptions.crm.owner: is for life: make another subscription for another owner`,
			`15:10: subscriptions.plain.url: must be https`,
			`17:3: subscriptions.nobody.owner: is required, unless Operator is set`,
			`24:13: subscriptions.secret.secret: must begin with "whsec_" or "whsk_"`,
			`30:65: subscriptions.oauth.credentials.oauth2.token_url: must not have a query; Params are for what is sent besides`,
			`33:10: webhooks[0].url: must be https`,
		}, strings.Split(strings.ReplaceAll(err.Error(), "webhooks.yaml:", ""), "\n"))
		require.Equal(t, before, b.database(), name)
	}
}

func TestApply_ALimitIsNamedByTheSubscriptionThatExceedsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var err error
	b.subs, err = subscription.NewStore(b.pool, &subscription.Config{
		CheckURL:   checkHTTPS,
		MaxPerSite: 1,
		Sealer:     testSealer(t),
	})
	require.NoError(t, err)
	applier, err := New(b.pool, &Config{Subscriptions: b.subs})
	require.NoError(t, err)
	_, err = applier.Apply(t.Context(), parse(t, one("")+"  b: {url: https://b.example/, events: ['**'], operator: true}\n", nil))
	require.ErrorIs(t, err, subscription.ErrLimit)
	require.ErrorContains(t, err, "webhooks.yaml:6:3: subscriptions.b: ")
}

func TestApplyTx_GoesWithTheCallersTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	good, bad := parse(t, one(""), nil), parse(t, "sites: [/x]\nsubscriptions: {a: {url: 'http://a/', events: ['**'], operator: true}}", nil)
	before := b.database()
	tx, err := b.pool.Begin(ctx)
	require.NoError(t, err)
	_, err = b.applier.In(tx).Apply(ctx, bad)
	require.ErrorIs(t, err, ErrInvalid)
	plan, err := b.applier.In(tx).Apply(ctx, good)
	require.NoError(t, err)
	require.Equal(t, 1, plan.count(ActionAdded))
	require.Equal(t, before, b.database())
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, "crm", b.subscription("default", "crm").ManifestKey)
	var sites int
	require.NoError(t, b.pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.site WHERE path = '/x'`).Scan(&sites))
	require.Zero(t, sites)

	tx, err = b.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = b.applier.In(tx).Apply(ctx, good)
	require.ErrorIs(t, err, hierarchy.ErrIsolation)
}

func TestApply_OfTenAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	const many = 10
	database := pgtest.Database(t)
	m := parse(t, directory, directoryEnv)
	plans := make([]*Plan, many)
	errs := make([]error, many)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range many {
		b := setupIn(t, poolTo(t, database))
		all.Go(func() {
			<-start
			plans[i], errs[i] = b.applier.Apply(context.WithoutCancel(t.Context()), m)
		})
	}
	close(start)
	all.Wait()
	added := 0
	for i := range many {
		require.NoError(t, errs[i])
		require.True(t, plans[i].count(ActionAdded) == 5 || plans[i].count(ActionUnchanged) == 5, plans[i])
		added += plans[i].count(ActionAdded)
	}
	require.Equal(t, 5, added)
}

func TestApply_WaitsForWhoIsApplying(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := parse(t, one(""), nil)
	tx, err := b.pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	first, err := b.applier.In(tx).Apply(ctx, m)
	require.NoError(t, err)
	require.Equal(t, 1, first.count(ActionAdded))
	second := make(chan *Plan, 1)
	go func() {
		plan, _ := b.applier.Apply(ctx, m)
		second <- plan
	}()
	b.awaitLock(ctx)
	other, err := b.applier.Apply(ctx, parse(t, "name: other\nevent_types: {a.b: {}}\n", nil))
	require.NoError(t, err, "another manifest does not wait")
	require.Equal(t, 1, other.count(ActionAdded))
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, "manifest \"default\": 1 unchanged\n", (<-second).String())
}

// Two manifests can have the same site.
func TestApply_ASiteThatAnotherCreatesMeanwhileIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sites, err := hierarchy.NewSites(b.pool, nil)
	require.NoError(t, err)
	tx, err := b.pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	_, err = sites.In(tx).Create(ctx, "/a")
	require.NoError(t, err)
	applied := make(chan *Plan, 1)
	m := parse(t, "sites: [/a, /a/b]", nil)
	go func() {
		plan, _ := b.applier.Apply(ctx, m)
		applied <- plan
	}()
	b.awaitLock(ctx)
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, "manifest \"default\": 1 added, 1 unchanged\n  added        site          /a/b\n", (<-applied).String())
}

func TestNew_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := New(b.pool, nil)
	require.EqualError(t, err, "manifest: Config.Subscriptions: is required; an engine has one")
	_, err = New(nil, &Config{Subscriptions: b.subs})
	require.EqualError(t, err, "manifest: a pool is required")
	_, err = New(b.pool, &Config{Schema: "no schema", Subscriptions: b.subs})
	require.ErrorContains(t, err, "Schema")
}

// A text for a dialect that signs with the text, and what changes from one form to the other
// along with the dialect.
func TestApply_SecretInAManifest(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckSecret: func(dialect string, secret subscription.Secret) error {
			if dialect == "standard" && secret.IsText() {
				return signing.ErrInvalidSecret
			}
			return nil
		},
		CheckURL: checkHTTPS,
		Sealer:   testSealer(t),
	})
	require.NoError(t, err)
	applier, err := New(pool, &Config{Subscriptions: subs})
	require.NoError(t, err)
	b := &bundle{
		t:       t,
		applier: applier,
		pool:    pool,
		subs:    subs,
	}
	of := func(dialect string) string {
		return "subscriptions: {a: {url: 'https://a.example', events: ['**'], operator: true, dialect: " + dialect + ", secret: '${S}'}}"
	}
	webhook := "webhooks: [{name: b, url: 'https://b.example', events: after:b, secret: 's3cr3t!'}]\n"

	b.apply(webhook+of("hub"), environment{"S": "s3cr3t!"})
	for _, key := range []string{"a", "b"} {
		secrets, err := subs.Secrets(t.Context(), b.subscription("default", key).ID)
		require.NoError(t, err)
		require.Equal(t, "s3cr3t!", secrets[0].Reveal())
	}
	require.False(t, b.apply(webhook+of("hub"), environment{"S": "s3cr3t!"}).Changed())
	require.Equal(t, []string{"dialect", "secret"}, b.apply(webhook+of("standard"), environment{"S": testSecret}).Changes[0].Fields)
	require.Equal(t, []string{"dialect", "secret"}, b.apply(webhook+of("hub"), environment{"S": "another"}).Changes[0].Fields)
	_, err = applier.Apply(t.Context(), parse(t, webhook+of("standard"), environment{"S": "hunter2"}))
	require.ErrorContains(t, err, "subscriptions.a.secret: ")
	require.NotContains(t, err.Error(), "hunter2")
}
