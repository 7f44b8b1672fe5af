package delivery_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// The engine ends between the commit of its expansion and its request, and then
// something happens to its job.
func TestReconcile_AFirstAttemptWhoseRiverJobIs(t *testing.T) {
	t.Parallel()
	for name, tampering := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			b.subscribe(r, nil)
			ends := b.engine(nil)
			ctx, end := context.WithCancel(t.Context())
			ends.OnPoint(func(string) { end() })
			id := b.enqueue(nil)
			_, err := ends.RunDue(ctx)
			require.ErrorIs(t, err, context.Canceled)
			require.Len(t, b.deliveries(id), 1)

			require.Positive(t, b.exec(tampering.statement))
			engine := b.engine(nil)
			require.NoError(t, engine.Maintain(t.Context()))
			require.Equal(t, "pending", b.deliveries(id)[0].State, "it may still come to its record")
			b.pass(time.Minute)
			b.drain(engine)
			b.drain(engine)

			if tampering.cancels {
				require.Equal(t, "its River job was cancelled", b.deliveries(id)[0].Reason)
				require.Empty(t, r.Requests())
				return
			}
			require.Len(t, r.Requests(), 1)
			require.Equal(t, "delivered", b.deliveries(id)[0].State)
		})
	}
}

func TestReconcile_AnIntentIsWatchedUntilItsFirstAttemptsAreRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, nil)
	b.subscribe(b.always(deliverytest.Answer{Status: 500}), func(spec *subscription.Spec) { spec.Schedule = "twice" })
	engine := b.start(b.engine(nil))
	watched := func() int { return b.count(`SELECT count(*) FROM riverhook.intent_state WHERE due_at IS NOT NULL`) }
	b.enqueue(nil)
	b.wait(r, 1)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.attempt`) == 1 })

	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, 1, watched())
	s, err := engine.History().Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, s.Due, "a request under way")
	release()
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 1 })
	require.NoError(t, engine.Maintain(t.Context()))
	require.Zero(t, watched())
}

// An update that changes no column of an index is made in place.
func TestRecord_ADeliveryThatSucceedsAtOnceChangesNoIndex(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	row := func(ctx context.Context) map[string]any {
		var text string
		if err := b.pool.QueryRow(ctx, `SELECT row_to_json(d) FROM riverhook.delivery d`).Scan(&text); err != nil {
			return nil
		}
		columns := map[string]any{}
		_ = json.Unmarshal([]byte(text), &columns)
		return columns
	}
	made := make(chan map[string]any, 1)
	b.subscribe(b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		made <- row(context.WithoutCancel(t.Context()))
		return deliverytest.Answer{}
	}}), nil)
	b.enqueue(nil)
	b.drain(b.engine(nil))

	before, after := <-made, row(t.Context())
	changed := slices.DeleteFunc(slices.Sorted(maps.Keys(after)), func(column string) bool { return before[column] == after[column] })
	require.Contains(t, changed, "state")
	indexes := strings.Fields(strings.NewReplacer("(", " ", ")", " ", ",", " ").Replace(
		b.text(`SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE schemaname = 'riverhook' AND tablename = 'delivery'`)))
	require.Contains(t, indexes, "due_at")
	for _, column := range changed {
		require.NotContains(t, indexes, column)
	}
}
