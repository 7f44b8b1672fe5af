package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/payload"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestEnqueue_GoesWithTheTransaction(t *testing.T) {
	t.Parallel()

	t.Run("a commit leaves one intent, its state and one job", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		res, err := b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
		require.False(t, res.Duplicate)
		id, err := uuid.Parse(res.ID)
		require.NoError(t, err)
		require.Equal(t, uuid.Version(7), id.Version())
		require.WithinDuration(t, time.Now(), time.Unix(id.Time().UnixTime()), time.Minute)
		require.NoError(t, b.tx.Commit(t.Context()))
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.pool))
	})

	t.Run("a rollback leaves nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
		require.NoError(t, b.tx.Rollback(t.Context()))
		require.Equal(t, [3]int{}, count(t, b.pool))
	})

	t.Run("a savepoint rolled back leaves nothing, the outer commit the rest", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		outer := valid()
		outer.ID = "outer"
		_, err := b.client.Enqueue(t.Context(), b.tx, outer)
		require.NoError(t, err)
		savepoint := begin(t, b.tx)
		_, err = b.client.Enqueue(t.Context(), savepoint, valid())
		require.NoError(t, err)
		require.NoError(t, savepoint.Rollback(t.Context()))
		require.NoError(t, b.tx.Commit(t.Context()))
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.pool))
		var id string
		require.NoError(t, b.pool.QueryRow(t.Context(), "SELECT wire_id FROM riverhook.intent").Scan(&id))
		require.Equal(t, "outer", id)
	})

	t.Run("every field is written", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		at := time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.FixedZone("", 3600))
		_, err := b.client.Enqueue(t.Context(), b.tx, Intent{
			ActiveSite: "/noaa",
			Actor:      "ün\"icode\\",
			Attributes: map[string]string{"a": "<&>", "": "'"},
			Channel:    "c",
			Data:       json.RawMessage(`{"x": 1}`),
			ID:         "id_-1",
			NotBefore:  at.Add(time.Hour),
			OccurredAt: at,
			Resource:   access.Resource{Kind: "k", ID: "i"},
			Site:       "/noaa/nws",
			Type:       "a.b",
		})
		require.NoError(t, err)
		var got [9]string
		var attributes map[string]string
		var data []byte
		var occurred, notBefore time.Time
		require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT active_site, actor, channel, wire_id, resource_kind, resource_id, site, type,
			attributes, data, occurred_at, not_before FROM riverhook.intent`).Scan(
			&got[0], &got[1], &got[2], &got[3], &got[4], &got[5], &got[6], &got[7], &attributes, &data, &occurred, &notBefore))
		require.Equal(t, [9]string{"/noaa", "ün\"icode\\", "c", "id_-1", "k", "i", "/noaa/nws", "a.b"}, got)
		require.Equal(t, map[string]string{"a": "<&>", "": "'"}, attributes)
		require.Equal(t, `{"x": 1}`, string(data))
		require.True(t, occurred.Equal(at.Truncate(time.Microsecond)))
		require.True(t, notBefore.Equal(at.Add(time.Hour).Truncate(time.Microsecond)))
	})

	t.Run("what is left out has its default", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b"})
		require.NoError(t, err)
		var site, active, data, attributes string
		var now, noNotBefore bool
		require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT site, active_site, convert_from(data, 'UTF8'), attributes::text,
			occurred_at BETWEEN now() AND clock_timestamp(), not_before IS NULL
			FROM riverhook.intent`).Scan(&site, &active, &data, &attributes, &now, &noNotBefore))
		require.Equal(t, []string{"/", "", "null", "{}"}, []string{site, active, data, attributes})
		require.True(t, now)
		require.True(t, noNotBefore)
	})

	t.Run("NotBefore schedules the expansion", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		in := valid()
		in.NotBefore = time.Now().Add(time.Hour).Truncate(time.Microsecond)
		_, err := b.client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err)
		var state string
		var scheduled, due time.Time
		require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT j.state, j.scheduled_at, s.due_at
			FROM riverhook.river_job j, riverhook.intent_state s`).Scan(&state, &scheduled, &due))
		require.Equal(t, "scheduled", state)
		require.True(t, scheduled.Equal(in.NotBefore))
		require.True(t, due.Equal(in.NotBefore))
	})

	t.Run("a cancelled context is an error that can be unwrapped", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.client.Enqueue(ctx, b.tx, valid())
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("no transaction is an error", func(t *testing.T) {
		t.Parallel()
		client, err := New(nil)
		require.NoError(t, err)
		_, err = client.Enqueue(t.Context(), nil, valid())
		require.ErrorContains(t, err, "transaction is nil")
		_, err = client.EnqueueSQL(t.Context(), nil, valid())
		require.ErrorContains(t, err, "transaction is nil")
	})
}

// storedShare is the share of an intent and the tag of its River job.
func storedShare(t *testing.T, tx pgx.Tx, id string) (share string) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT i.share || ' ' || j.tags[1] FROM riverhook.intent i
		JOIN riverhook.intent_state s ON s.intent_id = i.id JOIN riverhook.river_job j ON j.id = s.job_id WHERE i.wire_id = $1`, id).Scan(&share))
	return share
}

func TestEnqueue_ShareIsTheFirstSegmentOfTheSiteUnlessTheIntentNamesOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for want, in := range map[string]Intent{
		"noaa share_noaa":        {Site: "/noaa/nws/oun"},
		"/ share-2f":             {},
		"a.b share-612e62":       {Site: "/a.b"},
		"acme share_acme":        {Site: "/noaa", Share: "acme"},
		"noaa2 share_noaa2":      {Site: "/noaa2", ActiveSite: "/other"},
		"x share_x":              {Site: "/", Share: "x"},
		"-- share-2d2d":          {Site: "/a", Share: "--"},
		"a_- share-615f2d":       {Site: "/a", Share: "a_-"},
		"-a_0 share_-a_0":        {Site: "/a", Share: "-a_0"},
		"a@b:c share-6140623a63": {Site: "/a@b:c"},
	} {
		in.Type = "a.b"
		one, err := b.client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err)
		many, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{in, in})
		require.NoError(t, err)
		var sql string
		require.NoError(t, b.tx.QueryRow(t.Context(),
			"SELECT riverhook.enqueue('a.b', '1', $1, share => $2)", string(in.Site), in.Share).Scan(&sql))
		for _, id := range []string{one.ID, many[0].ID, many[1].ID, sql} {
			require.Equal(t, want, storedShare(t, b.tx, id))
		}
	}
}

func TestEnqueueMany_IsOneStatementAnsweredInOrder(t *testing.T) {
	t.Parallel()

	t.Run("a thousand intents are one statement, answered in order", func(t *testing.T) {
		t.Parallel()
		counter := &statements{}
		pool := tracedPool(t, counter)
		client, err := New(nil)
		require.NoError(t, err)
		tx := begin(t, pool)
		in := make([]Intent, 1000)
		for i := range in {
			in[i] = valid()
			in[i].ID = fmt.Sprintf("id-%d", (i*7919)%1000)
		}
		counter.n = 0
		results, err := client.EnqueueMany(t.Context(), tx, in)
		require.NoError(t, err)
		require.Equal(t, 1, counter.n)
		for i, res := range results {
			require.Equal(t, Result{ID: in[i].ID}, res)
		}
		require.Equal(t, [3]int{1000, 1000, 1000}, count(t, tx))
	})

	t.Run("no intents are no statement", func(t *testing.T) {
		t.Parallel()
		client, err := New(nil)
		require.NoError(t, err)
		results, err := client.EnqueueMany(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Empty(t, results)
		results, err = client.EnqueueManySQL(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Empty(t, results)
	})

	t.Run("one bad intent: none is written, and the transaction goes on", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		bad := valid()
		bad.Type = "nope"
		_, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), valid(), bad})
		var invalid *InvalidIntentError
		require.ErrorAs(t, err, &invalid)
		require.ErrorIs(t, err, ErrInvalidIntent)
		require.Equal(t, 2, invalid.Index)
		require.Equal(t, "Type", invalid.Field)
		require.Equal(t, [3]int{}, count(t, b.tx))
	})

	t.Run("several intents of one resource are not merged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		results, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), valid()})
		require.NoError(t, err)
		require.NotEqual(t, results[0].ID, results[1].ID)
		require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
	})
}

func TestEnqueue_WorksInEveryQueryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			cfg, err := pgxpool.ParseConfig(pgtest.Database(t))
			require.NoError(t, err)
			cfg.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			defer pool.Close()
			client, err := New(nil)
			require.NoError(t, err)
			in := valid()
			in.Data = json.RawMessage(`{"a": "\\ ' \" $1 ? \u0000 é"}`)
			in.Attributes = map[string]string{"it's": `\"`}
			in.NotBefore = time.Now()
			for range 2 {
				require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := client.EnqueueMany(t.Context(), tx, []Intent{in, in})
					return err
				}))
			}
			var data string
			require.NoError(t, pool.QueryRow(t.Context(), "SELECT DISTINCT convert_from(data, 'UTF8') FROM riverhook.intent").Scan(&data))
			require.Equal(t, string(in.Data.(json.RawMessage)), data)
			require.Equal(t, [3]int{4, 4, 4}, count(t, pool))

			types, err := NewEventTypes(pool, nil)
			require.NoError(t, err)
			withSchema := versioned("x.y", `{"enum": ["it's \\ é $1"]}`)
			withSchema.Schemas[0].Example = json.RawMessage(`"it's \\ é $1"`)
			require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b", Extends: []string{"c.d", "e.f"}}, withSchema))
			require.NoError(t, types.Register(t.Context(), withSchema))
			got, err := types.Get(t.Context(), "a.b")
			require.NoError(t, err)
			require.Equal(t, []string{"c.d", "e.f"}, got.Extends)
			all, err := listed(types.List(t.Context(), nil))
			require.NoError(t, err)
			require.Equal(t, withSchema.Schemas[0].Schema, all[1].Schemas[0].Schema)
			require.Equal(t, withSchema.Schemas[0].Example, all[1].Schemas[0].Example)
			knowing, err := New(&Config{Pool: pool})
			require.NoError(t, err)
			require.ErrorContains(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := knowing.Enqueue(t.Context(), tx, Intent{Type: "x.y", Data: 1})
				return err
			}), `does not satisfy "enum"`)
			require.NoError(t, types.Archive(t.Context(), "x.y"))
		})
	}
}

func TestEnqueue_WorksAfterTheSearchPathChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.tx.Exec(t.Context(), `CREATE SCHEMA trap;
		CREATE FUNCTION trap.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT 'trapped'::bytea $$;
		CREATE FUNCTION trap.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;
		SET LOCAL search_path = trap, pg_catalog`)
	require.NoError(t, err)
	_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), valid()})
	require.NoError(t, err)
	require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
	var trapped bool
	require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT bool_or(digest = 'trapped') FROM riverhook.intent").Scan(&trapped))
	require.False(t, trapped)
}

func TestEnqueue_KeepsJSONByteForByte(t *testing.T) {
	t.Parallel()
	b := setup(t)
	texts := []string{
		`{"a":1,"a":2}`, " {\n\t\"a\" : 1 } \r\n", `"\u00e9\ud83d\ude00\ud800 é \u0000 \/"`, `"<script>&amp;\u003c'$1"`,
		`123456789012345678901234567890.000000000000000000010e-400`, `-0.0`, `null`, `[]`, "\"\u2028\u2029\"",
		strings.Repeat("[", payload.MaxLevels) + strings.Repeat("]", payload.MaxLevels),
	}
	for i, text := range texts {
		for j, data := range []any{json.RawMessage(text), []byte(text)} {
			in := valid()
			in.ID = fmt.Sprintf("%d-%d", i, j)
			in.Data = data
			_, err := b.client.Enqueue(t.Context(), b.tx, in)
			require.NoError(t, err)
			var got []byte
			require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT data FROM riverhook.intent WHERE wire_id = $1", in.ID).Scan(&got))
			require.Equal(t, text, string(got))
		}
	}
}

func TestEnqueue_EncodesOtherDataWithoutEscapingHTML(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for want, data := range map[string]any{
		`"<a href='x'>&</a>"`: "<a href='x'>&</a>",
		`{"a":1,"b":[1.5]}`:   map[string]any{"b": []float64{1.5}, "a": 1},
		`null`:                nil,
		`{"kind":"","id":""}`: &access.Resource{},
	} {
		_, err := b.client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: data})
		require.NoError(t, err)
		var found bool
		require.NoError(t, b.tx.QueryRow(t.Context(),
			"SELECT EXISTS (SELECT FROM riverhook.intent WHERE data = convert_to($1, 'UTF8'))", want).Scan(&found))
		require.True(t, found, want)
	}
}

// statements counts what pgx sends.
type statements struct{ n int }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n++
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func tracedPool(t *testing.T, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.Database(t))
	require.NoError(t, err)
	cfg.ConnConfig.Tracer = tracer
	return open(t, cfg)
}

// open returns another pool of a database that the test has.
func open(t *testing.T, cfg *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
