package pgserver

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// useURL takes the server that DATABASE_URL names.
func (m *machine) useURL(ctx context.Context, _ *Opts) (*Server, error) {
	url := m.getenv("DATABASE_URL")
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err // pgx redacts the password
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	address := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	return &Server{
		source: fmt.Sprintf("Postgres: DATABASE_URL, %s, database %s", address, cfg.Database),
		stop:   func() error { return nil },
		url:    url,
	}, nil
}
