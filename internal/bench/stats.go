package main

import (
	"math"
	"slices"
	"time"
)

// median of no values is 0.
func median(values []float64) float64 { return percentile(values, 50) }

// percentile is the nearest value at or above p percent of the values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(int(math.Ceil(p/100*float64(len(sorted))))-1, 0)]
}

// medianRatio is the median of the ratios of each round.
func medianRatio(values, bases []float64) float64 {
	var ratios []float64
	for i := range min(len(values), len(bases)) {
		ratios = append(ratios, values[i]/bases[i])
	}
	return median(ratios)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
