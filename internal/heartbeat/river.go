package heartbeat

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/internal/store"
)

// riverConns bounds the connections of a pool that River has for itself: one listens,
// and the others are used for a statement each.
const riverConns = 5

// RiverPool returns what River works on: the pool of the application, or one that is made
// like it where sessions are set to what River's statements do not work with. close
// closes the latter.
func (h *Heart) RiverPool(ctx context.Context) (pool *pgxpool.Pool, closePool func(), err error) {
	if !store.IsPeculiar(ctx, h.cfg.Pool) {
		return h.cfg.Pool, func() {}, nil
	}
	cfg := h.cfg.Pool.Config()
	cfg.MaxConns = riverConns
	cfg.MinConns = 0
	cfg.MinIdleConns = 0
	prepare := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if prepare != nil {
			if err := prepare(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, store.OrdinarySession)
		return err
	}
	own, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("connect for River: %w", err)
	}
	return own, own.Close, nil
}

// shareIndex is our own index over River's jobs. It loses and gains an entry with each of them,
// as River's own do.
const shareIndex = "river_job_share_idx"

// withoutIndexes are those of River's default that the schema does not have.
func withoutIndexes() []string { return []string{"river_job_args_index", "river_job_metadata_index"} }

// RiverIndexes returns the indexes that River rebuilds every night: those of its default that are
// there and ours, or none where the role may not, and the owner of the schema has to.
func (h *Heart) RiverIndexes(ctx context.Context) ([]string, error) {
	may, err := h.store.MayReindex(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for the right to rebuild indexes: %w", err)
	case !may:
		return []string{}, nil
	default:
		names := slices.DeleteFunc(river.ReindexerIndexNamesDefault(), func(name string) bool { return slices.Contains(withoutIndexes(), name) })
		return append(names, shareIndex), nil
	}
}
