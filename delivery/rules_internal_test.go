package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func TestARuleHoldsFromItsEdgeOn(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	off := DeactivationRules{
		Attempts:     subscription.NoRule,
		Exhausted:    subscription.NoRule,
		Failures:     subscription.NoRule,
		Unresolvable: subscription.NoRule,
		Warning:      subscription.NoRule,
	}
	window := off
	failures := off
	exhausted := off
	unresolvable := off
	window.Attempts, window.Window = 10, hour
	failures.Failures = 250
	exhausted.Exhausted, exhausted.ExhaustedWindow = 50, hour
	unresolvable.Unresolvable = 50
	for name, c := range map[string]struct {
		rules        DeactivationRules
		below, above tally
	}{
		"attempts":      {window, tally{Failed: 9, FailingFor: 2 * hour}, tally{Failed: 10, FailingFor: 2 * hour}},
		"window":        {window, tally{Failed: 90, FailingFor: hour}, tally{Failed: 90, FailingFor: hour + 1}},
		"failures":      {failures, tally{Failed: 249, FailingFor: 99 * hour}, tally{Failed: 250}},
		"exhausted":     {exhausted, tally{Exhausted: 49, ExhaustedFor: 2 * hour}, tally{Exhausted: 50, ExhaustedFor: 2 * hour}},
		"exhausted for": {exhausted, tally{Exhausted: 90, ExhaustedFor: hour}, tally{Exhausted: 90, ExhaustedFor: hour + 1}},
		"unresolvable":  {unresolvable, tally{Unresolvable: 49}, tally{Unresolvable: 50}},
		"gone": {
			off,
			tally{
				Failed:       1000,
				Exhausted:    1000,
				Unresolvable: 1000,
				FailingFor:   9999 * hour,
				ExhaustedFor: 9999 * hour,
			},
			tally{Gone: true},
		},
	} {
		require.Empty(t, c.below.deactivates(&c.rules), name)
		require.NotEmpty(t, c.above.deactivates(&c.rules), name)
		require.Empty(t, c.above.warns(&c.rules), name)
	}
}

// lifeModel is what is counted against one subscription.
type lifeModel struct {
	rules        DeactivationRules
	state        subscription.State
	epoch        int
	version      int // of the URL
	failed       int
	appFailed    bool
	unresolvable int
	warned       int
	recovered    int
	inWindow     bool // it was warned of
}

// write is a batch that is recorded: 'f' an event of the application failed, 'o' one
// of Riverhook's own, 's' a success, 'u' an owner who is not there, of whatever URL.
func (m *lifeModel) write(batch []rune, epoch, version int) {
	if epoch != m.epoch {
		return
	}
	for _, r := range batch {
		switch {
		case r == 'u':
			m.unresolvable++
		case version != m.version:
		case r == 'f', r == 'o':
			m.failed++
			m.appFailed = m.appFailed || r == 'f'
		case r == 's':
			if m.inWindow {
				m.recovered++
			}
			m.resetWindow()
		}
	}
}

func (m *lifeModel) reset() {
	m.resetWindow()
	m.unresolvable = 0
}

func (m *lifeModel) resetWindow() {
	m.failed = 0
	m.appFailed = false
	m.inWindow = false
}

func (m *lifeModel) judge() {
	switch {
	case m.state == subscription.StateDeactivated:
	case m.failed >= m.rules.Failures || m.unresolvable >= m.rules.Unresolvable:
		m.state = subscription.StateDeactivated
		m.epoch++
		m.reset()
	case 2*m.failed >= m.rules.Failures && m.appFailed && !m.inWindow:
		m.warned, m.inWindow = m.warned+1, true
	}
}

func TestWhatIsCountedFollowsItsModel(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	warned := map[uuid.UUID]int{}
	e, err := New(pool, &Config{
		Hooks:  Hooks{SubscriptionFailing: func(_ context.Context, ev SubscriptionEvent) { warned[ev.SubscriptionID]++ }},
		Logger: slog.New(slog.DiscardHandler),
		Sealer: seal.Clear(),
	})
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		m := lifeModel{
			state:   subscription.StateActive,
			epoch:   1,
			version: 1,
		}
		m.rules = DeactivationRules{
			Failures: rapid.IntRange(2, 8).Draw(t, "failures"), Unresolvable: rapid.IntRange(2, 5).Draw(t, "unresolvable"),
		}
		sub, err := e.subs.Create(ctx, subscription.Spec{
			URL:          "https://example.com",
			Events:       []string{"**"},
			Operator:     true,
			Deactivation: &m.rules,
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, e.subs.Delete(ctx, sub.ID)) }()
		recovered := 0
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				batch := rapid.SliceOfN(rapid.SampledFrom([]rune("fffosu")), 1, 5).Draw(t, "batch")
				epoch := rapid.IntRange(max(1, m.epoch-1), m.epoch).Draw(t, "epoch")
				version := rapid.IntRange(max(1, m.version-1), m.version).Draw(t, "version")
				ended, err := e.recordBatch(ctx, healthKey{
					SubscriptionID: sub.ID,
					Epoch:          epoch,
					URLVersion:     version,
				}, batch)
				require.NoError(t, err)
				recovered += ended
				m.write(batch, epoch, version)
			},
			"another URL": func(t *rapid.T) {
				m.version++
				url := fmt.Sprintf("https://example.com/%d", m.version)
				_, err := e.subs.Update(ctx, sub.ID, subscription.Update{URL: &url})
				require.NoError(t, err)
				m.resetWindow()
			},
			"judge": func(t *rapid.T) {
				_, err := e.deactivateDue(ctx)
				require.NoError(t, err)
				m.judge()
			},
			"pause and activate": func(t *rapid.T) {
				if m.state == subscription.StateActive {
					_, err := e.subs.Pause(ctx, sub.ID)
					require.NoError(t, err)
				}
				changed, err := e.subs.Activate(ctx, sub.ID)
				require.NoError(t, err)
				require.True(t, changed)
				m.state = subscription.StateActive
				m.reset()
			},
			"": func(t *rapid.T) {
				h, err := e.Health(ctx, sub.ID)
				require.NoError(t, err)
				require.Equal(t, [2]any{m.state, m.epoch}, [2]any{h.State, h.Epoch})
				require.Equal(t, [4]int{m.failed, m.unresolvable, m.warned, m.recovered},
					[4]int{h.FailedAttempts, h.Unresolvable, warned[sub.ID], recovered})
			},
		})
	})
}

// recordBatch records each result by itself in one book, as a batch does.
func (e *Engine) recordBatch(ctx context.Context, key healthKey, batch []rune) (ended int, err error) {
	book := healthBook{}
	for _, r := range batch {
		tr := &attempt.Transition{
			Target:  &attempt.Target{Epoch: key.Epoch},
			State:   attempt.StatePending,
			Attempt: &attempt.Attempt{Outcome: OutcomeFailed},
		}
		tr.Target.Sub.ID, tr.Target.Sub.URLVersion = key.SubscriptionID, key.URLVersion
		tr.Target.Event.Type = "user.created"
		switch r {
		case 'u':
			book.entry(key).Unresolvable++
			continue
		case 'o':
			tr.Target.Event.Type = SubscriptionFailingEventType
		case 'g':
			tr.Attempt.Outcome = OutcomeGone
		case 's':
			tr.Attempt.Outcome = OutcomeDelivered
		}
		book.add(tr, true)
	}
	err = e.inTx(ctx, true, func(q *store.Queries) error {
		rows, err := book.write(ctx, q)
		ended = len(rows)
		return err
	})
	return ended, err
}

func TestAJudgmentThatIsLateDeactivatesNothing(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	e, err := New(pool, &Config{Logger: slog.New(slog.DiscardHandler), Sealer: seal.Clear()})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		counted, meanwhile string
		activated          bool
	}{
		"after a success":    {counted: "ff", meanwhile: "s"},
		"after a new window": {counted: "ff", meanwhile: "sf"},
		"in the next epoch": {
			counted:   "uu",
			meanwhile: "u",
			activated: true,
		},
		"in its own epoch only": {
			counted:   "ff",
			meanwhile: "f",
			activated: true,
		},
	} {
		sub, err := e.subs.Create(ctx, subscription.Spec{
			URL:          "https://example.com",
			Events:       []string{"**"},
			Operator:     true,
			Deactivation: &DeactivationRules{Failures: 2, Unresolvable: 2},
		})
		require.NoError(t, err)
		_, err = e.recordBatch(ctx, healthKey{
			SubscriptionID: sub.ID,
			Epoch:          1,
			URLVersion:     1,
		}, []rune(c.counted))
		require.NoError(t, err)
		rows, err := e.store.Troubled(ctx, &store.TroubledParams{MaxRows: troubledRows})
		require.NoError(t, err)
		rows = rows[len(rows)-1:]
		require.Equal(t, sub.ID, rows[0].SubscriptionID)
		epoch := 1
		if c.activated {
			changed, err := e.judge(ctx, &rows[0])
			require.NoError(t, err)
			require.True(t, changed, name)
			_, err = e.subs.Activate(ctx, sub.ID)
			require.NoError(t, err)
			epoch = 2
		}
		for _, r := range c.meanwhile {
			_, err = e.recordBatch(ctx, healthKey{
				SubscriptionID: sub.ID,
				Epoch:          epoch,
				URLVersion:     1,
			}, []rune{r})
			require.NoError(t, err)
		}

		changed, err := e.judge(ctx, &rows[0])
		require.NoError(t, err)
		require.False(t, changed, name)
		got, err := e.subs.Get(ctx, sub.ID)
		require.NoError(t, err)
		require.Equal(t, subscription.StateActive, got.State)
		require.Equal(t, epoch, got.Epoch)
		require.NoError(t, e.subs.Delete(ctx, sub.ID))
	}
}

func TestA410IsNotForgottenForASuccessBehindIt(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	e, err := New(pool, &Config{Logger: slog.New(slog.DiscardHandler), Sealer: seal.Clear()})
	require.NoError(t, err)
	sub, err := e.subs.Create(ctx, subscription.Spec{
		URL:          "https://example.com",
		Events:       []string{"**"},
		Operator:     true,
		Deactivation: &DeactivationRules{Failures: subscription.NoRule},
	})
	require.NoError(t, err)
	_, err = e.recordBatch(ctx, healthKey{
		SubscriptionID: sub.ID,
		Epoch:          1,
		URLVersion:     1,
	}, []rune("gs"))
	require.NoError(t, err)
	_, err = e.deactivateDue(ctx)
	require.NoError(t, err)
	got, err := e.subs.Get(ctx, sub.ID)
	require.NoError(t, err)
	require.Equal(t, subscription.StateDeactivated, got.State)
	require.Equal(t, "the endpoint answered 410 Gone", got.StateReason)
}
