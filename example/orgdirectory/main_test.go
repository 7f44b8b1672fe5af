package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// asProgram in the environment makes the test's binary the program itself.
const asProgram = "ORGDIRECTORY_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	pgtest.Main(m)
}

// example is the program on a database of the tests, which it must leave alone.
type example struct {
	t      *testing.T
	url    string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func setup(t *testing.T) *example {
	t.Helper()
	return &example{t: t, url: pgtest.EmptyDatabase(t)}
}

func (p *example) command(args ...string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	require.NoError(p.t, err)
	cmd := exec.CommandContext(p.t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "DATABASE_URL="+p.url)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	return cmd
}

// run returns the exit status.
func (p *example) run(args ...string) int {
	p.t.Helper()
	cmd := p.command(args...)
	err := cmd.Run()
	require.NotNil(p.t, cmd.ProcessState, err)
	return cmd.ProcessState.ExitCode()
}

func (p *example) report() report {
	p.t.Helper()
	var r report
	decoder := json.NewDecoder(&p.stdout)
	decoder.DisallowUnknownFields()
	require.NoError(p.t, decoder.Decode(&r), p.stderr.String())
	require.Empty(p.t, strings.TrimSpace(p.stdout.String()), "there is one object and nothing else")
	return r
}

var ownDatabase = regexp.MustCompile(`(?m)^Database: (\w+), `)

// requireClean requires that the database which DATABASE_URL names is as it was,
// and that the one which the program made is gone. printed is what it printed.
func (p *example) requireClean(printed string) {
	p.t.Helper()
	made := ownDatabase.FindStringSubmatch(printed)
	require.NotNil(p.t, made, printed)
	conn, err := pgx.Connect(p.t.Context(), p.url)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(p.t.Context())) }()
	var schemas, databases int
	require.NoError(p.t, conn.QueryRow(p.t.Context(), `
		SELECT (SELECT count(*) FROM pg_namespace WHERE nspname IN ('riverhook', 'directory')),
			(SELECT count(*) FROM pg_database WHERE datname = $1)`, made[1]).Scan(&schemas, &databases))
	require.Zero(p.t, schemas)
	require.Zero(p.t, databases)
}

func TestTheStoryIsToldInTables(t *testing.T) {
	t.Parallel()
	p := setup(t)

	require.Zero(t, p.run(), p.stderr.String())

	out := p.stdout.String()
	require.Empty(t, p.stderr.String())
	for _, line := range []string{
		"Postgres: DATABASE_URL",
		"ACT 1  A person is created, and the transaction commits",
		"user.created of user:ada at /noaa/nws/oun",
		"ACT 2  A person is created, and the transaction rolls back",
		"user.deleted of user:cleo at /noaa/nws/ama, run from /",
		"500 503 204",
		"All was as it must be: 5 events, 20 deliveries.",
	} {
		require.Contains(t, out, line)
	}
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 100, line)
	}
	p.requireClean(out)
}

func TestTheStoryIsToldAsJSON(t *testing.T) {
	t.Parallel()
	p := setup(t)

	require.Zero(t, p.run("-json"), p.stderr.String())

	require.Contains(t, p.stderr.String(), "Postgres: DATABASE_URL")
	r := p.report()
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
		"user.updated user:ada": {"OUN manager 204", "badge desk 500 503 204"},
		"user.created user:dora": {
			"president 204", "department head 204", "payroll 204", "AMA manager 204", "contractor 204",
		},
	}, got)
	for _, seen := range r.Receivers {
		require.Positive(t, seen.Requests)
		require.Equal(t, seen.Requests, seen.Verified)
	}
	p.requireClean(p.stderr.String())
}

func TestEachLineOfAFileOfPayloadsArrivesByteForByte(t *testing.T) {
	t.Parallel()
	p := setup(t)
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

	require.Zero(t, p.run("-json", "-payloads", file), p.stderr.String())

	r := p.report()
	require.True(t, r.OK)
	require.Equal(t, &payloads{Sent: 6, Delivered: 6, Bytes: size}, r.Payloads)
	require.Len(t, r.Events, 5, "the story is told as well")
	p.requireClean(p.stderr.String())
}

func TestABadLineIsNamedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"line 3: not {\"event\":\"...\",\"payload\":{...}}": `{"event":"push","payload":{`,
		`line 3: "event" is missing`:                        `{"payload":{}}`,
		`line 3: "payload" is missing`:                      `{"event":"push"}`,
		`line 3: event "Push!"`:                             `{"event":"Push!","payload":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			file := filepath.Join(t.TempDir(), "payloads.ndjson")
			require.NoError(t, os.WriteFile(file, []byte(`{"event":"push","payload":{}}`+"\n\n"+bad+"\n"), 0o600))

			require.Equal(t, program.ExitFailed, p.run("-json", "-payloads", file))

			require.Contains(t, p.stderr.String(), name)
			r := p.report()
			require.False(t, r.OK)
			require.Len(t, r.Problems, 1)
			require.Empty(t, r.Events)
		})
	}
}

func TestWhatIsNotAsItMustBeIsFound(t *testing.T) {
	t.Parallel()
	ev := event{ID: "1", Type: "user.created", Resource: "user:ada"}
	good := func() *report {
		r := newReport()
		r.Events = []event{ev}
		r.Deliveries = []deliveryOf{{EventID: "1", Subscription: president, State: "delivered", Attempts: []attemptOf{{Status: 204}}}}
		r.Decisions = []decisionOf{
			{EventID: "1", Subscription: president, Outcome: "delivered", Why: "matches"},
			{EventID: "1", Subscription: contractor, Outcome: denied, Why: "may not"},
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

func TestAnInterruptedStoryCleansUp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	cmd := p.command()
	cmd.Stdout = nil
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.stdout.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "ACT 1") {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	}
	require.Error(t, cmd.Wait())

	require.Equal(t, program.ExitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, p.stderr.String(), "FAILED: interrupted")
	require.NotContains(t, p.stdout.String(), "All was as it must be")
	p.requireClean(p.stdout.String())
}

func TestARoleThatMayNotCreateDatabasesIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	role := conn.Config().Database + "_role"
	_, err = conn.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'")
	require.NoError(t, err)
	defer func() {
		_, err := conn.Exec(t.Context(), "DROP ROLE "+role)
		require.NoError(t, err)
	}()
	at, err := url.Parse(p.url)
	require.NoError(t, err)
	at.User = url.UserPassword(role, "secret")
	p.url = at.String()

	require.Equal(t, program.ExitFailed, p.run("-json"))

	require.Contains(t, p.stderr.String(), "give it CREATEDB, or unset DATABASE_URL")
	require.False(t, p.report().OK)
}
