package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStats_PercentilesAreValuesThatWereMeasured(t *testing.T) {
	t.Parallel()

	values := []float64{5, 1, 4, 2, 3, 10, 9, 6, 8, 7}
	require.InDelta(t, 5, median(values), 0)
	require.InDelta(t, 10, percentile(values, 99), 0)
	require.InDelta(t, 1, percentile(values, 0), 0)
	require.InDelta(t, 10, percentile(values, 100), 0)
	require.Zero(t, median(nil))
	require.InDelta(t, 2, medianRatio([]float64{2, 4, 9}, []float64{1, 2, 3}), 0)
}

func TestStats_FiguresHaveFourDigits(t *testing.T) {
	t.Parallel()

	r := newResult()
	r.figure("large", 123456)
	r.figure("small", 0.0123456)
	require.Equal(t, map[string]float64{"large": 123500, "small": 0.01235}, r.Figures)
}
