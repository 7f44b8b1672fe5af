package main

import (
	"context"
	"io"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// TestMain lets the test program be the children of the benchmarks too.
func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		os.Exit(runChild(context.Background(), role, os.Stdin, os.Stdout, os.Stderr))
	}
	pgtest.Main(m)
}

func TestScenario_EachRunsAndHasItsRatios(t *testing.T) {
	t.Parallel()

	ratios := map[string][]string{
		"backlog": {"p50_of_quiet", "resolve_100k_of_100", "river_rewrites_per_held_hour", "round_rows_of_few", "worker_rss_mb"},
		"crash":   {"duplicated", "in_flight_at_kills", "lost", "resume_seconds_max"},
		"deliver": {
			"fanout_100_of_ceiling", "fanout_10_of_ceiling", "fanout_10_of_naive", "fanout_1_of_ceiling", "fanout_1_of_naive",
		},
		"enqueue":   {"enqueue_of_river_8", "extra_round_trips"},
		"latency":   {"p50_ms_20", "p50_of_one_hop_20", "p95_ms_20"},
		"neighbour": {"p50_of_quiet", "p99_of_quiet"},
		"tenants":   {"ask_p99_of_quiet", "asks_unanswered", "loud_of_alone", "p99_of_quiet"},
		"resolve":   {"filtered_of_plain", "validation_of_unmarshal"},
		"steady":    {"server_cpu_of_river", "steady_3_of_river", "steady_of_river", "wal_of_river"},
	}

	setup := func(t *testing.T) *bench {
		t.Helper()
		b := &bench{
			only:      regexp.MustCompile(""),
			out:       io.Discard,
			size:      tiny,
			serverURL: pgtest.EmptyDatabase(t),
			stop:      func() error { return nil },
		}
		require.NoError(t, b.open(t.Context()))
		t.Cleanup(func() { require.NoError(t, b.close(context.Background())) })
		return b
	}

	require.Len(t, scenarios(), len(ratios))
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()

			r, err := s.run(t.Context(), setup(t))
			require.NoError(t, err)
			require.NotEmpty(t, r.Figures)
			var names []string
			for name := range r.Ratios {
				names = append(names, name)
			}
			require.ElementsMatch(t, ratios[s.name], names)
			if s.name == "crash" {
				require.Zero(t, r.Ratios["lost"])
				require.LessOrEqual(t, r.Ratios["duplicated"], r.Ratios["in_flight_at_kills"])
			}
			require.NoError(t, r.print(io.Discard))
		})
	}
}

func TestArguments_ThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()

	for name, args := range map[string][]string{
		"a name that no scenario has": {"-scenario", "nonsense"},
		"an argument too many":        {"-scenario", "crash", "more"},
		"no scenario":                 {},
		"not a regular expression":    {"-scenario", "deliver", "-only", "("},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, exitUsage, start(t.Context(), args, io.Discard, io.Discard))
		})
	}
}
