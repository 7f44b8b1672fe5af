package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/outbox"
)

const tables = `
	CREATE SCHEMA servo;
	CREATE TABLE servo.component (name text PRIMARY KEY, replicas integer);
	INSERT INTO servo.component VALUES ('web', 2);`

// adjustment is what the optimizer wants to do, and what its gates decide by.
type adjustment struct {
	Component string `json:"component"`
	Replicas  int    `json:"replicas"`
}

// result is an entry of servo's "results".
type result struct {
	Connector string     `json:"connector"`
	Value     adjustment `json:"value"`
}

// optimizer is the application.
type optimizer struct {
	engine *delivery.Engine
	pool   *pgxpool.Pool
}

// adjust makes an adjustment that no gate keeps it from. The gates think before the
// transaction begins; what was done is told by an event that is written in it.
func (o *optimizer) adjust(ctx context.Context, a adjustment) (*delivery.Answer, error) {
	component, results := access.Resource{Kind: "component", ID: a.Component}, []result{{"optimizer", a}}
	answer, err := o.engine.Ask(ctx, delivery.Question{
		Type:     "adjust",
		Resource: component,
		Data:     results,
	})
	if err != nil {
		return answer, err
	}
	return answer, pgx.BeginFunc(ctx, o.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE servo.component SET replicas = $2 WHERE name = $1`, a.Component, a.Replicas); err != nil {
			return err
		}
		_, err := outbox.Enqueue(ctx, tx, outbox.Intent{
			Type:     "after.adjust",
			Resource: component,
			Data:     results,
		})
		return err
	})
}

func (o *optimizer) replicas(ctx context.Context, component string) (n int, err error) {
	err = o.pool.QueryRow(ctx, `SELECT replicas FROM servo.component WHERE name = $1`, component).Scan(&n)
	return n, err
}
