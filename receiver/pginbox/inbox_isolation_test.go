package pginbox_test

import (
	"context"
	"maps"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
	"github.com/riverhook/riverhook/receiver/receivertest"
)

// isolated is a pool whose transactions are at that level unless they say otherwise.
func isolated(t *testing.T, level string) *pgxpool.Pool {
	t.Helper()
	cfg := pgtest.Pool(t).Config()
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func TestIsolation_PostgresIsAnInboxUnderEach(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			receivertest.Run(t, func(t *testing.T, registry *receiver.Registry) receiver.Inbox {
				b := &bundle{T: t, pool: isolated(t, level)}
				return b.start(b.open(registry))
			})
		})
	}
}

func TestInbox_SettingsOfTheSessionChangeNothing(t *testing.T) {
	t.Parallel()
	for mode, settings := range map[pgx.QueryExecMode]map[string]string{
		pgx.QueryExecModeCacheStatement: {"standard_conforming_strings": "off"},
		pgx.QueryExecModeExec:           {"bytea_output": "escape", "DateStyle": "German"},
		pgx.QueryExecModeSimpleProtocol: {"bytea_output": "escape", "DateStyle": "SQL, DMY"},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			cfg := pgtest.Pool(t).Config()
			cfg.ConnConfig.DefaultQueryExecMode = mode
			maps.Copy(cfg.ConnConfig.RuntimeParams, settings)
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			b := &bundle{T: t, pool: pool}
			b.exec(`CREATE TABLE effect (delivery_id text)`)
			inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
				return receiver.Response{
					Status:      200,
					ContentType: "text/plain",
					Body:        []byte("\x00\\\xff"),
				}, write(ctx, tx, ev)
			})))
			ref := b.add(inbox, `d\1`)
			b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
			status, err := inbox.Status(t.Context(), ref)
			require.NoError(t, err)
			require.Empty(t, status.Error)
			require.Equal(t, "\x00\\\xff", string(status.Response.Body))
			listed, err := inbox.List(t.Context(), receiver.EventFilter{})
			require.NoError(t, err)
			require.NotEmpty(t, listed)
			_, err = inbox.Delete(t.Context(), ref)
			require.NoError(t, err)
		})
	}
}

func TestIsolation_InTxReportsUnderEach(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := &bundle{T: t, pool: isolated(t, level)}
			b.exec(`CREATE TABLE effect (delivery_id text)`)
			var found string
			inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
				if err := tx.QueryRow(ctx, `SELECT current_setting('transaction_isolation')`).Scan(&found); err != nil {
					return receiver.Response{}, err
				}
				for _, message := range []string{"1 of 2", "2 of 2"} {
					if err := receiver.Report(ctx, message); err != nil {
						return receiver.Response{}, err
					}
				}
				return receiver.Response{}, write(ctx, tx, ev)
			})))

			ref := b.add(inbox, "d1")

			b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state <> 'pending' OR error <> ''`, 1)
			status, err := inbox.Status(t.Context(), ref)
			require.NoError(t, err)
			require.Empty(t, status.Error)
			require.Equal(t, receiver.Done, status.State)
			require.Equal(t, 1, status.Attempts)
			require.Equal(t, "2 of 2", status.Message)
			require.Equal(t, level, found, "the Func has the isolation of the database")
			require.Equal(t, 1, b.count(`SELECT count(*) FROM effect`))
		})
	}
}

// River's completer and the others write the same rows. At these levels the statement that
// comes second fails, and is to be made again.
func TestIsolation_StopOutlivesAConflict(t *testing.T) {
	t.Parallel()
	b := &bundle{T: t, pool: isolated(t, "repeatable read")}
	inbox := b.start(b.inbox(nothing))
	b.exec(`INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, attempt, attempted_at, attempted_by)
		SELECT '{}', 'another', 1, 'another', 'running', 1, now(), ARRAY[e.process] FROM riverhook.engine e`)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE riverhook.river_job SET tags = '{changed}'`)
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- inbox.Stop(context.WithoutCancel(t.Context())) }()
	b.eventually(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
		AND query LIKE '%RemoveEngine%'`, 1)

	require.NoError(t, tx.Commit(t.Context()))

	require.NoError(t, <-stopped)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.engine`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'available' AND tags = '{changed}'`))
}

func TestDelete_WhatWasReportedGoesToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	running := make(chan struct{})
	inbox := b.start(b.inbox(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		if err := receiver.Report(ctx, "half of it"); err != nil {
			return receiver.Response{}, err
		}
		close(running)
		<-ctx.Done()
		require.Error(t, receiver.Report(context.WithoutCancel(ctx), "all of it"), "it was deleted")
		return receiver.Response{}, write(ctx, tx, ev)
	})))
	ref := b.add(inbox, "d1")
	<-running
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_progress WHERE message = 'half of it'`))

	status, err := inbox.Delete(t.Context(), ref)

	require.NoError(t, err)
	require.Empty(t, status.Message)
	b.eventually(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`, 0)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.inbox_progress`))
}
