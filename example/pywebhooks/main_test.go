package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

// "go run ./example/pywebhooks | tail -n +3" makes the file.
func TestPyWebhooks_TellsItsStory(t *testing.T) {
	t.Parallel()
	programtest.New(t).RequireTold()
}

func TestPyWebhooks_TellsItsStoryAsJSON(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Equal(t, 7, r.Triggered)
	require.Equal(t, map[string]string{"bob": "pending_verification", "mallory": "pending_verification"}, r.States)
	require.Equal(t, map[string]int{
		"ada's endpoint": 0, "bob's endpoint": 2, "bob's second endpoint": 5, "bob's third endpoint": 1, "mallory's endpoint": 0,
	}, r.Posts)
	p.RequireClean(p.Stderr.String())
}
