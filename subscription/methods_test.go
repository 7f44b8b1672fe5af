package subscription

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
)

// aim is a subscription that methods are called on.
type aim struct {
	id      uuid.UUID
	owner   string
	pending uuid.UUID      // a secret that waits to be confirmed
	site    hierarchy.Path // where Create is asked to make another one
	url     string         // a URL that waits to be proven
}

// aimAt makes a subscription at a site, with a second secret and a second URL.
func aimAt(t *testing.T, subs *Store, site hierarchy.Path) aim {
	t.Helper()
	created := subscribeAt(t, subs, site)
	_, err := subs.RotateSecret(t.Context(), created.ID, &RotateOpts{Confirm: true})
	require.NoError(t, err)
	infos, err := subs.ListSecrets(t.Context(), created.ID)
	require.NoError(t, err)
	const url = "https://example.com/other"
	_, err = subs.Update(t.Context(), created.ID, Update{URL: new(url), Verification: new(VerificationChallenge)})
	require.NoError(t, err)
	return aim{
		id:      created.ID,
		owner:   created.Owner,
		pending: infos[0].ID,
		site:    site,
		url:     url,
	}
}

// methodsOf are the names of the exported methods of a store.
func methodsOf(v any) []string {
	var names []string
	for method := range reflect.TypeOf(v).Methods() {
		names = append(names, method.Name)
	}
	return names
}

// baseName is the method of which this is the form for the caller's transaction.
func baseName(method string) string { return strings.TrimSuffix(method, "Tx") }

// call calls a method of a store, in a transaction that is committed where it takes
// one. Its arguments follow from their types, so that methods which are added later
// are called too. It returns what the method returned but for the error.
func call(t *testing.T, db beginner, store any, method string, at aim) ([]any, error) {
	t.Helper()
	m := reflect.ValueOf(store).MethodByName(method)
	var tx pgx.Tx
	ids := []uuid.UUID{at.id, at.pending}
	args := make([]reflect.Value, m.Type().NumIn())
	for i := range args {
		var arg any
		switch in := m.Type().In(i); in {
		case reflect.TypeFor[context.Context]():
			arg = t.Context()
		case reflect.TypeFor[pgx.Tx]():
			var err error
			tx, err = db.Begin(t.Context())
			require.NoError(t, err)
			arg = tx
		case reflect.TypeFor[uuid.UUID]():
			arg, ids = ids[0], ids[1:]
		case reflect.TypeFor[[]uuid.UUID]():
			arg = []uuid.UUID{at.id}
		case reflect.TypeFor[string]():
			if arg = at.owner; baseName(method) == "MarkVerified" {
				arg = at.url
			}
		case reflect.TypeFor[Spec]():
			arg = specAt(at.site)
		case reflect.TypeFor[Update]():
			arg = Update{Name: new("another name")}
		case reflect.TypeFor[access.Verb]():
			arg = access.VerbChange
		case reflect.TypeFor[func(pgx.Tx) error]():
			arg = func(pgx.Tx) error { return nil }
		default:
			require.Equal(t, reflect.Pointer, in.Kind(), "%s has an argument of type %s: give this test a value for it", method, in)
			arg = reflect.Zero(in).Interface()
		}
		args[i] = reflect.ValueOf(arg)
	}
	results := m.Call(args)
	err, _ := reflect.TypeAssert[error](results[len(results)-1])
	if tx != nil {
		require.NoError(t, tx.Commit(t.Context()), "an error leaves the transaction usable")
	}
	out := make([]any, len(results)-1)
	for i := range out {
		out[i] = results[i].Interface()
	}
	return out, err
}

// shows says whether a list has the subscription.
func shows(list any, id uuid.UUID) bool {
	subs, ok := list.([]Subscription)
	if page, paged := list.(*Page); paged {
		subs, ok = page.Subscriptions, true
	}
	return ok && slices.ContainsFunc(subs, func(s Subscription) bool { return s.ID == id })
}

// rowsOf changes with each change of what is stored.
func rowsOf(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var rows string
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT md5(concat(
			(SELECT json_agg(s ORDER BY s.id) FROM riverhook.subscription s), (SELECT json_agg(k ORDER BY k.id) FROM riverhook.secret k)))`,
	).Scan(&rows))
	return rows
}

type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// listed are the subscriptions of a page, oldest first.
func listed(page *Page, err error) ([]Subscription, error) {
	if err != nil {
		return nil, err
	}
	slices.Reverse(page.Subscriptions)
	return page.Subscriptions, nil
}
