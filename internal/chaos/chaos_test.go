package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

var (
	duration = flag.Duration("chaos.for", 6*time.Second, "how long there is trouble")
	seed     = flag.Uint64("chaos.seed", 0, "what decides the choices; 0: a random one")
	only     = flag.String("chaos.trouble", "", "a regular expression for the kinds of trouble; all when empty")
	logs     = flag.String("chaos.logs", "", "a folder that the engines' logs are written to; none when empty")
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := runEngine(context.Background(), task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	pgtest.Main(m)
}

// TestChaos_NothingIsLostStuckOrRepeated has an own package, so that what it does to
// the machine is no other test's.
func TestChaos_NothingIsLostStuckOrRepeated(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-chaos.seed %d -chaos.for %s -chaos.trouble '%s'", *seed, *duration, *only)
	wanted, err := regexp.Compile(*only)
	require.NoError(t, err)
	w := newWorld(t)
	for range 2 {
		w.startEngine(w.fresh())
	}
	w.produce(3)
	ctx, cancel := context.WithTimeout(t.Context(), *duration)
	defer cancel()

	w.receiver.trouble.Store(wanted.MatchString("answers"))
	w.trouble(ctx, wanted)
	w.calm()
	w.settle()

	w.judge()
}

// random returns a source of choices of its own for one goroutine.
func random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(*seed, stream)) }

// one returns a random element.
func one[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// chance is true in n of 100 cases.
func chance(r *rand.Rand, n int) bool { return r.IntN(100) < n }

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// pause waits between two deeds; false says that the time of trouble is over.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// operator is the name of the sessions that are not cut and that can always write.
const operator = "operator"

// poolOf opens a pool whose sessions have a name.
func poolOf(ctx context.Context, url, name string, size int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = size
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	if name == operator {
		cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "off"
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}
