//go:build !race

package delivery_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const (
	largeEvents = 160 // together many times what an engine may have of them
	largeBody   = 1_000_000
	largeBound  = 200 // MiB, of the whole process
)

// largeOnes are many large events for one receiver, which answers none of them before it is
// opened.
type largeOnes struct {
	*bundle

	arrived atomic.Int32
	opened  chan struct{}
	status  atomic.Int32
}

func newLargeOnes(t *testing.T, data string) *largeOnes {
	t.Helper()
	l := &largeOnes{bundle: newBundle(t), opened: make(chan struct{})}
	l.status.Store(http.StatusOK)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n < largeBody {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		l.arrived.Add(1)
		select {
		case <-l.opened:
		case <-r.Context().Done():
		}
		w.WriteHeader(int(l.status.Load()))
	}))
	t.Cleanup(receiver.Close)
	_, err := l.subs.Create(t.Context(), subscription.Spec{
		URL:         receiver.URL,
		Events:      []string{"**"},
		MaxInFlight: 128,
		Operator:    true,
		Schedule:    "twice",
		Timeout:     time.Minute,
	})
	require.NoError(t, err)
	l.outbox, err = outbox.New(&outbox.Config{MaxDataBytes: 2 * largeBody})
	require.NoError(t, err)
	for range largeEvents {
		l.enqueue(func(in *outbox.Intent) { in.Data = data })
	}
	return l
}

// process starts an engine in a process of its own, with the zero Limits.
func (l *largeOnes) process(task childTask) *child {
	l.t.Helper()
	task.Role, task.Database = "engine", l.pool.Config().ConnString()
	l.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	l.exec(`UPDATE riverhook.river_job SET attempted_at = attempted_at - interval '1 minute' WHERE state = 'running'`)
	c := startChild(l.t, task)
	c.awaitStart(l.t)
	return c
}

func (l *largeOnes) await(what string) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		return l.count(`SELECT count(*) FROM riverhook.delivery WHERE `+what) == largeEvents
	}, 2*time.Minute, 50*time.Millisecond)
}

// full waits until the receiver has about as many as there is room for, and then has it
// answer.
func (l *largeOnes) full() {
	l.t.Helper()
	require.Eventually(l.t, func() bool { return l.arrived.Load() >= 20 }, time.Minute, 20*time.Millisecond)
	close(l.opened)
}

//nolint:paralleltest,tparallel // each case takes a machine's processors for itself
func TestBytesInFlight_BoundTheMemoryOfAProcess(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("d", largeBody)
	for _, c := range []struct {
		name string
		data string
		run  func(l *largeOnes) *child // the engine that is measured, when all has arrived
	}{
		{"first attempts", large, func(l *largeOnes) *child {
			engine := l.process(childTask{EngineID: "first"})
			l.full()
			l.await(`state = 'delivered'`)
			return engine
		}},
		{"what an engine has left that was killed", large, func(l *largeOnes) *child {
			first := l.process(childTask{EngineID: "first"})
			require.Eventually(l.t, func() bool { return l.arrived.Load() > 0 }, time.Minute, 20*time.Millisecond)
			first.kill(l.t)
			l.arrived.Store(0)
			second := l.process(childTask{EngineID: "second"})
			l.full()
			l.await(`state = 'delivered'`)
			return second
		}},
		{"retries", large, func(l *largeOnes) *child {
			l.status.Store(http.StatusBadRequest)
			first := l.process(childTask{EngineID: "first"})
			l.full()
			l.await(`last_status = 400`)
			first.end(l.t)
			require.NoError(l.t, first.cmd.Wait())
			l.status.Store(http.StatusOK)
			l.pass(2 * time.Hour)
			second := l.process(childTask{EngineID: "second"})
			l.await(`state = 'delivered'`)
			return second
		}},
		{"what externalizers make", "small", func(l *largeOnes) *child {
			engine := l.process(childTask{EngineID: "first", Externalized: largeBody})
			l.full()
			l.await(`state = 'delivered'`)
			return engine
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLargeOnes(t, c.data)

			engine := c.run(l)

			peak := engine.peak(t)
			t.Logf("%d MiB", peak)
			require.Less(t, peak, largeBound)
			engine.end(t)
			require.NoError(t, engine.cmd.Wait())
		})
	}
}
