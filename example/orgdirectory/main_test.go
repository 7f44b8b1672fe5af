package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/example/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

func TestOrgdirectory_TellsItsStoryInTables(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run(), p.Stderr.String())

	out := p.Stdout.String()
	require.Empty(t, p.Stderr.String())
	for _, line := range []string{
		"Postgres: DATABASE_URL",
		"ACT 1  A person is created, and the transaction commits",
		"user.created of user:ada at /noaa/nws/oun",
		"ACT 2  A person is created, and the transaction rolls back",
		"user.deleted of user:cleo at /noaa/nws/ama, run from /",
		"500 502 204",
		"All was as it must be: 5 events, 20 deliveries.",
	} {
		require.Contains(t, out, line)
	}
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 100, line)
	}
	p.RequireClean(out)
}

func TestOrgdirectory_TellsItsStoryAsJSON(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	require.Contains(t, p.Stderr.String(), "Postgres: DATABASE_URL")
	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Nil(t, r.Payloads)
	got := map[string][]string{}
	for _, ev := range r.Events {
		key := ev.Type + " " + ev.Resource
		for _, d := range r.deliveriesOf(ev.ID) {
			require.Equal(t, "delivered", d.State)
			got[key] = append(got[key], d.Subscription+" "+statuses(d))
		}
		for _, d := range r.decisionsOf(ev.ID) {
			if d.Outcome == denied {
				got[key] = append(got[key], d.Subscription+" denied")
			}
		}
	}
	require.Equal(t, map[string][]string{
		"user.created user:ada": {
			"president 204", "department head 204", "payroll 204", "OUN manager 204", "contractor denied",
		},
		"user.deleted user:carl": {
			"president 204", "department head 204", "payroll 204", "OUN manager 204", "contractor denied",
		},
		"user.deleted user:cleo": {
			"president 204", "department head 204", "payroll 204", "AMA manager 204", "contractor 204",
		},
		"user.updated user:ada": {"OUN manager 204", "badge desk 500 502 204"},
		"user.created user:dora": {
			"president 204", "department head 204", "payroll 204", "AMA manager 204", "contractor 204",
		},
	}, got)
	for _, seen := range r.Receivers {
		require.Positive(t, seen.Requests)
		require.Equal(t, seen.Requests, seen.Verified)
	}
	p.RequireClean(p.Stderr.String())
}

func TestOrgdirectory_EachLineOfAFileOfPayloadsArrivesByteForByte(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)
	// Longer than the buffers of readers and than the default limit of data.
	long := `{"event":"push","payload":{"text":"` + strings.Repeat("<é&\\u0041 ", 100_000) + `"}}` + "\n"
	samples, err := os.ReadFile(filepath.Join("testdata", "payloads.ndjson"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "payloads.ndjson")
	require.NoError(t, os.WriteFile(file, append(samples, long...), 0o600))
	parsed, err := readSamples(file)
	require.NoError(t, err)
	size := 0
	for _, s := range parsed {
		size += len(s.payload)
	}

	require.Zero(t, p.Run("-json", "-payloads", file), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Equal(t, &payloads{
		Sent:      6,
		Delivered: 6,
		Bytes:     size,
	}, r.Payloads)
	require.Len(t, r.Events, 5, "the story is told as well")
	p.RequireClean(p.Stderr.String())
}

func TestOrgdirectory_NamesABadLineBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"line 3: not {\"event\":\"...\",\"payload\":{...}}": `{"event":"push","payload":{`,
		`line 3: "event" is missing`:                        `{"payload":{}}`,
		`line 3: "payload" is missing`:                      `{"event":"push"}`,
		`line 3: event "Push!"`:                             `{"event":"Push!","payload":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := programtest.New(t)
			file := filepath.Join(t.TempDir(), "payloads.ndjson")
			require.NoError(t, os.WriteFile(file, []byte(`{"event":"push","payload":{}}`+"\n\n"+bad+"\n"), 0o600))

			require.Equal(t, program.ExitFailed, p.Run("-json", "-payloads", file))

			require.Contains(t, p.Stderr.String(), name)
			var r report
			p.Report(&r)
			require.False(t, r.OK)
			require.Len(t, r.Problems, 1)
			require.Empty(t, r.Events)
		})
	}
}

func TestOrgdirectory_FindsWhatIsNotAsItMustBe(t *testing.T) {
	t.Parallel()
	ev := enqueued{
		ID:       "1",
		Type:     "user.created",
		Resource: "user:ada",
	}
	good := func() *report {
		r := newReport()
		r.Events = []enqueued{ev}
		r.Deliveries = []deliveryOf{{
			EventID:      "1",
			Subscription: president,
			State:        "delivered",
			Attempts:     []attemptOf{{Status: 204}},
		}}
		r.Decisions = []decisionOf{
			{
				EventID:      "1",
				Subscription: president,
				Outcome:      "delivered",
				Why:          "matches",
			},
			{
				EventID:      "1",
				Subscription: contractor,
				Outcome:      denied,
				Why:          "may not",
			},
		}
		return r
	}
	want := everyoneGot(president).with(contractor, denied)
	for name, breakIt := range map[string]func(*report){
		"a delivery is missing":             func(r *report) { r.Deliveries = nil },
		"a delivery is not delivered":       func(r *report) { r.Deliveries[0].State = "exhausted" },
		"a delivery needed another attempt": func(r *report) { r.Deliveries[0].Attempts = []attemptOf{{Status: 500}, {Status: 204}} },
		"the denied one got it":             func(r *report) { r.Deliveries[0].Subscription = contractor },
		"an uninvited one got it": func(r *report) {
			d := r.Deliveries[0]
			d.Subscription = amaManager
			r.Deliveries = append(r.Deliveries, d)
		},
		"nobody was denied":           func(r *report) { r.Decisions = r.Decisions[:1] },
		"the explanation has no word": func(r *report) { r.Decisions[0].Why = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good()
			r.check(ev, want)
			require.True(t, r.OK, r.Problems)
			breakIt(r)
			r.check(ev, want)
			require.False(t, r.OK)
		})
	}
}

func TestOrgdirectory_CleansUpWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)
	p.RequireCleanInterrupt("ACT 1")
}

func TestOrgdirectory_TellsARoleThatMayNotCreateDatabasesWhatToDo(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)
	conn, err := pgx.Connect(t.Context(), p.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	role := conn.Config().Database + "_role"
	_, err = conn.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'")
	require.NoError(t, err)
	defer func() {
		_, err := conn.Exec(t.Context(), "DROP ROLE "+role)
		require.NoError(t, err)
	}()
	at, err := url.Parse(p.URL)
	require.NoError(t, err)
	at.User = url.UserPassword(role, "secret")
	p.URL = at.String()

	require.Equal(t, program.ExitFailed, p.Run("-json"))

	require.Contains(t, p.Stderr.String(), "give it CREATEDB, or unset DATABASE_URL")
	var r report
	p.Report(&r)
	require.False(t, r.OK)
}
