package pginbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
	"github.com/riverhook/riverhook/receiver/receivertest"
)

func TestInbox_PostgresIsOne(t *testing.T) {
	t.Parallel()
	receivertest.Run(t, func(t *testing.T, registry *receiver.Registry) receiver.Inbox {
		b := &bundle{T: t, pool: pgtest.Pool(t)}
		return b.start(b.open(registry))
	})
}

func TestInbox_PostgresIsOneWithoutListen(t *testing.T) {
	t.Parallel()
	receivertest.Run(t, func(t *testing.T, registry *receiver.Registry) receiver.Inbox {
		b := &bundle{T: t, pool: pgtest.Pool(t)}
		inbox, err := pginbox.New(b.pool, registry, &pginbox.Config{Logger: slog.New(slog.DiscardHandler), PollOnly: true})
		require.NoError(t, err)
		return b.start(inbox)
	})
}

// bundle is a database with a table effect, which Funcs write to.
type bundle struct {
	*testing.T

	pool *pgxpool.Pool
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{T: t, pool: pgtest.Pool(t)}
	b.exec(`CREATE TABLE effect (delivery_id text)`)
	return b
}

func (b *bundle) exec(sql string) {
	b.Helper()
	_, err := b.pool.Exec(b.Context(), sql)
	require.NoError(b, err)
}

func (b *bundle) count(sql string) int {
	b.Helper()
	n := 0
	require.NoError(b, b.pool.QueryRow(b.Context(), sql).Scan(&n))
	return n
}

func (b *bundle) eventually(sql string, want int) {
	b.Helper()
	require.Eventually(b, func() bool { return b.count(sql) == want }, 30*time.Second, 10*time.Millisecond, sql)
}

func (b *bundle) open(registry *receiver.Registry) *pginbox.Inbox {
	b.Helper()
	inbox, err := pginbox.New(b.pool, registry, &pginbox.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	inbox.HandOnAtOnce()
	return inbox
}

func (b *bundle) start(inbox *pginbox.Inbox) *pginbox.Inbox {
	b.Helper()
	require.NoError(b, inbox.Start(b.Context()))
	b.Cleanup(func() { require.NoError(b, inbox.Stop(context.WithoutCancel(b.Context()))) })
	return inbox
}

// inbox is one that was not started, with a receiver "in".
func (b *bundle) inbox(fn receiver.Func) *pginbox.Inbox {
	b.Helper()
	registry, err := receiver.NewRegistry(in(fn))
	require.NoError(b, err)
	return b.open(registry)
}

func in(fn receiver.Func) receiver.Receiver {
	return receiver.Receiver{
		Backoff:     func(int) time.Duration { return time.Millisecond },
		Func:        fn,
		MaxAttempts: 3,
		Name:        "in",
		Tokens:      receiver.StaticTokens{},
	}
}

func (b *bundle) add(inbox receiver.Inbox, deliveryID string) receiver.Ref {
	b.Helper()
	return b.addTo(inbox, "in", deliveryID)
}

func (b *bundle) addTo(inbox receiver.Inbox, name, deliveryID string) receiver.Ref {
	b.Helper()
	ev := receiver.Event{
		ID:          uuid.NewString(),
		Receiver:    name,
		DeliveryID:  deliveryID,
		ContentType: "application/json",
		Header:      map[string][]string{"X-Kind": {"a"}},
		Body:        []byte(`{"secret":"of the sender"}`),
	}
	_, added, err := inbox.Add(b.Context(), ev)
	require.NoError(b, err)
	require.True(b, added)
	return receiver.Ref{Receiver: name, ID: ev.ID}
}

func write(ctx context.Context, tx pgx.Tx, ev receiver.Event) error {
	_, err := tx.Exec(ctx, `INSERT INTO effect VALUES ($1)`, ev.DeliveryID)
	return err
}

func TestInTx_WhatAFuncWritesTakesEffectOnce(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"error", "panic"} {
		b := newBundle(t)
		inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
			if err := write(ctx, tx, ev); err != nil || ev.Attempt == 3 {
				return receiver.Response{}, err
			}
			if how == "panic" {
				panic("behind the write")
			}
			return receiver.Response{}, errors.New("behind the write")
		})))

		b.add(inbox, "d1")

		b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 3`, 1)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM effect`))
	}
}

func TestInTx_AnAttemptThatCannotCommitHasFailed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt == 1 {
			_, _ = tx.Exec(ctx, `SELECT 1/0`)
		}
		return receiver.Response{}, nil
	})))

	b.add(inbox, "d1")

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 2`, 1)
}

func TestDelete_TheWritesOfADeletedEventAreRolledBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	running, ended := make(chan struct{}), make(chan struct{})
	inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		defer close(ended)
		err := write(ctx, tx, ev)
		close(running)
		<-ctx.Done()
		return receiver.Response{}, err
	})))
	ref := b.add(inbox, "d1")
	<-running

	_, err := inbox.Delete(t.Context(), ref)

	require.NoError(t, err)
	<-ended
	b.eventually(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`, 0)
	require.Zero(t, b.count(`SELECT count(*) FROM effect`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'gone' AND body IS NULL AND header = '{}'`))
}

func TestDelete_TheJobOfADeletedEventIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(nothing)
	ref := b.add(inbox, "d1")

	_, err := inbox.Delete(t.Context(), ref)

	require.NoError(t, err)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'cancelled'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.inbox_event e WHERE e::text LIKE '%sender%'`))
}

func nothing(context.Context, receiver.Event) (receiver.Response, error) {
	return receiver.Response{}, nil
}

func TestInbox_AnAttemptThatWasOvertakenChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		err := write(ctx, tx, ev)
		if ev.Attempt == 1 { // another process takes this one for dead, and begins
			b.exec(`UPDATE riverhook.inbox_event SET attempt = 2`)
		}
		return receiver.Response{}, err
	})))

	b.add(inbox, "d1")

	b.eventually(`SELECT count(*) FROM riverhook.river_job WHERE state = 'completed'`, 1)
	require.Zero(t, b.count(`SELECT count(*) FROM effect`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'pending' AND attempt = 2 AND error = ''`))
}

func TestAdd_TheSameDeliveryFiftyTimesAtOnceHasOneJob(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(nothing)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, _, err := inbox.Add(t.Context(), receiver.Event{
				ID:         uuid.NewString(),
				Receiver:   "in",
				DeliveryID: "d1",
			})
			require.NoError(t, err)
		})
	}
	group.Wait()

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job`))
}

func TestInbox_AnEventThatKillsEachProcessFailsForGood(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(nothing)
	ref := b.add(inbox, "d1")
	b.exec(`UPDATE riverhook.inbox_event SET attempt = 3`) // none of which has ended

	b.start(inbox)

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'failed' AND attempt = 3`, 1)
	status, err := inbox.Status(t.Context(), ref)
	require.NoError(t, err)
	require.Contains(t, status.Error, "interrupted")
}

func TestInbox_AnEventWhoseJobWasLostIsProcessed(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{
		`DELETE FROM riverhook.river_job`,
		`UPDATE riverhook.river_job SET state = 'cancelled', finalized_at = now()`,
	} {
		b := newBundle(t)
		inbox := b.inbox(nothing)
		b.add(inbox, "d1")
		b.exec(lost)

		b.start(inbox)

		b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
	}
}

func TestInbox_AnEventWaitsForAProcessThatHasItsReceiver(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.add(b.inbox(nothing), "d1")
	registry := &receiver.Registry{}
	b.start(b.open(registry))
	b.eventually(`SELECT count(*) FROM riverhook.river_job WHERE state = 'scheduled'`, 1)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'pending' AND attempt = 0`))

	require.NoError(t, registry.Register(in(nothing)))
	b.exec(`UPDATE riverhook.river_job SET state = 'available', scheduled_at = now() WHERE state = 'scheduled'`)

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
}

func TestInbox_WhatEndedLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(nothing)
	for i, ended := range []string{`now() - interval '31 days'`, `now() - interval '29 days'`, `NULL`} {
		b.add(inbox, strconv.Itoa(i))
		b.exec(fmt.Sprintf(`UPDATE riverhook.inbox_event SET ended_at = %[1]s, received_at = now() - interval '90 days',
			state = CASE WHEN %[1]s IS NULL THEN 'pending' ELSE 'done' END WHERE delivery_id = '%[2]d'`, ended, i))
	}

	b.start(inbox)

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event`, 2)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE delivery_id = '0'`))
}

func TestInbox_ASyncEventLeavesNoJob(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	rec := in(nothing)
	rec.Sync = true
	registry, err := receiver.NewRegistry(rec)
	require.NoError(t, err)
	inbox := b.open(registry)
	ref := b.add(inbox, "d1")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'scheduled'
		AND scheduled_at BETWEEN now() + interval '1 minute' AND now() + interval '2 minutes'`), "should this process die")

	status, err := inbox.Run(t.Context(), ref)

	require.NoError(t, err)
	require.Equal(t, receiver.Done, status.State)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job`))
}

func TestInTx_NeedsThisInbox(t *testing.T) {
	t.Parallel()
	registry, err := receiver.NewRegistry(in(pginbox.InTx(
		func(context.Context, pgx.Tx, receiver.Event) (receiver.Response, error) {
			return receiver.Response{}, nil
		})))
	require.NoError(t, err)
	rec, _ := registry.Get("in")

	_, err = rec.Run(t.Context(), receiver.Event{})

	require.ErrorContains(t, err, "InTx")
}

func TestConfig_OneThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/nowhere")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	for want, cfg := range map[string]*pginbox.Config{
		"MaxWorkers":  {MaxWorkers: 10_001},
		"Retention":   {Retention: time.Minute},
		"Schema":      {Schema: "Not A Name"},
		"StopTimeout": {StopTimeout: -1},
	} {
		_, err := pginbox.New(pool, &receiver.Registry{}, cfg)
		require.ErrorContains(t, err, "pginbox: Config."+want)
	}
	_, err = pginbox.New(nil, nil, nil)
	require.Error(t, err)
}

func TestStart_ThereIsNoneWithoutMigrations(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), pgtest.EmptyDatabase(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	inbox, err := pginbox.New(pool, &receiver.Registry{}, nil)
	require.NoError(t, err)

	require.Error(t, inbox.Start(t.Context()))
}
