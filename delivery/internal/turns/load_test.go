package turns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func newLoad(workers, places int) *load {
	return &load{
		workers: workers,
		places:  places,
		shares:  map[string]int{},
	}
}

func TestLoad_IsBehindWhileHalfOfTheWorkersWereBusySinceTheLastLook(t *testing.T) {
	t.Parallel()
	l := newLoad(4, 8)
	require.False(t, l.begin("a"))
	behind, _, _ := l.look()
	require.False(t, behind)

	require.True(t, l.begin("a"), "the second of four")
	l.end("a")
	l.end("a")

	behind, _, _ = l.look()
	require.True(t, behind)
	behind, _, _ = l.look()
	require.False(t, behind)
	require.Empty(t, l.shares)
}

func TestLoad_WhatATurnTookDoesNotKeepItBehind(t *testing.T) {
	t.Parallel()
	l := newLoad(2, 8)
	for range 8 {
		l.take("a")
	}

	behind, room, _ := l.look()

	require.False(t, behind)
	require.Zero(t, room)
}

func TestLoad_TheLastHalfOfThePlacesIsForSharesWithNothingUnderWay(t *testing.T) {
	t.Parallel()
	l := newLoad(1000, 2*enough)
	for range enough - 1 {
		l.take("loud")
	}
	l.begin("worker")
	_, room, sated := l.look()
	require.Equal(t, enough+1, room)
	require.Empty(t, sated)

	l.begin("loud") // counts as well
	_, _, sated = l.look()
	require.Equal(t, []string{"loud"}, sated)
	l.take("other")

	_, _, sated = l.look()
	require.Equal(t, []string{"loud", "other", "worker"}, sated)
	l.giveBack("other")
	_, _, sated = l.look()
	require.Equal(t, []string{"loud"}, sated)
}
