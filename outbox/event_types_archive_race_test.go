package outbox

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// afterRead does something when a client has read the types, and before it knows
// what it has read.
type afterRead struct{ do atomic.Pointer[func()] }

func (a *afterRead) once(do func()) { a.do.Store(&do) }

type readsTypes struct{}

func (*afterRead) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, readsTypes{}, strings.Contains(data.SQL, "name: ListNewestVersions"))
}

func (a *afterRead) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if reads, _ := ctx.Value(readsTypes{}).(bool); reads {
		if do := a.do.Swap(nil); do != nil {
			(*do)()
		}
	}
}

func TestEnqueue_WhileATypeIsArchived(t *testing.T) {
	t.Parallel()
	setupRead := func(t *testing.T) (*bench, *afterRead, *Client, func()) {
		t.Helper()
		read := &afterRead{}
		b := setup(t)
		cfg := b.pool.Config()
		cfg.ConnConfig.Tracer = read
		client, pass := clocked(t, open(t, cfg), false)
		require.NoError(t, eventTypes(t, b).Register(t.Context(), EventType{Name: "a.b"}))
		return b, read, client, func() { pass(registryMaxAge) }
	}

	t.Run("what was read before it was archived by the same client is read again", func(t *testing.T) {
		t.Parallel()
		b, read, client, _ := setupRead(t)
		types := ofClient(t, client)
		read.once(func() { require.NoError(t, types.Archive(t.Context(), "a.b")) })
		_, err := client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err, "it began before")
		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		requireRefused(t, err, 0, "Type", `"a.b" is archived`)
	})

	t.Run("the 5 s count from before the read", func(t *testing.T) {
		t.Parallel()
		b, read, client, pass := setupRead(t)
		read.once(func() {
			require.NoError(t, eventTypes(t, b).Archive(t.Context(), "a.b"))
			pass()
		})
		_, err := client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err, "it began before")
		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		requireRefused(t, err, 0, "Type", `"a.b" is archived`)
	})

	t.Run("an intent is judged when it is enqueued, not when it is committed", func(t *testing.T) {
		t.Parallel()
		b, _, client, pass := setupRead(t)
		types := eventTypes(t, b)
		_, err := client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err)
		_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1')")
		require.NoError(t, err)

		require.NoError(t, types.Archive(t.Context(), "a.b"), "it does not wait for who has enqueued")

		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err, "a client of another process, for 5 s")
		pass()
		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		requireRefused(t, err, 0, "Type", `"a.b" is archived`)
		savepoint := begin(t, b.tx)
		_, err = savepoint.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1')")
		requireState(t, err, "22023", `Type: "a.b" is archived`)
		require.NoError(t, savepoint.Rollback(t.Context()))
		require.NoError(t, b.tx.Commit(t.Context()))
		require.Equal(t, [3]int{3, 3, 3}, count(t, b.pool))
	})

	t.Run("an archiving that is not committed is waited for by nobody", func(t *testing.T) {
		t.Parallel()
		b, _, client, pass := setupRead(t)
		types := eventTypes(t, b)
		require.NoError(t, types.In(b.tx).Archive(t.Context(), "a.b"))
		other := begin(t, b.pool)
		_, err := client.Enqueue(t.Context(), other, person("1"))
		require.NoError(t, err)
		_, err = other.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1')")
		require.NoError(t, err)
		require.NoError(t, b.tx.Commit(t.Context()))
		pass()
		_, err = client.Enqueue(t.Context(), other, person("1"))
		requireRefused(t, err, 0, "Type", `"a.b" is archived`)
	})
}

func TestEnqueue_ATypeOfTheCallersTransactionIsNotKnownBeforeItsCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client, pass := clocked(t, b.pool, false)
	types := ofClient(t, client)
	require.NoError(t, types.In(b.tx).Register(t.Context(), versioned("a.b", "false")))
	_, err := client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: json.RawMessage("1")})
	require.NoError(t, err, "nor is it waited for")
	require.NoError(t, b.tx.Commit(t.Context()))
	pass(registryMaxAge)
	_, err = client.Enqueue(t.Context(), begin(t, b.pool), Intent{Type: "a.b", Data: json.RawMessage("1")})
	requireRefused(t, err, 0, "Data", `at "": is not allowed by the schema (schema version 1)`)
}
