package gates_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/gates"
)

func TestRecorder_TheVerdictHoldsWithoutARecord(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(veto, nil)
	_, err := b.pool.Exec(t.Context(), `ALTER TABLE riverhook.attempt RENAME TO attempts`)
	require.NoError(t, err)

	all, unrecorded, err := b.Ask(t.Context(), question(), time.Minute)

	require.NoError(t, err)
	require.ErrorContains(t, unrecorded, "delivery: record question ")
	require.Equal(t, gates.Vetoed, all[0].Outcome)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent`), "all of it is one transaction")
}

// A resource that is erased while gates think leaves no payload.
func TestRecorder_AnErasedResource(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(func(w http.ResponseWriter, r *http.Request) {
		if _, err := b.pool.Exec(r.Context(), `SELECT riverhook.erase('user', '7')`); err != nil {
			t.Error(err)
		}
		agree(w, r)
	}, nil)

	_, unrecorded, err := b.Ask(t.Context(), question(), time.Minute)

	require.NoError(t, err)
	require.NoError(t, unrecorded)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.intent`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent WHERE data::text LIKE '%7%'`))
}

// A row that another transaction has locked is waited for.
func TestRecorder_TriesAgainAfterALock(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	locked := func(ctx context.Context) error {
		tx, err := b.pool.Begin(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `LOCK TABLE riverhook.subscription_health IN ACCESS EXCLUSIVE MODE`)
		time.AfterFunc(2*time.Second, func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }) // longer than a statement waits
		return err
	}
	b.gate(func(w http.ResponseWriter, _ *http.Request) {
		if err := locked(t.Context()); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusInternalServerError)
	}, nil)

	_, unrecorded, err := b.Ask(t.Context(), question(), time.Minute)

	require.NoError(t, err)
	require.NoError(t, unrecorded)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.intent`))
}
