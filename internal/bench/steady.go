package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// steady measures what events cost an application that commits all the time: a process with 16
// connections commits one business row and one event a transaction as fast as it can for a
// while, a second process delivers, and a third one receives.
//
//   - row: the business row alone, which nobody delivers;
//   - river: the row and River's InsertTx of an id, and a worker that makes a bare POST of the
//     same body;
//   - ours_1, ours_3: the row and Enqueue, to one or three subscriptions.
//
// Events a second are those of the whole way: from the first commit until the last request has
// arrived and, of ours, is recorded. The variants take turns.
//
//   - steady_of_river, steady_3_of_river: events a second, of those of river;
//   - server_cpu_of_river, wal_of_river: what an event of ours_1 costs the server, of river's.
func steady(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	runs, closeAll, err := steadyRuns(ctx, b)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	for round := range of(b.size, 1, 2, 5) {
		for _, s := range runs {
			c, err := s.measure(ctx, b)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			b.sayf("  round %d: %-6s %6.0f/s, µs: %4.0f producer, %4.0f engine, %4.0f Postgres; %5.1f kB of WAL, %4.1f rows", round+1, s.name,
				c.perSecond, c.producer, c.engine, c.postgres, c.wal/1000, c.rows)
			s.costs = append(s.costs, c)
		}
	}
	return steadyResult(runs), nil
}

// steadyCost is what an event took in a round: microseconds of processor time, bytes, rows
// that were written.
type steadyCost struct {
	perSecond                  float64
	producer, engine, postgres float64
	wal, rows                  float64
}

// steadyRun is a variant, in a database of its own.
type steadyRun struct {
	name   string
	kind   string // of its writers
	fanout int    // requests for an event
	pool   *pgxpool.Pool
	url    string // of its database

	costs []steadyCost // a round each
}

func steadyRuns(ctx context.Context, b *bench) (runs []*steadyRun, closeAll func(), err error) {
	runs = []*steadyRun{
		{
			name: "row",
			kind: writeRow,
		},
		{
			name:   "river",
			kind:   writeRiver,
			fanout: 1,
		},
		{
			name:   "ours_1",
			kind:   writeOurs,
			fanout: 1,
		},
		{
			name:   "ours_3",
			kind:   writeOurs,
			fanout: 3,
		},
	}
	closeAll = func() {
		for _, s := range runs {
			if s.pool != nil {
				s.pool.Close()
			}
		}
	}
	for _, s := range runs {
		w, err := b.newWorld(ctx, "steady_"+s.name)
		if err != nil {
			return nil, closeAll, err
		}
		s.pool, s.url = w.pool, w.url
		if _, err := s.pool.Exec(ctx, businessTable); err != nil {
			return nil, closeAll, err
		}
		switch s.kind {
		case writeRiver:
			err = migrateRiver(ctx, s.pool)
		case writeOurs:
			err = subscribe(ctx, w.subs, enqueuedType, s.endpoint(b), s.fanout)
		}
		if err != nil {
			return nil, closeAll, err
		}
	}
	return runs, closeAll, nil
}

func (s *steadyRun) book() string             { return "steady_" + s.name }
func (s *steadyRun) endpoint(b *bench) string { return b.receiver.url(pathCount, s.book()) }

// deliverer starts the process that delivers; nil where nobody does.
func (s *steadyRun) deliverer(ctx context.Context, b *bench) (*child, error) {
	switch s.kind {
	case writeRiver:
		return startChild(ctx, "poster", databaseVariable+"="+s.url, endpointVariable+"="+s.endpoint(b))
	case writeOurs:
		return startEngine(ctx, s.url, s.name)
	default:
		return nil, nil //nolint:nilnil // there is none
	}
}

// measure is one round, with processes of its own.
func (s *steadyRun) measure(ctx context.Context, b *bench) (c steadyCost, err error) {
	before, err := b.receiver.count(ctx, s.book())
	if err != nil {
		return c, err
	}
	rowsBefore, err := s.rows(ctx)
	if err != nil {
		return c, err
	}
	all := steadyProcesses{}
	defer func() { err = errors.Join(err, all.close()) }()
	if all.engine, err = s.deliverer(ctx, b); err != nil {
		return c, err
	}
	if all.producer, err = startChild(ctx, "producer", databaseVariable+"="+s.url, kindVariable+"="+s.kind); err != nil {
		return c, err
	}
	warm, err := strconv.Atoi(all.producer.answer)
	if err != nil {
		return c, err
	}
	if err := s.delivered(ctx, b, before+warm*s.fanout); err != nil {
		return c, err
	}
	if err := b.settle(ctx); err != nil {
		return c, err
	}
	m, err := b.startMeter(ctx, s.pool)
	if err != nil {
		return c, err
	}
	producer, engine := all.producer.used(), all.engine.used()
	n, err := all.produce(of(b.size, 20*time.Millisecond, 2*time.Second, 10*time.Second))
	if err != nil {
		return c, err
	}
	if err := s.delivered(ctx, b, before+(warm+n)*s.fanout); err != nil {
		return c, err
	}
	spent, err := m.end(ctx)
	if err != nil {
		return c, err
	}
	one := spent.each(n)
	c = steadyCost{
		engine:    microseconds(all.engine.used()-engine) / float64(n),
		perSecond: perSecond(one),
		postgres:  microseconds(one.postgres),
		producer:  microseconds(all.producer.used()-producer) / float64(n),
		wal:       one.wal,
	}
	if err := all.close(); err != nil { // a session tells its counts when it ends
		return c, err
	}
	rows, err := s.rows(ctx)
	c.rows = (rows - rowsBefore) / float64(warm+n)
	return c, err
}

// delivered waits until so many requests have arrived, and all of ours are recorded.
func (s *steadyRun) delivered(ctx context.Context, b *bench, n int) error {
	err := b.receiver.waitFor(ctx, s.book(), n)
	if err != nil || s.kind != writeOurs {
		return err
	}
	return settled(ctx, s.pool)
}

// rows is how many rows the server has written in the database.
func (s *steadyRun) rows(ctx context.Context) (n float64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database
		WHERE datname = current_database()`).Scan(&n)
	return n, err
}

// steadyProcesses are those of a round.
type steadyProcesses struct {
	engine   *child // nil: nobody delivers
	producer *child
}

// produce has events committed for a while, and returns how many were.
func (p *steadyProcesses) produce(lap time.Duration) (int, error) {
	if err := p.producer.tell(lap.String()); err != nil {
		return 0, err
	}
	answer, err := p.producer.line()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(answer)
}

// close ends those that run.
func (p *steadyProcesses) close() (err error) {
	for _, c := range []*child{p.producer, p.engine} {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	p.engine, p.producer = nil, nil
	return err
}

func steadyResult(runs []*steadyRun) *result {
	r := newResult()
	all := map[string][]steadyCost{}
	for _, s := range runs {
		all[s.name] = s.costs
		for suffix, of := range map[string]func(c steadyCost) float64{
			"_per_s":           func(c steadyCost) float64 { return c.perSecond },
			"_cpu_us_producer": func(c steadyCost) float64 { return c.producer },
			"_cpu_us_engine":   func(c steadyCost) float64 { return c.engine },
			"_cpu_us_postgres": func(c steadyCost) float64 { return c.postgres },
			"_wal_bytes":       func(c steadyCost) float64 { return c.wal },
			"_rows":            func(c steadyCost) float64 { return c.rows },
		} {
			r.figure(s.name+suffix, median(eachOf(s.costs, of)))
		}
	}
	ratio := func(name, ours string, of func(c steadyCost) float64) {
		r.ratio(name, medianRatio(eachOf(all[ours], of), eachOf(all["river"], of)))
	}
	ratio("steady_of_river", "ours_1", func(c steadyCost) float64 { return c.perSecond })
	ratio("steady_3_of_river", "ours_3", func(c steadyCost) float64 { return c.perSecond })
	ratio("server_cpu_of_river", "ours_1", func(c steadyCost) float64 { return c.postgres })
	ratio("wal_of_river", "ours_1", func(c steadyCost) float64 { return c.wal })
	return r
}

// eachOf is a figure of each round.
func eachOf(costs []steadyCost, of func(c steadyCost) float64) []float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	return values
}
