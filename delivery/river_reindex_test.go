package delivery_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
)

// nightly is a schedule with short nights.
type nightly struct {
	mu  sync.Mutex
	ran int
}

func (n *nightly) Next(at time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ran++
	return at.Add(50 * time.Millisecond)
}

// runs is how many runs have ended: the first call was made before the first run.
func (n *nightly) runs() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ran - 1
}

// River's leader rebuilds the indexes of its jobs every night, which their owner alone may
// do before Postgres 17.
func TestReindex_WithTheRightsThatTheGuideNamesNothingFails(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]bool{"the role of the guide": false, "the owner of the schema": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			pool := b.pool
			if !owner {
				pool = b.as("engine", engineGrants(t))
			}
			var lines log
			cfg := b.cfg
			cfg.Logger = lines.logger()
			engine, err := delivery.New(pool, &cfg)
			require.NoError(t, err)
			nights := &nightly{}
			engine.ReindexBy(nights)
			const files = `SELECT string_agg(c.oid::text || ' ' || c.relfilenode, ',' ORDER BY c.relname) FROM pg_class c
				WHERE c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'riverhook.river_job'::regclass)`
			const ours = `SELECT relfilenode::text FROM pg_class WHERE oid = 'riverhook.river_job_share_idx'::regclass`
			before, beforeOurs := b.text(files), b.text(ours)
			b.start(engine)

			b.eventually(func() bool { return nights.runs() >= 2 })

			require.Zero(t, strings.Count(lines.String(), "level=ERROR"), lines.String())
			require.Equal(t, owner, before != b.text(files))
			require.Equal(t, owner, beforeOurs != b.text(ours))
		})
	}
}
