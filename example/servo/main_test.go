package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

// "go run ./example/servo | tail -n +3" makes the file.
func TestServo_TellsItsStory(t *testing.T) {
	t.Parallel()
	programtest.New(t).RequireTold()
}

func TestServo_TellsItsStoryAsJSON(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Len(t, r.Adjustments, 4)
	require.Equal(t, tried{
		adjustment: adjustment{web, 9},
		Made:       false,
		Told:       0,
		Gates:      map[string]string{budget: "vetoed: 9 replicas are beyond the budget of 6", onCall: "agreed"},
	}, r.Adjustments[1])
	p.RequireClean(p.Stderr.String())
}

func TestServo_CleansUpWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	programtest.New(t).RequireCleanInterrupt("ACT 3")
}
