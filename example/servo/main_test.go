package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/programtest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

// "go run ./example/servo | tail -n +3" makes the file.
func TestServosStoryIsTold(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run(), p.Stderr.String())

	require.Empty(t, p.Stderr.String())
	out := p.Stdout.String()
	want, err := os.ReadFile(filepath.Join("testdata", "story.txt"))
	require.NoError(t, err)
	_, told, _ := strings.Cut(out, "\nDatabase: ")
	_, told, _ = strings.Cut(told, "\n")
	require.Equal(t, string(want), told)
	p.RequireClean(out)
}

func TestServosStoryIsToldAsJSON(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Len(t, r.Adjustments, 4)
	require.Equal(t, tried{
		adjustment: adjustment{web, 9}, Made: false, Told: 0,
		Gates: map[string]string{budget: "vetoed: 9 replicas are beyond the budget of 6", onCall: "agreed"},
	}, r.Adjustments[1])
	p.RequireClean(p.Stderr.String())
}

func TestAnInterruptedStoryCleansUp(t *testing.T) {
	t.Parallel()
	programtest.New(t).RequireCleanInterrupt("ACT 3")
}
