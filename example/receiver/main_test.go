package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

func TestReceiver_ProcessesEachEventOnceThoughItIsKilled(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Equal(t, 4, r.Events)
	require.Equal(t, killed{Unanswered: 8, Unfinished: 8}, r.Killed)
	require.Len(t, r.Formats, len(dialect.BuiltIn()))
	for _, c := range r.Formats {
		require.NotEmpty(t, c.Proof)
		c.Dialect, c.Proof = "", ""
		require.Equal(t, counts{
			Sent:      4,
			Requests:  6,
			Verified:  5,
			Refused:   1,
			Stored:    4,
			Attempts:  5,
			Processed: 4,
			Effects:   4,
			Distinct:  4,
		}, c)
	}
	p.RequireClean(p.Stderr.String())
}

func TestReceiver_TellsItsStoryInTables(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run(), p.Stderr.String())

	out := p.Stdout.String()
	require.Empty(t, p.Stderr.String())
	for _, line := range []string{
		"It is dead: 8 events without an answer, 8 effects not committed.",
		"hub                 6         5         1        X-Hub-Signature-256",
		"hub                 4     5         4       5         4          4",
		"All was as it must be: each of 4 events was processed exactly once in each of 8 dialects.",
	} {
		require.Contains(t, out, line)
	}
	p.RequireClean(out)
}

func TestReceiver_CleansUpWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)
	p.RequireCleanInterrupt("ACT 3")
}

func TestReceiver_FindsWhatIsNotAsItMustBe(t *testing.T) {
	t.Parallel()
	good := func() *report {
		r := newReport()
		r.Events, r.Killed = 4, killed{Unanswered: 1, Unfinished: 1}
		r.Formats = []counts{{
			Dialect:   "hub",
			Sent:      4,
			Requests:  6,
			Verified:  5,
			Refused:   1,
			Stored:    4,
			Attempts:  5,
			Processed: 4,
			Effects:   4,
			Distinct:  4,
		}}
		return r
	}
	for name, breakIt := range map[string]func(*report){
		"a dialect is missing":                    func(r *report) { r.Formats = nil },
		"nothing was unanswered":                  func(r *report) { r.Killed.Unanswered = 0 },
		"nothing was unfinished":                  func(r *report) { r.Killed.Unfinished = 0 },
		"an event was not sent":                   func(r *report) { r.Formats[0].Sent-- },
		"an event was not sent again":             func(r *report) { r.Formats[0].Verified-- },
		"a request was neither taken nor refused": func(r *report) { r.Formats[0].Requests++ },
		"a forged request was accepted":           func(r *report) { r.Formats[0].Refused-- },
		"an event was stored twice":               func(r *report) { r.Formats[0].Stored++ },
		"nothing was tried again":                 func(r *report) { r.Formats[0].Attempts-- },
		"an event was not processed":              func(r *report) { r.Formats[0].Processed-- },
		"an effect is there twice":                func(r *report) { r.Formats[0].Effects++ },
		"one effect is there twice, another not":  func(r *report) { r.Formats[0].Distinct-- },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good()
			r.check(1)
			require.True(t, r.OK, r.Problems)
			breakIt(r)
			r.check(1)
			require.False(t, r.OK)
		})
	}
}
