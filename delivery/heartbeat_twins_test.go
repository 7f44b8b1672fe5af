package delivery_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
)

const twinWarning = "another engine runs under the same ID"

// Each has jobs that were fetched long ago, and which the other does not know.
func TestTwins_LeaveEachOthersJobsAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	answered := make(chan struct{})
	answer := sync.OnceFunc(func() { close(answered) })
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-answered
		return deliverytest.Answer{}
	}})
	b.subscribe(r, patient)
	var logs [2]log
	var twins [2]*delivery.Engine
	for i := range twins {
		twins[i] = b.start(b.engine(func(cfg *delivery.Config) { cfg.ID, cfg.Logger = "twin", logs[i].logger() }))
	}
	t.Cleanup(answer)
	const n = 20
	b.enqueueMany("some.event", n)
	b.wait(r, n)

	for range 3 {
		b.fetchedEarlier("1 minute")
		for _, twin := range twins {
			require.NoError(t, twin.Heartbeat(t.Context()))
		}
		require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running' AND attempt = 1`))
	}
	answer()

	require.Zero(t, b.requireAllTold(r, n))
	require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.attempt WHERE engine = 'twin'`), "the ID is what is shown")
	for i := range logs {
		require.Equal(t, 1, strings.Count(logs[i].String(), twinWarning), logs[i].String())
	}
}

func TestTwins_OneThatEndsLeavesTheJobsOfTheOtherRunning(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, answer := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, nil)
	named := func(cfg *delivery.Config) { cfg.ID = "twin" }
	b.start(b.engine(named))
	id := b.enqueue(nil)
	b.wait(r, 1)
	other := b.engine(named)
	require.NoError(t, other.Start(t.Context()))

	require.NoError(t, other.Stop(context.Background()))

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.engine`))
	require.Equal(t, "running", b.text(`SELECT state::text FROM riverhook.river_job`))
	answer()
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"delivered"}, b.history(id))
}

// The heartbeat of a predecessor that was killed is no sign of life.
func TestTwins_APredecessorIsNone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(`INSERT INTO riverhook.engine (process, id) VALUES ('successor_0', 'successor')`)
	var written log
	engine := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID, cfg.Logger = "successor", written.logger() }))

	for range 2 {
		require.NoError(t, engine.Heartbeat(t.Context()))
	}

	require.NotContains(t, written.String(), twinWarning)
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = clock_timestamp() WHERE process = 'successor_0'`)
	require.NoError(t, engine.Heartbeat(t.Context()))
	require.Contains(t, written.String(), twinWarning)
}

// An ID as long as it may be, with a character where the nonce has to begin.
func TestTwins_ALongIDLeavesRoomForItsNonce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	id := strings.Repeat("é", 50)
	one := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = id }))
	other := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = id }))

	require.NotEqual(t, one.Process(), other.Process())
	require.LessOrEqual(t, len(one.Process()), 100)
	require.True(t, strings.HasPrefix(one.Process(), strings.Repeat("é", 31)))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.engine WHERE id = $1`, id))
}
