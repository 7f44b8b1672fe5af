package heartbeat

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// lately is how long after a session that could not write the errors of others
	// are believed to be of such sessions.
	lately = 2 * time.Second

	// sessionTries is how often a heartbeat is tried again after its session could not write.
	// Of such sessions, those that are at work meanwhile can turn up one by one.
	sessionTries = 3

	// closeTimeout bounds the farewell to a session, whose server may be gone.
	closeTimeout = time.Second
)

// sessions finds those of a pool that cannot write. A session that was opened while
// the database was read-only, or at a standby, stays so after the writer is
// back, and the pool would give it out for as long as it lives.
type sessions struct {
	pool *pgxpool.Pool

	mu    sync.Mutex // held for moments only
	found time.Time  // when one was found last
}

// sweep closes the idle sessions that cannot write, and returns how many there
// were. One that has just failed is idle again. Each is asked for what its server
// has reported with its last answer, so nothing is sent.
func (s *sessions) sweep() int {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var found []*pgxpool.Conn
	for _, conn := range s.pool.AcquireAllIdle(ctx) {
		if cannotWrite(conn.Conn().PgConn()) {
			found = append(found, conn)
			continue
		}
		conn.Release()
	}
	if len(found) > 0 { // before they are closed, which takes time
		s.mu.Lock()
		s.found = time.Now()
		s.mu.Unlock()
	}
	for _, conn := range found {
		_ = conn.Conn().Close(ctx) // the pool drops it when it is released
		conn.Release()
	}
	return len(found)
}

// closed closes the sessions that cannot write if one of them has met err, and is true if
// there were any: another try meets others.
func (s *sessions) closed(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == readOnlyTransaction && s.sweep() > 0
}

func (s *sessions) foundLately() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.found) < lately
}

// cannotWrite goes by parameters that Postgres 14 and later report by themselves,
// also when they change.
func cannotWrite(conn *pgconn.PgConn) bool {
	return conn.ParameterStatus("in_hot_standby") == "on" || conn.ParameterStatus("default_transaction_read_only") == "on"
}
