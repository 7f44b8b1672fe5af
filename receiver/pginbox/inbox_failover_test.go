package pginbox_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// The Func returns while the database is read-only. What it did is not done again.
func TestFailover_WhatAFuncHasDoneIsKeptUntilItCanBeRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	cfg := b.pool.Config()
	cfg.ConnConfig.RuntimeParams["application_name"] = "inbox"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	var (
		runs              atomic.Int32
		said              lines
		entered, released = make(chan struct{}), make(chan struct{})
	)
	registry, err := receiver.NewRegistry(in(func(context.Context, receiver.Event) (receiver.Response, error) {
		if runs.Add(1) == 1 {
			close(entered)
			<-released
		}
		return receiver.Response{}, nil
	}))
	require.NoError(t, err)
	inbox, err := pginbox.New(pool, registry, &pginbox.Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	require.NoError(t, err)
	b.start(inbox)
	b.add(inbox, "d1")
	<-entered
	admin, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer admin.Release()
	exec := func(sql string) {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	database := `ALTER DATABASE "` + cfg.ConnConfig.Database + `" `

	exec(database + `SET default_transaction_read_only = on`)
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'inbox'`)
	close(released)
	require.Eventually(t, func() bool { return said.count("the database cannot be written") == 1 }, 30*time.Second, 10*time.Millisecond)
	exec(database + `RESET default_transaction_read_only`)

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 1`, 1)
	require.Equal(t, int32(1), runs.Load())
	require.Eventually(t, func() bool { return said.count("the database can be written again") == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Zero(t, said.count("an event waits"))
}
