package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
)

// fetchedEarlier lets River's running jobs look as if they had been fetched long ago.
func (b *bundle) fetchedEarlier(interval string) {
	b.t.Helper()
	require.Positive(b.t, b.exec(`UPDATE riverhook.river_job SET attempted_at = attempted_at - $1::interval
		WHERE state = 'running'`, interval))
}

func TestHeartbeat_AJobStaysItsEnginesOwnHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, nil)
	engine := b.start(b.engine(nil))
	id := b.enqueue(nil)
	b.wait(r, 1)

	b.fetchedEarlier("1 hour")
	require.NoError(t, engine.Heartbeat(t.Context()))

	require.Equal(t, "running", b.text(`SELECT state::text FROM riverhook.river_job`))
	release()
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"delivered"}, b.history(id))
}

func TestRunDue_OthersLeaveItItsJobs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, nil)
	id := b.enqueue(nil)
	ended := make(chan error, 1)
	due := b.engine(nil)
	go func() {
		_, err := due.RunDue(t.Context())
		ended <- err
	}()
	b.wait(r, 1)
	b.fetchedEarlier("1 minute")

	_, err := b.engine(nil).RunDue(t.Context())
	require.NoError(t, err)
	other := b.engine(nil)
	delivery.HandOnAtOnce(other)
	require.NoError(t, other.Heartbeat(t.Context()))

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`))
	release()
	require.NoError(t, <-ended)
	require.Equal(t, []string{"delivered"}, b.history(id))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.engine`), "that of the other alone")
}

func TestHeartbeat_AJobThatRunsForLongerThanAJobCanIsTakenUp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	id := b.enqueue(nil)
	b.exec(`INSERT INTO riverhook.engine (process, id) VALUES ('lives', 'lives')`)
	b.exec(`UPDATE riverhook.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{lives}'`)
	engine := b.engine(nil)

	b.fetchedEarlier("29 minutes")
	require.NoError(t, engine.Heartbeat(t.Context()))
	b.drain(engine)
	require.Empty(t, r.Requests())
	b.fetchedEarlier("2 minutes")
	require.NoError(t, engine.Heartbeat(t.Context()))
	b.drain(engine)

	require.Equal(t, []string{"delivered"}, b.history(id))
}
