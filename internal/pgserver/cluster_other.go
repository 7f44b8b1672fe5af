//go:build !unix

package pgserver

import (
	"context"
	"errors"
)

func (m *machine) startCluster(context.Context, *Opts, string, string) (*Server, error) {
	return nil, errors.New("a private cluster is made on Unix only")
}
