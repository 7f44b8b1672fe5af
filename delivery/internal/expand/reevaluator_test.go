package expand_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

// waits is the job of the decisions of an intent that wait, how often they were tried, and
// in how many seconds they are tried again.
func (b *bundle) waits(in intent) (job int64, tries int, seconds float64) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT d.job_id, d.tries, extract(epoch FROM d.due_at - now())
		FROM riverhook.decision d WHERE d.intent_id = $1 AND d.outcome = 'waiting'`, in.id).Scan(&job, &tries, &seconds))
	return job, tries, seconds
}

func TestReevaluator_MakesDecisionsAgainThatWait(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	down := true
	b.externalize = func(_ context.Context, ev dialect.Event) ([]byte, error) {
		if down {
			return nil, errors.New("not now")
		}
		return ev.Data, nil
	}
	sub := b.subscribe(nil)
	in := b.enqueue()
	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))
	require.Equal(t, map[uuid.UUID]string{sub.ID: "waiting: externalizer: not now"}, b.outcomes(in))
	first, tries, seconds := b.waits(in)
	require.NotEqual(t, in.by.JobID, first)
	require.Equal(t, 1, tries)
	require.InDelta(t, time.Second.Seconds(), seconds, 1)

	in.by.JobID = first
	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))
	second, tries, _ := b.waits(in)
	require.NotEqual(t, first, second)
	require.Equal(t, 2, tries)

	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id), "it is another job's now")
	_, tries, _ = b.waits(in)
	require.Equal(t, 2, tries)

	down = false
	in.by.JobID = second
	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))
	require.Equal(t, map[uuid.UUID]string{sub.ID: "pending, paused"}, b.outcomes(in))
}

func TestReevaluator_ADeletedSubscriptionIsInactive(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.externalize = func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("not now") }
	sub := b.subscribe(nil)
	in := b.enqueue()
	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))
	require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	in.by.JobID, _, _ = b.waits(in)

	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))

	require.Equal(t, map[uuid.UUID]string{sub.ID: "inactive: the subscription was deleted"}, b.outcomes(in))
}
