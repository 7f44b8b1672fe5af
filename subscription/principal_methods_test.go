package subscription

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
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

// The ends of the names by which tests call a method in a transaction of the caller's.
const (
	formTx  = "Tx"
	formSQL = "SQL"
)

// once are the methods that are not called in a transaction of the caller's.
var once = []string{"As", "Reseal", "Within"}

// methodsOf are the exported methods of a store in each of their forms: "Create" by itself,
// "CreateTx" in a transaction of pgx, and "CreateSQL" in one of database/sql.
func methodsOf(v any) []string {
	var names []string
	for method := range reflect.TypeOf(v).Methods() {
		switch {
		case method.Name == "In" || method.Name == "InSQL":
		case slices.Contains(once, method.Name):
			names = append(names, method.Name)
		default:
			names = append(names, method.Name, method.Name+formTx, method.Name+formSQL)
		}
	}
	return names
}

// baseName is the method of which this is a form.
func baseName(method string) string {
	return strings.TrimSuffix(strings.TrimSuffix(method, formTx), formSQL)
}

// begin returns the store in a transaction, and what commits that.
func begin(t *testing.T, db beginner, store any, method string) (in any, commit func() error) {
	t.Helper()
	commit = func() error { return nil }
	switch {
	case strings.HasSuffix(method, formTx):
		tx, err := db.Begin(t.Context())
		require.NoError(t, err)
		in, commit = tx, func() error { return tx.Commit(t.Context()) }
		return reflect.ValueOf(store).MethodByName("In").Call([]reflect.Value{reflect.ValueOf(in)})[0].Interface(), commit
	case strings.HasSuffix(method, formSQL):
		pool, ok := db.(*pgxpool.Pool)
		require.True(t, ok)
		sqlDB := stdlib.OpenDBFromPool(pool)
		tx, err := sqlDB.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		in, commit = tx, func() error { return errors.Join(tx.Commit(), sqlDB.Close()) }
		return reflect.ValueOf(store).MethodByName("InSQL").Call([]reflect.Value{reflect.ValueOf(in)})[0].Interface(), commit
	default:
		return store, commit
	}
}

// call calls a method of a store in one of its forms; a transaction is committed. Its
// arguments follow from their types, so that methods which are added later are called too.
// It returns what the method returned but for the error.
func call(t *testing.T, db beginner, store any, method string, at aim) ([]any, error) {
	t.Helper()
	store, commit := begin(t, db, store, method)
	m := reflect.ValueOf(store).MethodByName(baseName(method))
	ids := []uuid.UUID{at.id, at.pending}
	args := make([]reflect.Value, m.Type().NumIn())
	for i := range args {
		var arg any
		switch in := m.Type().In(i); in {
		case reflect.TypeFor[context.Context]():
			arg = t.Context()
		case reflect.TypeFor[uuid.UUID]():
			arg, ids = ids[0], ids[1:]
		case reflect.TypeFor[[]uuid.UUID]():
			arg = []uuid.UUID{at.id}
		case reflect.TypeFor[string]():
			if arg = at.owner; baseName(method) == "MarkVerified" {
				arg = at.url
			}
		case reflect.TypeFor[hierarchy.Path]():
			arg = at.site
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
	require.NoError(t, commit(), "%s: an error leaves the transaction usable", method)
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
