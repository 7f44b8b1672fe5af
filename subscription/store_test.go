package subscription

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func fullSpec() Spec {
	return Spec{
		Channels:    []string{"orders", `a "quoted", {one}`, "é"},
		Description: "a description with 'quotes' and \\ backslashes",
		Dialect:     "plain",
		Events:      []string{"user.*", "order.**"},
		Headers:     map[string]string{"Authorization": "Bearer <x>", "X-A": `"é"`},
		FailClosed:  true,
		MaxInFlight: 7,
		Rate:        rateOf(90, time.Minute, 4),
		Metadata:    map[string]string{"plan": "gold"},
		Name:        "orders to the <warehouse>",
		Owner:       "https://example.com/principals/ada",
		Permission:  "orders.read",
		Schedule:    "none",
		Secret:      secretOfLength(40),
		Site:        "/a/b",
		Timeout:     1500 * time.Millisecond,
		URL:         "https://ada:secret@example.com/hook?x=1",
	}
}

func rateOf(events int, per time.Duration, burst int) Rate {
	return Rate{
		Events: events,
		Per:    per,
		Burst:  burst,
	}
}

func TestCreate_ASubscriptionComesBackAsItWasInEachExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			subs := newSubscriptions(t, pgtest.PoolIn(t, pgtest.Pool(t), mode))
			ctx := t.Context()
			spec := fullSpec()
			created, err := subs.Create(ctx, spec)
			require.NoError(t, err)
			require.Equal(t, spec.Secret, created.Secret)
			require.Equal(t, uuid.Version(7), created.ID.Version())
			require.WithinDuration(t, time.Now(), created.CreatedAt, time.Minute)
			require.Equal(t, Subscription{
				ID:          created.ID,
				Name:        spec.Name,
				Description: spec.Description,
				Site:        spec.Site,
				URL:         spec.URL,
				Events:      spec.Events,
				Channels:    spec.Channels,
				Owner:       spec.Owner,
				Permission:  spec.Permission,
				Dialect:     spec.Dialect,
				Headers:     spec.Headers,
				Schedule:    spec.Schedule,
				Timeout:     spec.Timeout,
				FailClosed:  spec.FailClosed,
				MaxInFlight: spec.MaxInFlight,
				Rate:        spec.Rate,
				Metadata:    spec.Metadata,
				State:       StateActive,
				StateSince:  created.StateSince,
				Epoch:       1,
				URLVersion:  1,
				CreatedAt:   created.CreatedAt,
				UpdatedAt:   created.UpdatedAt,
			}, created.Subscription)

			got, err := subs.Get(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, created.Subscription, *got)
			secrets, err := subs.Secrets(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, []Secret{spec.Secret}, secrets)

			updated, err := subs.Update(ctx, created.ID, Update{Headers: &map[string]string{"X-B": "1"}, Site: new(hierarchy.Path("/c"))})
			require.NoError(t, err)
			require.Equal(t, map[string]string{"X-B": "1"}, updated.Headers)
			secret, err := subs.RotateSecret(ctx, created.ID, nil)
			require.NoError(t, err)
			secrets, err = subs.Secrets(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, []Secret{secret, spec.Secret}, secrets)
			for _, change := range []func() (bool, error){
				func() (bool, error) { return subs.Pause(ctx, created.ID) },
				func() (bool, error) { return subs.Activate(ctx, created.ID, nil) },
				func() (bool, error) { return subs.Deactivate(ctx, created.ID, "it's over") },
			} {
				changed, err := change()
				require.NoError(t, err)
				require.True(t, changed)
			}
			for _, opts := range []*ListOpts{
				nil,
				{Owner: spec.Owner},
				{Site: "/c"},
				{Under: "/c", IncludeDeleted: true},
				{EventType: "user.created"},
				{EventType: "order.paid", Site: "/c"},
				{
					EventType: "order.paid",
					Owner:     spec.Owner,
					Site:      "/c",
					State:     StateDeactivated,
					Under:     "/c",
				},
			} {
				list, err := listed(subs.List(ctx, opts))
				require.NoError(t, err)
				require.Len(t, list, 1)
			}
			n, err := subs.DeleteByOwner(ctx, spec.Owner, &DeleteByOwnerOpts{Under: "/c"})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.ErrorIs(t, subs.Delete(ctx, created.ID), ErrNotFound)
		})
	}
}

func TestCreate_ARollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	kept := subscribeAt(t, subs, "/a")
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		created, err := subs.In(tx).Create(ctx, specAt("/a"))
		require.NoError(t, err)
		got, err := subs.In(tx).Get(ctx, created.ID)
		require.NoError(t, err)
		require.Equal(t, created.Subscription, *got)
		list, err := listed(subs.In(tx).List(ctx, nil))
		require.NoError(t, err)
		require.Len(t, list, 2)
		_, err = subs.In(tx).Update(ctx, kept.ID, Update{Name: new("new")})
		require.NoError(t, err)
		_, err = subs.In(tx).Pause(ctx, kept.ID)
		require.NoError(t, err)
		_, err = subs.In(tx).Activate(ctx, kept.ID, nil)
		require.NoError(t, err)
		_, err = subs.In(tx).Deactivate(ctx, kept.ID, "")
		require.NoError(t, err)
		_, err = subs.In(tx).RotateSecret(ctx, kept.ID, nil)
		require.NoError(t, err)
		secrets, err := subs.In(tx).Secrets(ctx, kept.ID)
		require.NoError(t, err)
		require.Len(t, secrets, 2)
		require.NoError(t, subs.In(tx).Delete(ctx, created.ID))
		n, err := subs.In(tx).DeleteByOwner(ctx, kept.Owner, nil)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
	list, err := listed(subs.List(ctx, &ListOpts{IncludeDeleted: true}))
	require.NoError(t, err)
	require.Equal(t, []Subscription{kept.Subscription}, list)
	secrets, err := subs.Secrets(ctx, kept.ID)
	require.NoError(t, err)
	require.Equal(t, []Secret{kept.Secret}, secrets)
}

func TestCreate_ARefusalLeavesTheCallersTransactionUsable(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	sites := newSites(t, pool, "/a", "/a/b", "/c")
	ctx := t.Context()
	_, err := sites.Rename(ctx, "/c", "d")
	require.NoError(t, err)
	gone := uuid.Must(uuid.NewV7())
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	for what, refused := range map[string]func() error{
		"a bad field":          func() error { _, err := subs.In(tx).Create(ctx, Spec{}); return err },
		"a bad list":           func() error { _, err := listed(subs.In(tx).List(ctx, &ListOpts{Limit: -1})); return err },
		"a bad owner":          func() error { _, err := subs.In(tx).DeleteByOwner(ctx, "", nil); return err },
		"a bad path":           func() error { _, err := sites.In(tx).Create(ctx, "x"); return err },
		"a bad rotation":       func() error { _, err := subs.In(tx).RotateSecret(ctx, gone, &RotateOpts{Overlap: -1}); return err },
		"a bad update":         func() error { _, err := subs.In(tx).Update(ctx, gone, Update{URL: new("")}); return err },
		"a cycle":              func() error { _, err := sites.In(tx).Move(ctx, "/a", "/a/b"); return err },
		"a former path":        func() error { _, err := subs.In(tx).Create(ctx, specAt("/c")); return err },
		"a missing parent":     func() error { _, err := sites.In(tx).Create(ctx, "/x/y"); return err },
		"a site with children": func() error { return sites.In(tx).Delete(ctx, "/a", nil) },
		"a taken path":         func() error { _, err := sites.In(tx).Create(ctx, "/a"); return err },
		"no such site":         func() error { _, err := sites.In(tx).Get(ctx, "/x"); return err },
		"not there":            func() error { _, err := subs.In(tx).Get(ctx, gone); return err },
		"not there to be shut": func() error { _, err := subs.In(tx).Deactivate(ctx, gone, "\x00"); return err },
	} {
		require.Error(t, refused(), what)
		require.NoError(t, tx.QueryRow(ctx, `SELECT 1`).Scan(new(int)), what)
	}
	_, err = subs.In(tx).Create(ctx, specAt("/a"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(ctx))
	list, err := listed(subs.List(ctx, nil))
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestGet_WhatIsNotThereIsErrNotFound(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	deleted := subscribeAt(t, subs, "/a")
	require.NoError(t, subs.Delete(ctx, deleted.ID))
	for _, id := range []uuid.UUID{deleted.ID, uuid.Must(uuid.NewV7()), {}} {
		errs := map[string]error{}
		_, errs["get"] = subs.Get(ctx, id)
		_, errs["update"] = subs.Update(ctx, id, Update{})
		_, errs["activate"] = subs.Activate(ctx, id, nil)
		_, errs["deactivate"] = subs.Deactivate(ctx, id, "")
		_, errs["pause"] = subs.Pause(ctx, id)
		_, errs["rotate"] = subs.RotateSecret(ctx, id, nil)
		_, errs["secrets"] = subs.Secrets(ctx, id)
		errs["delete"] = subs.Delete(ctx, id)
		for what, err := range errs {
			require.ErrorIs(t, err, ErrNotFound, what)
			require.ErrorContains(t, err, id.String(), what)
			require.ErrorContains(t, err, "subscription: ", what)
		}
	}
}

func TestUpdate_ChangesWhatIsGivenAndNothingElse(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	spec := fullSpec()
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	want := created.Subscription
	update := func(u Update, change func()) {
		t.Helper()
		got, err := subs.Update(ctx, created.ID, u)
		require.NoError(t, err)
		require.True(t, got.UpdatedAt.After(want.UpdatedAt))
		want.UpdatedAt = got.UpdatedAt
		change()
		require.Equal(t, want, *got)
		stored, err := subs.Get(ctx, created.ID)
		require.NoError(t, err)
		require.Equal(t, want, *stored)
	}
	update(Update{}, func() {})
	update(Update{Channels: new([]string{"x"})}, func() { want.Channels = []string{"x"} })
	update(Update{Channels: new([]string(nil))}, func() { want.Channels = nil })
	update(Update{Description: new("d")}, func() { want.Description = "d" })
	update(Update{Dialect: new("")}, func() { want.Dialect = "standard" })
	update(Update{Events: new([]string{"a.b"})}, func() { want.Events = []string{"a.b"} })
	update(Update{Headers: new(map[string]string{})}, func() { want.Headers = nil })
	update(Update{FailClosed: new(false)}, func() { want.FailClosed = false })
	update(Update{MaxInFlight: new(0)}, func() { want.MaxInFlight = 0 })
	update(Update{Rate: new(Rate{Events: 5})}, func() { want.Rate = rateOf(5, time.Second, 5) })
	update(Update{Rate: new(Rate{})}, func() { want.Rate = Rate{} })
	update(Update{Metadata: new(map[string]string{"k": "v"})}, func() { want.Metadata = map[string]string{"k": "v"} })
	update(Update{Name: new("n")}, func() { want.Name = "n" })
	update(Update{Permission: new("")}, func() { want.Permission = "view" })
	update(Update{Schedule: new("")}, func() { want.Schedule = "" })
	update(Update{Site: new(hierarchy.Path(""))}, func() { want.Site = hierarchy.Root })
	update(Update{Timeout: new(2 * time.Second)}, func() { want.Timeout = 2 * time.Second })
	update(Update{URL: new("https://e.com")}, func() { want.URL, want.URLVersion = "https://e.com", 2 })

	for field, u := range map[string]Update{
		"Events": {Events: new([]string{})}, "Site": {Site: new(hierarchy.Path("a"))}, "URL": {URL: new("http://e.com")},
	} {
		_, err := subs.Update(ctx, created.ID, u)
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Field)
	}
}

func TestUpdate_AnOperatorsSubscriptionCannotGetAPermission(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	created, err := subs.Create(ctx, Spec{
		Events:   []string{"**"},
		Operator: true,
		URL:      "https://e.com",
	})
	require.NoError(t, err)
	require.True(t, created.Operator)
	require.Empty(t, created.Permission)
	_, err = subs.Update(ctx, created.ID, Update{Permission: new("view")})
	require.ErrorContains(t, err, "Permission: must be empty")
	updated, err := subs.Update(ctx, created.ID, Update{Permission: new("")})
	require.NoError(t, err)
	require.Empty(t, updated.Permission)
}

func TestList_NewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	all := make([]uuid.UUID, 7)
	for i := range all {
		all[i] = subscribeAt(t, subs, hierarchy.Path(fmt.Sprintf("/s%d", i%2))).ID
	}
	var got []uuid.UUID
	opts := &ListOpts{Limit: 3}
	for {
		page, err := subs.List(ctx, opts)
		require.NoError(t, err)
		for _, s := range page.Subscriptions {
			got = append(got, s.ID)
		}
		require.LessOrEqual(t, len(got), len(all), "a page does not go on behind the one before")
		subscribeAt(t, subs, "/later") // what comes meanwhile is newer than the first page
		if opts.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	slices.Reverse(all)
	require.Equal(t, all, got)
}

func TestList_NarrowsByEachOptionAndByAllOfThem(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	names := map[uuid.UUID]string{}
	add := func(name, owner string, site hierarchy.Path, events ...string) *Created {
		spec := specAt(site, events...)
		spec.Owner = owner
		created, err := subs.Create(ctx, spec)
		require.NoError(t, err)
		names[created.ID] = name
		return created
	}
	add("ada/a", "ada", "/a", "user.*")
	paused := add("ada/a/b", "ada", "/a/b", "order.*")
	add("ada/ab", "ada", "/ab", "**")
	dev := add("bob/a", "bob", "/a", "person.created")
	add("bob/", "bob", "/", "user.deleted")
	deleted := add("bob/a/c deleted", "bob", "/a/c", "**")
	_, err := subs.Pause(ctx, paused.ID)
	require.NoError(t, err)
	require.NoError(t, subs.Delete(ctx, deleted.ID))
	_, err = subs.Update(ctx, dev.ID, Update{Channels: &[]string{"dev"}})
	require.NoError(t, err)
	userExtendsPerson(t, pool)

	for _, c := range []struct {
		opts ListOpts
		want []string
	}{
		{ListOpts{}, []string{"ada/a", "ada/a/b", "ada/ab", "bob/a", "bob/"}},
		{ListOpts{IncludeDeleted: true}, []string{"ada/a", "ada/a/b", "ada/ab", "bob/a", "bob/", "bob/a/c deleted"}},
		{ListOpts{Owner: "ada"}, []string{"ada/a", "ada/a/b", "ada/ab"}},
		{ListOpts{Owner: "bob", IncludeDeleted: true}, []string{"bob/a", "bob/", "bob/a/c deleted"}},
		{ListOpts{Owner: "bo"}, nil},
		{ListOpts{Site: "/a"}, []string{"ada/a", "bob/a"}},
		{ListOpts{Site: "/a/c", IncludeDeleted: true}, []string{"bob/a/c deleted"}},
		{ListOpts{Site: "/a", Owner: "bob"}, []string{"bob/a"}},
		{ListOpts{Site: "/a", Under: "/a"}, []string{"ada/a", "bob/a"}},
		{ListOpts{Site: "/a", Under: "/a/b"}, nil},
		{ListOpts{Under: "/a"}, []string{"ada/a", "ada/a/b", "bob/a"}},
		{ListOpts{Under: "/a", Owner: "ada"}, []string{"ada/a", "ada/a/b"}},
		{ListOpts{State: StatePaused}, []string{"ada/a/b"}},
		{ListOpts{State: StateActive, Owner: "ada"}, []string{"ada/a", "ada/ab"}},
		{ListOpts{State: StateActive, Site: "/a/b"}, nil},
		{ListOpts{EventType: "user.created"}, []string{"ada/a", "ada/ab", "bob/a"}},
		{ListOpts{EventType: "user.created", Site: "/a"}, []string{"ada/a", "bob/a"}},
		{ListOpts{EventType: "user.created", Owner: "bob"}, []string{"bob/a"}},
		{ListOpts{EventType: "order.paid"}, []string{"ada/a/b", "ada/ab"}},
		{ListOpts{Channel: "ops"}, []string{"ada/a", "ada/a/b", "ada/ab", "bob/"}},
		{ListOpts{Channel: "dev"}, []string{"ada/a", "ada/a/b", "ada/ab", "bob/a", "bob/"}},
		{ListOpts{Channel: "ops", Owner: "bob"}, []string{"bob/"}},
		{ListOpts{Channel: "ops", Site: "/a"}, []string{"ada/a"}},
	} {
		list, err := listed(subs.List(ctx, &c.opts))
		require.NoError(t, err)
		var got []string
		for _, s := range list {
			got = append(got, names[s.ID])
			require.Equal(t, s.ID == deleted.ID, s.DeletedAt != nil)
		}
		require.Equal(t, c.want, got, "%+v", c.opts)
	}
}

func TestList_ABadOneNamesTheOption(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	sites := newSites(t, pool)
	for why, opts := range map[string]ListOpts{
		"Channel: must not":      {Channel: "\x00"},
		"Cursor: is not":         {Cursor: uuid.Max.String()},
		"EventType: ":            {EventType: "user"},
		"Limit: is -1":           {Limit: -1},
		"Limit: is 1001":         {Limit: 1001},
		"Owner: must not":        {Owner: "\x00"},
		"Site: ":                 {Site: "a"},
		`State: "x" is not`:      {State: "x"},
		"Under: invalid path \"": {Under: "/a/"},
	} {
		_, err := listed(subs.List(t.Context(), &opts))
		require.ErrorContains(t, err, "subscription: list subscriptions: "+why)
	}
	for why, opts := range map[string]hierarchy.SiteListOpts{
		"Cursor: is not":          {Cursor: "/a"},
		"Cursor: must not":        {Cursor: cursor.Sites.OfText("\x00")},
		"Limit: is 1001":          {Limit: 1001},
		"Parent: invalid path \"": {Parent: "/a/"},
		"Under: cannot be given":  {Parent: "/a", Under: "/b"},
		"Under: invalid path \"":  {Under: "/a/"},
	} {
		_, err := listedSites(sites.List(t.Context(), &opts))
		require.ErrorContains(t, err, "hierarchy: list sites: "+why)
	}
	_, err := subs.DeleteByOwner(t.Context(), "ada", &DeleteByOwnerOpts{Under: "a"})
	require.ErrorContains(t, err, "Under: ")
	_, err = subs.DeleteByOwner(t.Context(), "\xff", nil)
	require.ErrorContains(t, err, "owner: must be valid UTF-8")
}
