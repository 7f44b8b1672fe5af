//go:build !race

package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const (
	fanOutSize  = 2000
	fanOutBody  = 200_000 // together 400 MB
	fanOutBound = 200     // MiB, of the whole process; with the race detector it takes up to four times as much
)

// fanOut is one large event for many subscriptions of one receiver.
type fanOut struct {
	*bundle

	status  atomic.Int32 // of the answers; 0: none is given
	arrived atomic.Int32
	short   atomic.Int32 // of them those without the whole body
}

func newFanOut(t *testing.T) *fanOut {
	t.Helper()
	f := &fanOut{bundle: newBundle(t)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil && n < fanOutBody {
			f.short.Add(1)
		}
		f.arrived.Add(1)
		status := f.status.Load()
		if status == 0 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(int(status))
	}))
	t.Cleanup(receiver.Close)
	_, err := f.subs.Create(t.Context(), subscription.Spec{
		URL:      receiver.URL,
		Events:   []string{"**"},
		Operator: true,
		Schedule: "twice",
	})
	require.NoError(t, err)
	f.exec(`INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, schedule)
		SELECT riverhook.new_id(), site, url, events, operator, dialect, schedule
		FROM riverhook.subscription CROSS JOIN generate_series(2, $1)`, fanOutSize)
	f.exec(`INSERT INTO riverhook.secret (id, subscription_id, value, sealed)
		SELECT s.id, s.id, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', false
		FROM riverhook.subscription s JOIN riverhook.secret k ON s.id <> k.subscription_id`)
	f.enqueue(func(in *outbox.Intent) { in.Data = strings.Repeat("d", fanOutBody) })
	return f
}

// engine starts one in a process of its own.
func (f *fanOut) process(task childTask) *child {
	f.t.Helper()
	task.Role, task.Database = "engine", f.pool.Config().ConnString()
	c := startChild(f.t, task)
	c.awaitStart(f.t)
	return c
}

// succeed makes another engine take up at once what the one that is gone has left.
func (f *fanOut) succeed(id string) *child {
	f.t.Helper()
	f.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	f.exec(`UPDATE riverhook.river_job SET attempted_at = attempted_at - interval '1 minute' WHERE state = 'running'`)
	return f.process(childTask{EngineID: id})
}

func (f *fanOut) await(query string, want int) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.count(query) == want }, 2*time.Minute, 50*time.Millisecond)
}

func (f *fanOut) awaitExpanded() {
	f.t.Helper()
	f.await(`SELECT count(*) FROM riverhook.intent_state WHERE state = 'expanded'`, 1)
	f.eventually(func() bool { return f.arrived.Load() > 0 })
}

const (
	fanOutDelivered = `SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`
	fanOutRefused   = `SELECT count(*) FROM riverhook.delivery WHERE last_status = 400`
)

// peak is the most memory that a process has had resident, in MiB.
func (c *child) peak(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(text), "VmHWM:")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(line)[0])
	require.NoError(t, err)
	return kib >> 10
}

//nolint:paralleltest,tparallel // each case takes a machine's processors for itself
func TestRerun_LargeFanOutIsLoadedOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		run  func(f *fanOut) *child // the engine that is measured, when all has arrived
	}{
		{"at first", func(f *fanOut) *child {
			f.status.Store(http.StatusOK)
			engine := f.process(childTask{EngineID: "first"})
			f.await(fanOutDelivered, fanOutSize)
			return engine
		}},
		{"after a kill", func(f *fanOut) *child {
			first := f.process(childTask{EngineID: "first"})
			f.awaitExpanded()
			first.kill(f.t)
			f.status.Store(http.StatusOK)
			second := f.succeed("second")
			f.await(fanOutDelivered, fanOutSize)
			return second
		}},
		{"killed again and again", func(f *fanOut) *child {
			first := f.process(childTask{EngineID: "first"})
			f.awaitExpanded()
			first.kill(f.t)
			f.status.Store(http.StatusOK)
			for life := range 3 {
				before := f.count(fanOutDelivered)
				engine := f.succeed(fmt.Sprintf("life %d", life))
				f.eventually(func() bool { return f.count(fanOutDelivered) > before })
				require.Less(f.t, engine.peak(f.t), fanOutBound)
				engine.kill(f.t)
			}
			last := f.succeed("last")
			f.await(fanOutDelivered, fanOutSize)
			return last
		}},
		{"after a SIGTERM", func(f *fanOut) *child {
			first := f.process(childTask{EngineID: "first", StopTimeout: 100 * time.Millisecond})
			f.awaitExpanded()
			require.NoError(f.t, first.cmd.Process.Signal(syscall.SIGTERM))
			require.Error(f.t, first.cmd.Wait(), "requests were interrupted")
			f.status.Store(http.StatusOK)
			second := f.succeed("second")
			f.await(fanOutDelivered, fanOutSize)
			return second
		}},
		{"retries alone", func(f *fanOut) *child {
			f.status.Store(http.StatusBadRequest)
			first := f.process(childTask{EngineID: "first"})
			f.await(fanOutRefused, fanOutSize)
			first.end(f.t)
			require.NoError(f.t, first.cmd.Wait())
			f.status.Store(http.StatusOK)
			f.pass(2 * time.Hour)
			second := f.succeed("second")
			f.await(fanOutDelivered, fanOutSize)
			return second
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFanOut(t)

			engine := c.run(f)

			peak := engine.peak(t)
			t.Logf("%d MiB", peak)
			require.Less(t, peak, fanOutBound)
			require.Zero(t, f.short.Load())
			engine.end(t)
			require.NoError(t, engine.cmd.Wait())
		})
	}
}
