package expand_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

// waits is the job of the decision for a subscription that waits, how often it was tried, and
// in how many seconds it is tried again.
func (b *bundle) waits(in intent, sub uuid.UUID) (job int64, tries int, seconds float64) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT d.job_id, d.tries, extract(epoch FROM d.due_at - now())
		FROM riverhook.decision d WHERE d.intent_id = $1 AND d.subscription_id = $2 AND d.outcome = 'waiting'`,
		in.id, sub).Scan(&job, &tries, &seconds))
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
	first, tries, seconds := b.waits(in, sub.ID)
	require.NotEqual(t, in.by.JobID, first)
	require.Equal(t, 1, tries)
	require.InDelta(t, time.Second.Seconds(), seconds, 1)

	in.by.JobID = first
	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))
	second, tries, _ := b.waits(in, sub.ID)
	require.NotEqual(t, first, second)
	require.Equal(t, 2, tries)

	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id), "it is another job's now")
	_, tries, _ = b.waits(in, sub.ID)
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
	in.by.JobID, _, _ = b.waits(in, sub.ID)

	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))

	require.Equal(t, map[uuid.UUID]string{sub.ID: "inactive: the subscription was deleted"}, b.outcomes(in))
}

// What others did not wait for is decided again at once; an error of the same chunk waits for
// its next try.
func TestReevaluator_AnErrorThatCountsDoesNotShareTheJobOfWhatIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	b.checks = func(r access.Request) error {
		if r.Principal == "slow" {
			<-release
		}
		return nil
	}
	b.Decider.Messages.Externalizer = func(name, _, _ string) decide.Externalize {
		if name != "hub" {
			return nil
		}
		return func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("not now") }
	}
	delivered := b.subscribe(nil)
	slow := b.subscribe(func(s *subscription.Spec) { s.Owner = "slow" })
	broken := b.subscribe(func(s *subscription.Spec) { s.Dialect = "hub" })
	in := b.enqueue()

	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))
	close(release)

	require.Equal(t, map[uuid.UUID]string{
		broken.ID:    "waiting: externalizer: not now",
		delivered.ID: "pending, paused",
		slow.ID:      "waiting: access could not be decided: there is no answer yet",
	}, b.outcomes(in))
	again, _, seconds := b.waits(in, slow.ID)
	require.LessOrEqual(t, seconds, 0.0)
	later, tries, seconds := b.waits(in, broken.ID)
	require.NotEqual(t, later, again)
	require.Equal(t, 1, tries)
	require.Greater(t, seconds, 0.0)

	in.by.JobID = again
	require.NoError(t, b.again.Reevaluate(t.Context(), in.by, in.id))
	_, tries, _ = b.waits(in, broken.ID)
	require.Equal(t, 1, tries)
	require.Equal(t, "pending, paused", b.outcomes(in)[slow.ID])
}
