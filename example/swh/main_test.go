package main

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/example/internal/programtest"
	"github.com/riverhook/riverhook/outbox"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

// "go run ./example/swh | tail -n +3" makes the file.
func TestSWH_TellsItsStory(t *testing.T) {
	t.Parallel()
	programtest.New(t).RequireTold()
}

func TestSWH_TellsItsStoryAsJSON(t *testing.T) {
	t.Parallel()
	p := programtest.New(t)

	require.Zero(t, p.Run("-json"), p.Stderr.String())

	var r report
	p.Report(&r)
	require.True(t, r.OK)
	require.Empty(t, r.Problems)
	require.Len(t, r.Refused, 5)
	require.Len(t, r.Sent, 8)
	require.Equal(t, sent{
		Event:         "zlib-2",
		Type:          "origin.visit",
		SchemaVersion: 2,
		To:            []string{registry, zlibMirror},
	}, r.Sent[4])
	p.RequireClean(p.Stderr.String())
}

func TestSWH_FindsWhatShouldHaveBeenRefused(t *testing.T) {
	t.Parallel()
	for err, ok := range map[error]bool{nil: false, errors.New("no connection"): false, outbox.ErrInvalidIntent: true} {
		s := &story{result: newReport(), show: &program.Console{Out: io.Discard}}
		s.refused(err)
		require.Equal(t, ok, s.result.OK, err)
	}
}
