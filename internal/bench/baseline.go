package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// barePost is a River job that makes one request and nothing else.
type barePost struct {
	ID uuid.UUID `json:"id"`
}

// Kind implements river.JobArgs.
func (barePost) Kind() string { return "bare_post" }

func newBarePost() (barePost, error) {
	id, err := uuid.NewV7()
	return barePost{id}, err
}

// barePoster works bare posts: what River can do at all. With history it also
// writes what became of each, in a transaction of its own, as one would at first.
type barePoster struct {
	river.WorkerDefaults[barePost]

	client  *http.Client
	history *pgxpool.Pool // nil writes none
	url     string

	done atomic.Int64
	want atomic.Int64
	last chan struct{} // one signal when as many are done as were wanted
}

// Work implements river.Worker.
func (w *barePoster) Work(ctx context.Context, job *river.Job[barePost]) error {
	began := time.Now()
	status, err := w.post(ctx, job.Args.ID)
	if err != nil {
		return err
	}
	if w.history != nil {
		if err := w.record(ctx, job.Args.ID, status, began); err != nil {
			return err
		}
	}
	if w.done.Add(1) == w.want.Load() {
		w.last <- struct{}{}
	}
	return nil
}

func (w *barePoster) post(ctx context.Context, id uuid.UUID) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(payload))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id.String())
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing follows from it
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

const naiveTables = `
	CREATE TABLE naive_delivery (
		id uuid PRIMARY KEY, state text NOT NULL DEFAULT 'pending', attempts integer NOT NULL DEFAULT 0,
		created_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz);
	CREATE TABLE naive_attempt (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, delivery_id uuid NOT NULL, status integer NOT NULL,
		started_at timestamptz NOT NULL, duration_us bigint NOT NULL);
	CREATE INDEX ON naive_attempt (delivery_id)`

func (w *barePoster) record(ctx context.Context, id uuid.UUID, status int, began time.Time) error {
	return pgx.BeginFunc(ctx, w.history, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO naive_attempt (delivery_id, status, started_at, duration_us) VALUES ($1, $2, $3, $4)",
			id, status, began, time.Since(began).Microseconds())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx,
			"UPDATE naive_delivery SET state = 'delivered', attempts = attempts + 1, ended_at = now() WHERE id = $1 AND state = 'pending'", id)
		return err
	})
}

// baseline is a database with River's tables and a client that works bare posts.
type baseline struct {
	pool   *pgxpool.Pool
	worker *barePoster
	river  river.Config // without Workers
	client *river.Client[pgx.Tx]
}

// newBaseline makes one; cfg is how its River works.
func newBaseline(ctx context.Context, b *bench, name, url string, history bool, cfg river.Config) (*baseline, error) {
	databaseURL, err := b.database(ctx, name)
	if err != nil {
		return nil, err
	}
	pool, err := openPool(ctx, databaseURL, poolSize)
	if err != nil {
		return nil, err
	}
	l := openBaseline(pool, url, cfg)
	if history {
		l.worker.history = pool
	}
	err = l.migrate(ctx)
	return l, err
}

// openBaseline is one in a database that has River's tables.
func openBaseline(pool *pgxpool.Pool, url string, cfg river.Config) *baseline {
	cfg.JobTimeout = -1
	cfg.Logger = slog.New(slog.DiscardHandler)
	return &baseline{
		pool:  pool,
		river: cfg,
		worker: &barePoster{
			client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: cfg.Queues[river.QueueDefault].MaxWorkers}},
			last:   make(chan struct{}, 1),
			url:    url,
		},
	}
}

func (l *baseline) migrate(ctx context.Context) error {
	if err := migrateRiver(ctx, l.pool); err != nil {
		return err
	}
	if l.worker.history == nil {
		return nil
	}
	_, err := l.pool.Exec(ctx, naiveTables)
	return err
}

func (l *baseline) start(ctx context.Context) error {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, l.worker); err != nil {
		return err
	}
	cfg := l.river
	cfg.Workers = workers
	var err error
	if l.client, err = river.NewClient(riverpgxv5.New(l.pool), &cfg); err != nil {
		return err
	}
	return l.client.Start(ctx)
}

func (l *baseline) stop(ctx context.Context) error {
	defer l.worker.client.CloseIdleConnections()
	return l.client.Stop(ctx)
}

// work inserts n jobs from some goroutines and waits until the last of them
// is done: answered, and recorded where there is a history. That River has noted
// the job's end too is not waited for, which is in the baseline's favour.
func (l *baseline) work(ctx context.Context, n, inserters int) error {
	l.worker.done.Store(0)
	l.worker.want.Store(int64(n))
	errs := make(chan error, inserters)
	for i := range inserters {
		go func() { errs <- l.insert(ctx, n*(i+1)/inserters-n*i/inserters) }()
	}
	for range inserters {
		if err := <-errs; err != nil {
			return err
		}
	}
	select {
	case <-l.worker.last:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d jobs are done: %w", l.worker.done.Load(), n, ctx.Err())
	}
}

// insert inserts n jobs by InsertManyTx, a hundred a transaction.
func (l *baseline) insert(ctx context.Context, n int) error {
	for ; n > 0; n -= enqueueBatch {
		params := make([]river.InsertManyParams, min(n, enqueueBatch))
		ids := make([]string, len(params))
		for i := range params {
			args, err := newBarePost()
			if err != nil {
				return err
			}
			params[i].Args, ids[i] = args, args.ID.String()
		}
		err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
			if l.worker.history != nil {
				if _, err := tx.Exec(ctx, "INSERT INTO naive_delivery (id) SELECT unnest($1::text[])::uuid", ids); err != nil {
					return err
				}
			}
			_, err := l.client.InsertManyTx(ctx, tx, params)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
