package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
)

// viewers decides which principal may see which person, by what the directory
// grants at that moment and by what the event says of the person, who may have
// been deleted.
type viewers struct{ pool *pgxpool.Pool }

var _ access.BatchChecker = viewers{}

type grant struct {
	ID           string
	Sees         hierarchy.Path
	Confidential bool
}

// Check implements access.Checker.
func (v viewers) Check(ctx context.Context, r access.Request) error {
	return v.CheckMany(ctx, []access.Request{r})[0]
}

// CheckMany implements access.BatchChecker: one query for all owners.
func (v viewers) CheckMany(ctx context.Context, requests []access.Request) []error {
	answers := make([]error, len(requests))
	grants, err := v.grants(ctx, requests)
	for i, r := range requests {
		if answers[i] = err; err == nil {
			answers[i] = decide(grants, r)
		}
	}
	return answers
}

func (v viewers) grants(ctx context.Context, requests []access.Request) (map[string]grant, error) {
	ids := make([]string, len(requests))
	for i, r := range requests {
		ids[i] = r.Principal
	}
	rows, err := v.pool.Query(ctx, `SELECT id, sees, confidential FROM directory.principal WHERE id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
	if err != nil {
		return nil, err
	}
	grants := make(map[string]grant, len(found))
	for _, g := range found {
		grants[g.ID] = g
	}
	return grants, nil
}

func decide(grants map[string]grant, r access.Request) error {
	g, ok := grants[r.Principal]
	switch {
	case !ok:
		return access.ErrUnknownPrincipal
	case !g.Sees.Contains(r.Site):
		return fmt.Errorf("%w: sees nobody outside of %s", access.ErrDenied, g.Sees)
	case r.Attributes["confidential"] == "true" && !g.Confidential:
		return fmt.Errorf("%w: the person is confidential", access.ErrDenied)
	}
	return nil
}
