package pginbox_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

// exhaust takes all connections of the pool, until the test ends or giveBack is called.
func (b *bundle) exhaust() (giveBack func()) {
	b.Helper()
	var conns []*pgxpool.Conn
	for range b.pool.Config().MaxConns {
		conn, err := b.pool.Acquire(b.Context())
		require.NoError(b, err)
		conns = append(conns, conn)
	}
	giveBack = func() {
		for _, conn := range conns {
			conn.Release()
		}
		conns = nil
	}
	b.Cleanup(func() { giveBack() })
	return giveBack
}

// promptly fails the test if f waits for a connection.
func (b *bundle) promptly(f func()) {
	b.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.FailNow(b, "it waits for a connection")
	}
}

// The Func has returned when the pool has no connection to record it.
func TestStop_EndsWithItsContextWithoutAConnection(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	entered, released := make(chan struct{}), make(chan struct{})
	registry, err := receiver.NewRegistry(in(func(context.Context, receiver.Event) (receiver.Response, error) {
		close(entered)
		<-released
		return receiver.Response{}, nil
	}))
	require.NoError(t, err)
	inbox, err := pginbox.New(b.pool, registry, &pginbox.Config{
		Logger:      slog.New(slog.DiscardHandler),
		PollOnly:    true, // no connection is held for LISTEN
		StopTimeout: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, inbox.Start(t.Context()))
	b.add(inbox, "1")
	<-entered
	giveBack := b.exhaust()
	close(released)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	b.promptly(func() { require.ErrorContains(t, inbox.Stop(ctx), "attempts were interrupted") })

	giveBack()
	b.promptly(func() { require.NoError(t, inbox.Stop(t.Context())) })
}

func TestStop_EndsAStartThatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	giveBack := b.exhaust()
	started := make(chan error, 1)
	go func() { started <- inbox.Start(context.Background()) }()
	var ended error
	require.Eventually(t, func() bool {
		b.promptly(func() { require.NoError(t, inbox.Stop(t.Context())) })
		select {
		case ended = <-started:
			return true
		default:
			return false // it has not begun
		}
	}, 20*time.Second, 10*time.Millisecond)

	require.ErrorContains(t, ended, "stopped meanwhile")
	giveBack()
}

// onDone is a context that tells when it is first asked for its end.
type onDone struct {
	context.Context //nolint:containedctx // it is one

	tell func()
}

// Done implements context.Context.
func (c onDone) Done() <-chan struct{} {
	c.tell()
	return c.Context.Done()
}

// Start has its turn, and Stop waits for that, before Start has said how it is ended.
func TestStop_EndsAStartThatHasJustBegun(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	defer b.exhaust()()
	begun, waits := make(chan struct{}), make(chan struct{})
	started := make(chan error, 1)
	go func() {
		started <- inbox.Start(onDone{context.Background(), sync.OnceFunc(func() {
			close(begun)
			<-waits
		})})
	}()
	<-begun

	b.promptly(func() {
		require.NoError(t, inbox.Stop(onDone{t.Context(), sync.OnceFunc(func() { close(waits) })}))
	})

	require.ErrorContains(t, <-started, "stopped meanwhile")
}
