package maintain

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// deactivator makes one without rules of its own, and a store of subscriptions.
func (db *database) deactivator() (*Deactivator, *subscription.Store) {
	db.t.Helper()
	subs, err := subscription.NewStore(db.Pool, &subscription.Config{
		CheckURL: func(string) error { return nil },
		Sealer:   seal.Clear(),
	})
	require.NoError(db.t, err)
	return &Deactivator{
		DB:     db.Pool,
		Log:    silent,
		NewID:  uuid.New,
		Rules:  subscription.DeactivationRules{Warning: 50},
		Schema: "riverhook",
	}, subs
}

func endpoint(id uuid.UUID, version int) attempt.EndpointKey {
	return attempt.EndpointKey{SubscriptionID: id, URLVersion: version}
}

// lifeModel is what is counted against one subscription.
type lifeModel struct {
	rules        subscription.DeactivationRules
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

func (m *lifeModel) round() {
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

func TestDeactivator_FollowsItsModel(t *testing.T) {
	t.Parallel()
	db, ctx := newDatabase(t), t.Context()
	d, subs := db.deactivator()
	warned := map[uuid.UUID]int{}
	d.Hooks.Failing = func(_ context.Context, ev record.SubscriptionEvent) { warned[ev.SubscriptionID]++ }
	rapid.Check(t, func(t *rapid.T) {
		m := lifeModel{
			state:   subscription.StateActive,
			epoch:   1,
			version: 1,
		}
		m.rules = subscription.DeactivationRules{
			Failures: rapid.IntRange(2, 8).Draw(t, "failures"), Unresolvable: rapid.IntRange(2, 5).Draw(t, "unresolvable"),
		}
		sub, err := subs.Create(ctx, subscription.Spec{
			URL:          "https://example.com",
			Events:       []string{"**"},
			Operator:     true,
			Deactivation: &m.rules,
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, subs.Delete(ctx, sub.ID)) }()
		recovered := 0
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				batch := rapid.SliceOfN(rapid.SampledFrom([]rune("fffosu")), 1, 5).Draw(t, "batch")
				epoch := rapid.IntRange(max(1, m.epoch-1), m.epoch).Draw(t, "epoch")
				version := rapid.IntRange(max(1, m.version-1), m.version).Draw(t, "version")
				ended, err := db.recordBatch(ctx, endpoint(sub.ID, version), epoch, batch)
				require.NoError(t, err)
				recovered += ended
				m.write(batch, epoch, version)
			},
			"another URL": func(t *rapid.T) {
				m.version++
				url := fmt.Sprintf("https://example.com/%d", m.version)
				_, err := subs.Update(ctx, sub.ID, subscription.Update{URL: &url})
				require.NoError(t, err)
				m.resetWindow()
			},
			"round": func(t *rapid.T) {
				_, err := d.Run(ctx)
				require.NoError(t, err)
				m.round()
			},
			"pause and activate": func(t *rapid.T) {
				if m.state == subscription.StateActive {
					_, err := subs.Pause(ctx, sub.ID)
					require.NoError(t, err)
				}
				changed, err := subs.Activate(ctx, sub.ID, nil)
				require.NoError(t, err)
				require.True(t, changed)
				m.state = subscription.StateActive
				m.reset()
			},
			"": func(t *rapid.T) {
				h, err := store.In(db, "riverhook").GetHealth(ctx, sub.ID)
				require.NoError(t, err)
				if !h.Failing {
					h.FailedAttempts = 0
				}
				if !h.Unresolved {
					h.Unresolvable = 0
				}
				require.Equal(t, [2]any{string(m.state), m.epoch}, [2]any{h.State, h.Epoch})
				require.Equal(t, [4]int{m.failed, m.unresolvable, m.warned, m.recovered},
					[4]int{h.FailedAttempts, h.Unresolvable, warned[sub.ID], recovered})
			},
		})
	})
}

// recordBatch records each result by itself, as those of one batch.
func (db *database) recordBatch(ctx context.Context, key attempt.EndpointKey, epoch int, batch []rune) (ended int, err error) {
	health := record.Health{}
	for _, r := range batch {
		t := &attempt.Target{Epoch: epoch, Sub: attempt.Subscription{ID: key.SubscriptionID, URLVersion: key.URLVersion}}
		t.Event.Type = "user.created"
		tr := t.Unchanged()
		tr.Attempt = &attempt.Attempt{Outcome: attempt.OutcomeFailed}
		switch r {
		case 'u':
			health.AddUnresolvable(key, epoch)
			continue
		case 'o':
			t.Event.Type = event.SubscriptionFailing
		case 'g':
			tr.Attempt.Outcome = attempt.OutcomeGone
		case 's':
			tr.Attempt.Outcome = attempt.OutcomeDelivered
		}
		health.Add(tr, true)
	}
	err = store.InTx(ctx, db.Pool, "riverhook", func(q *store.Queries) error {
		rows, err := health.Write(ctx, q)
		ended = len(rows)
		return err
	})
	return ended, err
}

func TestDeactivator_ThatIsLateDeactivatesNothing(t *testing.T) {
	t.Parallel()
	db, ctx := newDatabase(t), t.Context()
	d, subs := db.deactivator()
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
		sub, err := subs.Create(ctx, subscription.Spec{
			URL:          "https://example.com",
			Events:       []string{"**"},
			Operator:     true,
			Deactivation: &subscription.DeactivationRules{Failures: 2, Unresolvable: 2},
		})
		require.NoError(t, err)
		_, err = db.recordBatch(ctx, endpoint(sub.ID, 1), 1, []rune(c.counted))
		require.NoError(t, err)
		rows, err := store.In(db, "riverhook").Troubled(ctx, &store.TroubledParams{MaxRows: troubledRows})
		require.NoError(t, err)
		rows = rows[len(rows)-1:]
		require.Equal(t, sub.ID, rows[0].SubscriptionID)
		epoch := 1
		if c.activated {
			changed, err := d.apply(ctx, &rows[0])
			require.NoError(t, err)
			require.True(t, changed, name)
			_, err = subs.Activate(ctx, sub.ID, nil)
			require.NoError(t, err)
			epoch = 2
		}
		for _, r := range c.meanwhile {
			_, err = db.recordBatch(ctx, endpoint(sub.ID, 1), epoch, []rune{r})
			require.NoError(t, err)
		}

		changed, err := d.apply(ctx, &rows[0])
		require.NoError(t, err)
		require.False(t, changed, name)
		got, err := subs.Get(ctx, sub.ID)
		require.NoError(t, err)
		require.Equal(t, subscription.StateActive, got.State)
		require.Equal(t, epoch, got.Epoch)
		require.NoError(t, subs.Delete(ctx, sub.ID))
	}
}

func TestDeactivator_A410IsNotForgottenForASuccessAfterIt(t *testing.T) {
	t.Parallel()
	db, ctx := newDatabase(t), t.Context()
	d, subs := db.deactivator()
	sub, err := subs.Create(ctx, subscription.Spec{
		URL:          "https://example.com",
		Events:       []string{"**"},
		Operator:     true,
		Deactivation: &subscription.DeactivationRules{Failures: subscription.NoRule},
	})
	require.NoError(t, err)
	_, err = db.recordBatch(ctx, endpoint(sub.ID, 1), 1, []rune("gs"))
	require.NoError(t, err)
	_, err = d.Run(ctx)
	require.NoError(t, err)
	got, err := subs.Get(ctx, sub.ID)
	require.NoError(t, err)
	require.Equal(t, subscription.StateDeactivated, got.State)
	require.Equal(t, "the endpoint answered 410 Gone", got.StateReason)
}
