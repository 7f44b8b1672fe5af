package hierarchy_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
)

func ExampleParsePath() {
	_, err := hierarchy.ParsePath("/noaa//oun")
	fmt.Println(err)
	p, err := hierarchy.ParsePath("/noaa/nws/oun")
	fmt.Println(p.Parent(), err)
	// Output:
	// invalid path "/noaa//oun": segment 2: is empty
	// /noaa/nws <nil>
}

func ExamplePath_Ancestors() {
	fmt.Println(hierarchy.Path("/noaa/nws/oun").Ancestors())
	// Output: [/noaa/nws/oun /noaa/nws /noaa /]
}

// An office and its site are renamed together.
func ExampleSites_In() {
	rename := func(ctx context.Context, pool *pgxpool.Pool, sites *hierarchy.Sites) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE office SET slug = 'weather' WHERE slug = 'nws'`); err != nil {
				return err
			}
			_, err := sites.In(tx).Rename(ctx, "/noaa/nws", "weather")
			return err
		})
	}
	_ = rename
}
