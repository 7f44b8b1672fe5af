package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/example/internal/program"
)

// report is what happened, and what -json prints.
type report struct {
	program.Verdict

	Postgres string   `json:"postgres"`
	Events   int      `json:"events"` // that were committed
	Killed   killed   `json:"killed"`
	Formats  []counts `json:"formats"`
}

// killed is what the receiving process had under way when it was killed.
type killed struct {
	Unanswered int `json:"unanswered"` // stored, and the sender had no answer
	Unfinished int `json:"unfinished"` // processed, and not committed
}

// counts are what the database says of one dialect.
type counts struct {
	Dialect   string `json:"dialect"`
	Proof     string `json:"proof"`     // what was verified
	Sent      int    `json:"sent"`      // events that the engine has delivered
	Requests  int    `json:"requests"`  // that were received
	Verified  int    `json:"verified"`  // of these
	Refused   int    `json:"refused"`   // of these
	Stored    int    `json:"stored"`    // events in the inbox
	Attempts  int    `json:"attempts"`  // to process them
	Processed int    `json:"processed"` // events that are done
	Effects   int    `json:"effects"`   // that were committed
	Distinct  int    `json:"distinct"`  // of the directory's events, those that have an effect
}

func newReport() *report {
	return &report{Verdict: program.Good(), Formats: []counts{}}
}

// String is what is printed when all was as it must be.
func (r *report) String() string {
	return fmt.Sprintf("All was as it must be: each of %d events was processed exactly once in each of %d dialects.", r.Events, len(r.Formats))
}

// countAll reads from the tables of the engine, of the inbox and of the receiving process
// what became of the events.
const countAll = `
	SELECT s.dialect, '' AS proof,
		(SELECT count(*) FROM riverhook.delivery d WHERE d.subscription_id = s.id AND d.state = 'delivered') AS sent,
		r.requests, r.verified, r.refused,
		e.stored, e.attempts, e.processed,
		(SELECT count(*) FROM receiving.effect f WHERE f.receiver = s.dialect) AS effects,
		(SELECT count(*) FROM riverhook.intent i
			WHERE EXISTS (SELECT FROM receiving.effect f WHERE f.receiver = s.dialect AND f.delivery_id = i.wire_id)) AS "distinct"
	FROM riverhook.subscription s,
		LATERAL (SELECT count(*) AS requests, count(*) FILTER (WHERE q.status IN (201, 202)) AS verified,
				count(*) FILTER (WHERE q.status IN (401, 404)) AS refused
			FROM receiving.request q WHERE q.receiver = s.dialect) r,
		LATERAL (SELECT count(*) AS stored, coalesce(sum(o.attempt), 0) AS attempts, count(*) FILTER (WHERE o.state = 'done') AS processed
			FROM riverhook.inbox_event o WHERE o.receiver = s.dialect) e
	ORDER BY s.dialect`

func count(ctx context.Context, pool *pgxpool.Pool) ([]counts, error) {
	rows, err := pool.Query(ctx, countAll)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[counts])
	for i := range all {
		all[i].Proof = formats[all[i].Dialect].proof
	}
	return all, err
}

// settled says whether nothing is left to do.
func settled(all []counts, events int) bool {
	for _, c := range all {
		if c.Sent < events || c.Processed < events {
			return false
		}
	}
	return len(all) > 0
}

// check compares the counts with what must be. Each event comes once in each dialect, and
// those that were held when the process was killed once more.
func (r *report) check(dialects int) {
	r.Expectf(len(r.Formats) == dialects, "%d dialects, not %d", len(r.Formats), dialects)
	r.Expectf(r.Killed.Unanswered == dialects, "%d events were stored without an answer at the kill, not %d", r.Killed.Unanswered, dialects)
	r.Expectf(r.Killed.Unfinished == dialects, "%d events were being processed at the kill, not %d", r.Killed.Unfinished, dialects)
	for _, c := range r.Formats {
		for _, must := range []struct {
			what      string
			got, want int
		}{
			{"events sent", c.Sent, r.Events},
			{"requests", c.Requests, r.Events + 2},
			{"requests verified", c.Verified, r.Events + 1},
			{"requests refused", c.Refused, 1},
			{"events stored", c.Stored, r.Events},
			{"attempts to process them", c.Attempts, r.Events + 1},
			{"events processed", c.Processed, r.Events},
			{"effects", c.Effects, r.Events},
			{"events with an effect", c.Distinct, r.Events},
		} {
			r.Expectf(must.got == must.want, "%s: %s: %d, not %d", c.Dialect, must.what, must.got, must.want)
		}
	}
}

func (r *report) show(console *program.Console) {
	verified := program.NewTable("dialect", "requests", "verified", "refused", "verified by")
	processed := program.NewTable("dialect", "sent", "received", "stored", "attempts", "processed", "effects")
	for _, c := range r.Formats {
		verified.Add(c.Dialect, c.Requests, c.Verified, c.Refused, c.Proof)
		processed.Add(c.Dialect, c.Sent, c.Verified, c.Stored, c.Attempts, c.Processed, c.Effects)
	}
	console.Head("WHAT WAS VERIFIED")
	console.Printf("%s", verified)
	console.Head("WHAT BECAME OF IT, FROM THE DATABASE")
	console.Printf("%s", processed)
}
