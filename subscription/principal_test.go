package subscription

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// rights are what the methods of a Handle ask for; each has a form
// that ends in Tx.
var rights = map[string]access.Verb{
	"Activate": access.VerbChange, "ConfirmSecret": access.VerbSecret, "Create": access.VerbCreate,
	"Deactivate": access.VerbChange, "Delete": access.VerbDelete, "Do": access.VerbChange,
	"Get": access.VerbView, "GetMany": access.VerbView, "List": access.VerbView,
	"ListSecrets": access.VerbView, "Pause": access.VerbChange, "RevokeSecret": access.VerbSecret, "RotateSecret": access.VerbSecret,
	"Secrets": access.VerbSecret, "Update": access.VerbChange,
}

// withoutRights are the methods of a store that no principal is given.
var withoutRights = map[string]string{
	"Ancestors":     "asks the tree, for an authorizer",
	"As":            "makes a Handle",
	"Diff":          "compares what is sealed with what is guessed; is for manifests",
	"DeleteByOwner": "is for the application, when it removes a principal",
	"MarkVerified":  "is for the operator, who knows it without a proof",
	"Reseal":        "is for the operator, when a key has changed",
	"Within":        "makes another store",
}

// allow allows these verbs to anybody.
func allow(verbs ...access.Verb) access.Authorizer {
	return access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		if !slices.Contains(verbs, a.Verb) {
			return access.ErrDenied
		}
		return nil
	})
}

func TestPrincipal_HasEachMethodOfTheStoreOrIsKeptFromIt(t *testing.T) {
	t.Parallel()
	forPrincipals := methodsOf(&Handle{})
	for _, method := range methodsOf(&Store{}) {
		_, kept := withoutRights[baseName(method)]
		require.NotEqual(t, kept, slices.Contains(forPrincipals, method),
			"%s must be a method of Handle, or be one of withoutRights with the reason", method)
	}
	for method := range reflect.TypeFor[*Handle]().Methods() {
		if method.Name == "In" || method.Name == "InSQL" {
			continue // the same store
		}
		verb, known := rights[method.Name]
		require.True(t, known, "%s: which right does it ask for?", method.Name)
		for out := range method.Type.Outs() {
			switch out {
			case reflect.TypeFor[Secret](), reflect.TypeFor[[]Secret](), reflect.TypeFor[*Created]():
				require.Contains(t, []access.Verb{access.VerbSecret, access.VerbCreate}, verb, "%s shows a secret", method.Name)
			default:
			}
		}
	}
}

func TestPrincipal_EachMethodAsksForItsRight(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	for _, method := range methodsOf(&Handle{}) {
		verb := rights[baseName(method)]
		at := aimAt(t, subs, "/a")
		refused := func(auth access.Authorizer) error {
			before := rowsOf(t, pool)
			out, err := call(t, pool, subs.As("ann", auth), method, at)
			require.Equal(t, before, rowsOf(t, pool), method)
			if err == nil {
				require.False(t, shows(out[0], at.id), method)
				err = ErrNotFound // a list leaves out what is not there
			}
			return err
		}
		allBut := slices.DeleteFunc(access.Verbs(), func(v access.Verb) bool { return v == verb })

		if verb == access.VerbCreate {
			require.ErrorIs(t, refused(nil), access.ErrDenied, method)
		} else {
			require.ErrorIs(t, refused(nil), ErrNotFound, "%s: what may not be viewed does not exist", method)
			require.NotErrorIs(t, refused(allow()), access.ErrDenied, method)
		}
		if verb != access.VerbView {
			require.ErrorIs(t, refused(allow(allBut...)), access.ErrDenied, method)
		}
		require.ErrorIs(t, refused(access.AuthorizerFunc(func(context.Context, access.Action) error { return down })), down, method)

		out, err := call(t, pool, subs.As("ann", allow(access.VerbView, verb)), method, at)
		require.NoError(t, err, method)
		if baseName(method) == "List" || baseName(method) == "GetMany" {
			require.True(t, shows(out[0], at.id), method)
		}
	}
}

// asked keeps what was asked, and allows it.
type asked struct {
	mu      sync.Mutex
	actions []access.Action
}

func (a *asked) Authorize(_ context.Context, action access.Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.actions = append(a.actions, action)
	return nil
}

func TestPrincipal_TheAuthorizerIsToldWhatASubscriptionIs(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	auth := &asked{}
	created, err := subs.As("max", auth).Create(t.Context(), Spec{
		Channels:    []string{"c"},
		Events:      []string{"user.*"},
		MaxInFlight: 3,
		Rate:        Rate{Events: 90, Per: time.Minute},
		Owner:       "ann",
		Site:        "/a",
		Timeout:     time.Second,
		URL:         "https://ann:secret@example.com:8443/x?key=secret",
	})
	require.NoError(t, err)
	want := access.Action{
		Principal:   "max",
		Verb:        access.VerbCreate,
		Site:        "/a",
		Owner:       "ann",
		Permission:  "view",
		Host:        "example.com:8443",
		Events:      []string{"user.*"},
		Channels:    []string{"c"},
		MaxInFlight: 3,
		Timeout:     time.Second,
		Rate:        1.5,
		Burst:       1,
	}
	require.Equal(t, []access.Action{want}, auth.actions)

	_, err = subs.As("max", auth).Get(t.Context(), created.ID)
	require.NoError(t, err)
	want.Verb, want.SubscriptionID = access.VerbView, created.ID.String()
	require.Equal(t, want, auth.actions[1])
	auth.actions = nil
	_, err = subs.As("max", auth).Create(t.Context(), Spec{
		Events:   []string{"**"},
		Operator: true,
		URL:      "https://example.com",
	})
	require.NoError(t, err)
	require.Equal(t, []access.Action{{
		Principal: "max",
		Verb:      access.VerbCreate,
		Site:      "/",
		Operator:  true,
		Host:      "example.com",
		Events:    []string{"**"},
	}}, auth.actions)
}

// Whoever may change a subscription may lower its rate; for a higher one it is asked, as for
// whatever else takes more.
func TestPrincipal_AnUpdateAsksForAHigherRateAlone(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	auth := &asked{}
	update := func(u Update) []access.Action {
		auth.actions = nil
		_, err := subs.As("ann", auth).Update(t.Context(), created.ID, u)
		require.NoError(t, err)
		return auth.actions[2:]
	}
	for _, lower := range []Rate{rateOf(120, time.Minute, 9), {Events: 2, Burst: 8}, {Events: 1, Burst: 8}} {
		require.Empty(t, update(Update{Rate: &lower}), "%v", lower)
	}
	for _, higher := range []Rate{{Events: 2, Burst: 8}, {Events: 2, Burst: 9}, {}} {
		asked := update(Update{Rate: &higher})
		require.Len(t, asked, 1, "%v", higher)
		require.Equal(t, access.VerbCreate, asked[0].Verb)
		require.InDelta(t, float64(higher.Events), asked[0].Rate, 0)
		require.Equal(t, higher.Burst, asked[0].Burst)
	}
	asked := update(Update{Rate: &Rate{Events: 3}, URL: new("https://example.org")})
	require.InDelta(t, 3.0, asked[0].Rate, 0, "what is asked about anyway is shown as it will be")
}

func TestPrincipal_AnUpdateAsksForWhatTheSubscriptionBecomes(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	type action = access.Action
	for name, c := range map[string]struct {
		update Update
		sees   func(a action) bool
	}{
		"another site": {Update{Site: new(hierarchy.Path("/"))}, func(a action) bool { return a.Site == "/" }},
		"another permission": {
			Update{Permission: new("none")}, func(a action) bool { return a.Permission == "none" },
		},
		"other events": {
			Update{Events: &[]string{"user.*"}}, func(a action) bool { return a.Events[0] == "user.*" },
		},
		"other channels": {
			Update{Channels: &[]string{"c"}}, func(a action) bool { return len(a.Channels) == 1 },
		},
		"another host": {
			Update{URL: new("https://example.org")}, func(a action) bool { return a.Host == "example.org" },
		},
		"another filter":    {Update{Filter: new("1 == 1")}, func(a action) bool { return a.Filter != "" }},
		"a gate that stops": {Update{FailClosed: new(true)}, func(a action) bool { return a.FailClosed }},
		"more at a time":    {Update{MaxInFlight: new(64)}, func(a action) bool { return a.MaxInFlight == 64 }},
		"a longer timeout":  {Update{Timeout: new(time.Minute)}, func(a action) bool { return a.Timeout == time.Minute }},
		"another name":      {Update{Name: new("x")}, nil},
		"the same site":     {Update{Site: new(hierarchy.Path("/a"))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := subscribeAt(t, subs, "/a")
			auth := &asked{}
			_, err := subs.As("ann", auth).Update(t.Context(), created.ID, c.update)
			require.NoError(t, err)
			require.Equal(t, []access.Action{created.Action("ann", access.VerbView), created.Action("ann", access.VerbChange)}, auth.actions[:2])
			if c.sees == nil {
				require.Len(t, auth.actions, 2)
				return
			}
			require.Len(t, auth.actions, 3)
			require.Equal(t, access.VerbCreate, auth.actions[2].Verb)
			require.True(t, c.sees(auth.actions[2]))

			created = subscribeAt(t, subs, "/a")
			refuses := access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
				if c.sees(a) {
					return access.ErrDenied
				}
				return nil
			})
			_, err = subs.As("ann", refuses).Update(t.Context(), created.ID, c.update)
			require.ErrorIs(t, err, access.ErrDenied)
			got, err := subs.Get(t.Context(), created.ID)
			require.NoError(t, err)
			require.Equal(t, created.Subscription, *got)
		})
	}
}

func TestPrincipal_AnUpdateAsksForWhatComesOnceItsURLIsProven(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	_, err := subs.Update(t.Context(), created.ID, Update{URL: new("https://example.org"), Verification: new(VerificationEcho)})
	require.NoError(t, err)
	secretsStayInside := access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		if a.Verb == access.VerbCreate && a.Host == "example.org" && a.Events[0] == "payroll.*" {
			return access.ErrDenied
		}
		return nil
	})
	ann := subs.As("ann", secretsStayInside)
	_, err = ann.Update(t.Context(), created.ID, Update{Events: &[]string{"payroll.*"}})
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = ann.Update(t.Context(), created.ID, Update{Events: &[]string{"user.*"}})
	require.NoError(t, err)
}

func TestPrincipal_WhatHasChangedSinceTheQuestionIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"Pause", "PauseTx", "PauseSQL"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			subs := newSubscriptions(t, pool)
			at := aimAt(t, subs, "/a")
			var sites []hierarchy.Path
			// ann may do everything at /a, where the subscription is when she comes.
			auth := access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
				if a.Verb != access.VerbChange {
					return nil
				}
				sites = append(sites, a.Site)
				if a.Site != "/a" {
					return access.ErrDenied
				}
				_, err := subs.Update(ctx, at.id, Update{Site: new(hierarchy.Path("/b"))})
				return err
			})
			_, err := call(t, pool, subs.As("ann", auth), mode, at)
			require.ErrorIs(t, err, access.ErrDenied)
			require.Equal(t, []hierarchy.Path{"/a", "/b"}, sites)
			got, err := subs.Get(t.Context(), at.id)
			require.NoError(t, err)
			require.Equal(t, StateActive, got.State)
		})
	}
}

func TestPrincipal_GivesUpOnWhatNeverStaysAsItWasAskedAbout(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	other := map[hierarchy.Path]hierarchy.Path{"/a": "/b", "/b": "/a"}
	questions := 0
	_, err := subs.As("ann", access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
		questions++
		_, err := subs.Update(ctx, created.ID, Update{Site: new(other[a.Site])})
		return err
	})).Pause(t.Context(), created.ID)
	require.ErrorIs(t, err, errHasChanged)
	require.Equal(t, 2*maxAsked, questions)
}

func TestPrincipal_WhatIsDeletedSinceTheQuestionIsNotFound(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	_, err := subs.As("ann", access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
		if a.Verb == access.VerbView {
			return nil
		}
		return subs.Delete(ctx, created.ID)
	})).RotateSecret(t.Context(), created.ID, nil)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPrincipal_NoConnectionIsHeldWhileTheAuthorizerIsAsked(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Pool(t).Config()
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	subs := newSubscriptions(t, pool)
	auth := access.AuthorizerFunc(func(ctx context.Context, _ access.Action) error {
		_, err := pool.Exec(ctx, `SELECT 1`) // takes the one connection
		return err
	})
	for _, method := range methodsOf(&Handle{}) {
		if baseName(method) != method {
			continue // its connection is the caller's
		}
		_, err := call(t, pool, subs.As("ann", auth), method, aimAt(t, subs, "/a"))
		require.NoError(t, err, method)
	}
}

// Whoever loses a right between a list and a change is refused the change, and no
// longer sees it in the next list. With -race, many at once.
func TestPrincipal_ARightThatIsRevokedBetweenAListAndAChangeIsGone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	var ids []uuid.UUID
	for range 8 {
		ids = append(ids, subscribeAt(t, subs, "/a").ID)
	}
	var mu sync.Mutex
	revoked := map[string]bool{}
	mine := subs.As("ann", access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		mu.Lock()
		defer mu.Unlock()
		if revoked[a.SubscriptionID] {
			return access.ErrDenied
		}
		return nil
	}))
	page, err := mine.List(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Subscriptions, len(ids))
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, sub := range page.Subscriptions {
		wg.Go(func() {
			if i%2 == 0 {
				mu.Lock()
				revoked[sub.ID.String()] = true
				mu.Unlock()
			}
			errs[i] = mine.Delete(t.Context(), sub.ID)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%2 == 0 {
			require.ErrorIs(t, err, ErrNotFound)
		} else {
			require.NoError(t, err)
		}
	}
	page, err = mine.List(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, page.Subscriptions)
	left, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, len(ids)/2)
}

func TestPrincipal_WhatItDoesInATransactionIsUndoneWithIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	mine := subs.As("ann", allow(access.Verbs()...))
	for _, method := range methodsOf(mine) {
		if !strings.HasSuffix(method, formTx) {
			continue
		}
		at := aimAt(t, subs, "/a")
		before := rowsOf(t, pool)
		pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
			_, err := call(t, tx, mine, method, at)
			require.NoError(t, err, method)
		})
		require.Equal(t, before, rowsOf(t, pool), method)
	}
}

func TestPrincipalList_HasWhatMayBeViewedPageByPage(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	var want []uuid.UUID
	for i := range 23 {
		if site := []hierarchy.Path{"/a", "/b", "/b"}[i%3]; site == "/a" {
			want = append([]uuid.UUID{subscribeAt(t, subs, site).ID}, want...)
		} else {
			subscribeAt(t, subs, site)
		}
	}
	mine := subs.As("ann", access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		if a.Site != "/a" {
			return access.ErrDenied
		}
		return nil
	}))
	for _, limit := range []int{1, 2, 4, 7, 8, 9, 100} {
		var got []uuid.UUID
		opts := &ListOpts{Limit: limit}
		for pages := 1; ; pages++ {
			page, err := mine.List(t.Context(), opts)
			require.NoError(t, err)
			for _, sub := range page.Subscriptions {
				got = append(got, sub.ID)
			}
			if page.Next == "" {
				require.Equal(t, max(1, (len(want)+limit-1)/limit), pages, "limit %d", limit)
				break
			}
			require.Len(t, page.Subscriptions, limit)
			opts.Cursor = page.Next
		}
		require.Equal(t, want, got, "limit %d", limit)
	}
	_, err := mine.List(t.Context(), &ListOpts{Limit: -1})
	require.ErrorContains(t, err, "Limit")
}

// Neither a page nor its Next tells of those that are not shown, however many.
func TestPrincipalList_TellsNothingOfOthers(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	insert := func(n int, prefix string, site hierarchy.Path) {
		_, err := pool.Exec(t.Context(), `
			INSERT INTO riverhook.subscription (id, site, url, events, owner, permission, dialect, state)
			SELECT ($2 || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $3, 'https://example.com', '{**}',
				'bob', 'view', 'standard', 'active'
			FROM generate_series(1, $1) n`, n, prefix, site)
		require.NoError(t, err)
	}
	insert(1, "00000002", "/a")
	newest := subscribeAt(t, subs, "/a")
	mine := subs.As("ann", access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
		if a.Site != "/a" {
			return access.ErrDenied
		}
		return nil
	}))
	pages := func() []Page {
		var pages []Page
		for opts := (&ListOpts{Limit: 1}); ; {
			page, err := mine.List(t.Context(), opts)
			require.NoError(t, err)
			pages = append(pages, *page)
			if opts.Cursor = page.Next; page.Next == "" {
				return pages
			}
		}
	}
	alone := pages()
	require.Len(t, alone, 2)
	require.Equal(t, newest.ID, alone[0].Subscriptions[0].ID)
	require.NotEqual(t, newest.ID, alone[1].Subscriptions[0].ID)
	for _, prefix := range []string{"ffffffff", "00000003", "00000001"} { // before, between and behind them
		insert(1050, prefix, "/b")
	}
	require.Equal(t, alone, pages())
}
