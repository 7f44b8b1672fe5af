package send_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/send/sendtest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// bundle is a sender of real parts, without an engine, whose record is a list, and a
// receiver.
type bundle struct {
	*sendtest.Parts

	t        *testing.T
	pool     *pgxpool.Pool
	receiver *httptest.Server

	mu       sync.Mutex
	recorded []*attempt.Transition
}

// newBundle makes a sender with so many slots of its process, and a receiver of its
// requests.
func newBundle(t *testing.T, inFlight int, receive http.HandlerFunc) *bundle {
	t.Helper()
	b := &bundle{
		t:        t,
		pool:     pgtest.Pool(t),
		receiver: httptest.NewServer(receive),
	}
	t.Cleanup(b.receiver.Close)
	b.Parts = sendtest.New(t, b.pool, inFlight, nil)
	b.Record = b.record
	return b
}

func (b *bundle) record(_ context.Context, tr *attempt.Transition) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded = append(b.recorded, tr)
	return true, nil
}

// input is a delivery to the receiver that is in no table, so it is not read again.
func (b *bundle) input() *send.Input {
	return &send.Input{Target: attempt.Target{
		ID:       uuid.New(),
		IntentID: uuid.New(),
		Dialect:  "plain",
		Message:  dialect.Message{Body: []byte("{}")},
		State:    attempt.StatePending,
		Round:    1,
		ReadAt:   time.Now().Add(time.Minute),
		Sub: attempt.Subscription{
			ID:       uuid.New(),
			URL:      b.receiver.URL,
			Operator: true,
		},
	}}
}

// attempted is what is recorded of an attempt of an input.
func (b *bundle) attempted(in *send.Input) *attempt.Transition {
	b.t.Helper()
	before := len(b.recorded)
	require.NoError(b.t, b.All(b.t.Context(), callbacks.JobRef{}, nil, []*send.Input{in}, nil))
	require.Len(b.t, b.recorded, before+1)
	return b.recorded[before]
}
