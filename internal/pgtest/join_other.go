//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package pgtest

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/riverhook/riverhook/internal/pgserver"
)

// join starts a server for this process alone: there are no locks here that
// would end with their holder. Main closes it.
func join(ctx context.Context, _ string) (*state, error) {
	server, err := pgserver.Start(ctx, serverOpts())
	if err != nil {
		return nil, err
	}
	atExit = func() { _ = server.Close() }
	return &state{
		Prefix: "riverhook_" + strings.ToLower(rand.Text()[:8]) + "_",
		Source: server.Source(),
		URL:    server.URL(),
	}, nil
}
