package record

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newRecorder makes a recorder for a database.
func newRecorder(t *testing.T, pool *pgxpool.Pool, change func(cfg *Config)) *Recorder {
	t.Helper()
	cfg := &Config{
		DB:      pool,
		Log:     slog.New(slog.DiscardHandler),
		NewID:   uuid.New,
		Passing: func(error) bool { return false },
		Schema:  "riverhook",
		Timeout: 10 * time.Second,
	}
	if change != nil {
		change(cfg)
	}
	r := NewRecorder(cfg)
	t.Cleanup(r.Close)
	return r
}

// pending makes a pending delivery of a subscription of an operator, which listens to all.
func pending(t *testing.T, pool *pgxpool.Pool) *attempt.Target {
	t.Helper()
	target := &attempt.Target{
		ID:    uuid.New(),
		Round: 1,
		Epoch: 1,
		Sub: attempt.Subscription{
			ID:         uuid.New(),
			URL:        "https://user:password@example.com/hook?token=secret",
			URLVersion: 1,
			Epoch:      1,
		},
	}
	target.Event.ID, target.Event.Type = "one", "user.created"
	_, err := pool.Exec(t.Context(), `WITH sub AS (
			INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, hears_operations)
			VALUES ($1, '/', $2, '{**}', true, 'standard', true))
		INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch)
		VALUES ($3, $4, $1, 'standard', '/', 1)`, target.Sub.ID, target.Sub.URL, target.ID, uuid.New())
	require.NoError(t, err)
	return target
}

// answered is the transition of a target after an attempt.
func answered(t *attempt.Target, outcome attempt.Outcome, state attempt.State) *attempt.Transition {
	tr := t.Unchanged()
	tr.State = state
	tr.Attempts = t.Attempts + 1
	tr.Attempt = &attempt.Attempt{
		Number:    1,
		Outcome:   outcome,
		StartedAt: time.Now(),
	}
	return tr
}

// record is Record for tests that know whether the delivery moves.
func (r *Recorder) record(ctx context.Context, tr *attempt.Transition) error {
	_, err := r.Record(ctx, tr)
	return err
}

func count(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// A worker that was believed dead comes back with a failure while its successor
// records a success.
func TestRecorder_TellsTwoTransitionsOfOneDeliveryInABatchApart(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	dead := pending(t, pool)
	_, err := pool.Exec(t.Context(), `UPDATE riverhook.delivery SET attempt_seq = 1`)
	require.NoError(t, err)
	successor := *dead
	successor.Seq = 1

	became, err := r.flush(t.Context(), []*attempt.Transition{
		answered(dead, attempt.OutcomeFailed, attempt.StatePending),
		answered(&successor, attempt.OutcomeDelivered, attempt.StateDelivered),
	})
	require.NoError(t, err)
	require.Equal(t, []result{superseded, moved}, became)
	health := count(t, pool, `SELECT count(*) FROM riverhook.subscription_health`)
	require.Zero(t, health, "the failure of the one believed dead does not count")
}

// A statement does not see what was committed after it began, and cannot change it. An attempt that
// was written without its delivery would be made again.
func TestRecorder_ADeliveryThatChangesMeanwhileIsRecordedByTheNextTry(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	first, changed := pending(t, pool), pending(t, pool)
	type flushed struct {
		became []result
		err    error
	}
	done := make(chan flushed, 1)

	pgtest.Stall(t, pool, "delivery", "id", first.ID, func() {
		became, err := r.flush(context.Background(), []*attempt.Transition{
			answered(first, attempt.OutcomeDelivered, attempt.StateDelivered),
			answered(changed, attempt.OutcomeDelivered, attempt.StateDelivered),
		})
		done <- flushed{became, err}
	}, func() {
		_, err := pool.Exec(t.Context(), `UPDATE riverhook.delivery SET due_at = now() WHERE id = $1`, changed.ID)
		require.NoError(t, err)
	})

	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, []result{moved, busy}, got.became)
	require.Zero(t, count(t, pool, `SELECT count(*) FROM riverhook.attempt WHERE delivery_id = $1`, changed.ID))
	is, err := r.Record(t.Context(), answered(changed, attempt.OutcomeDelivered, attempt.StateDelivered))
	require.NoError(t, err)
	require.True(t, is)
}

func TestRecorder_CallsHooksForWhatIsCommitted(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	var delivered, exhausted []DeliveryEvent
	var recovered []SubscriptionEvent
	var bodies []string
	r := newRecorder(t, pool, func(cfg *Config) {
		cfg.Hooks = Hooks{
			Delivered: func(_ context.Context, ev DeliveryEvent, answer *attempt.Answer) {
				delivered, bodies = append(delivered, ev), append(bodies, string(answer.Body))
			},
			Exhausted: func(_ context.Context, ev DeliveryEvent) { exhausted = append(exhausted, ev) },
			Recovered: func(_ context.Context, ev SubscriptionEvent) { recovered = append(recovered, ev) },
		}
	})
	failed := pending(t, pool)
	require.NoError(t, r.record(t.Context(), answered(failed, attempt.OutcomeFailed, attempt.StateExhausted)))
	require.Len(t, exhausted, 1)
	require.Equal(t, DeliveryEvent{
		DeliveryID:     failed.ID,
		SubscriptionID: failed.Sub.ID,
		URL:            "https://example.com/hook?redacted",
		IntentID:       "one",
		EventType:      "user.created",
		Attempts:       1,
		Outcome:        attempt.OutcomeFailed,
	}, exhausted[0])
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.intent WHERE type = $1`, event.DeliveryExhausted))

	_, err := pool.Exec(t.Context(), `UPDATE riverhook.subscription_health SET warned_at = now()`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE riverhook.delivery SET state = 'pending', ended_at = NULL`)
	require.NoError(t, err)
	well := *failed
	well.Seq, well.Failing = 1, true
	success := answered(&well, attempt.OutcomeDelivered, attempt.StateDelivered)
	success.Attempt.Answer = &attempt.Answer{Body: []byte("thanks")}
	require.NoError(t, r.record(t.Context(), success))
	require.Equal(t, []string{"thanks"}, bodies)
	require.Len(t, delivered, 1)
	require.Len(t, recovered, 1)
	require.Equal(t, 1, recovered[0].FailedAttempts)
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.intent WHERE type = $1`, event.SubscriptionRecovered))

	again, err := r.Record(t.Context(), answered(failed, attempt.OutcomeFailed, attempt.StateExhausted))
	require.NoError(t, err)
	require.False(t, again)
	require.Len(t, exhausted, 1, "no hook is called for a superseded transition")
}

// An application has locked the row of a delivery.
func TestRecorder_TriesALockedRowAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	target := pending(t, pool)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.delivery FOR UPDATE`)
	require.NoError(t, err)
	became, err := r.flush(t.Context(), []*attempt.Transition{answered(target, attempt.OutcomeDelivered, attempt.StateDelivered)})
	require.NoError(t, err)
	require.Equal(t, []result{busy}, became)

	done := make(chan error, 1)
	go func() {
		done <- r.record(t.Context(), answered(target, attempt.OutcomeDelivered, attempt.StateDelivered))
	}()
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-done)
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`))
}

func TestRecorder_ErrorSaysWhetherAnAnswerIsLost(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	r.Close()
	target := pending(t, pool)

	err := r.record(t.Context(), answered(target, attempt.OutcomeDelivered, attempt.StateDelivered))
	require.True(t, IsUnrecorded(err))
	require.ErrorIs(t, err, batch.ErrClosed)
	err = r.record(t.Context(), target.Cancel("it is not wanted"))
	require.True(t, callbacks.IsStall(err))
	require.False(t, IsUnrecorded(err))
}

func TestRecorder_TriesAgainAfterAnErrorThatPasses(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	tries := 0
	r := newRecorder(t, pool, func(cfg *Config) {
		cfg.Schema = "nowhere"
		cfg.Passing = func(error) bool { tries++; return tries < 3 }
	})
	err := r.record(t.Context(), pending(t, pool).Cancel("it is not wanted"))
	require.True(t, callbacks.IsStall(err))
	require.Equal(t, 3, tries)

	job, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the engine stops"))
	tries = 0
	require.Error(t, r.record(job, pending(t, pool).Cancel("it is not wanted")))
	require.Equal(t, 1, tries, "a job that is cancelled does not wait for that")
}
