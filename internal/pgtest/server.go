package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/riverhook/riverhook/internal/pgserver"
)

var shared = sync.OnceValues(func() (*databases, error) {
	s, err := pgserver.Start(context.Background(), &pgserver.Opts{Fast: true, MaxConnections: 300})
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, s.Source())
	return &databases{url: s.URL(), prefix: "riverhook_"}, nil
})

// server returns the server of this run.
func server(_ context.Context, tb testing.TB) *databases {
	tb.Helper()
	d, err := shared()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return d
}
