package main

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
)

// result is what a scenario found. The names in Ratios are fixed: the bars are
// set on them.
type result struct {
	Scenario string             `json:"scenario"`
	Figures  map[string]float64 `json:"figures"`
	Ratios   map[string]float64 `json:"ratios"`
	Run      environment        `json:"run"`
}

// environment says where and how a result came about.
type environment struct {
	At       string  `json:"at"`
	CPUs     int     `json:"cpus"`
	Go       string  `json:"go"`
	OS       string  `json:"os"`
	Postgres string  `json:"postgres"`
	Seconds  float64 `json:"seconds"`
	Size     string  `json:"size"` // full, or the flag of the command
}

func newResult() *result {
	return &result{Figures: map[string]float64{}, Ratios: map[string]float64{}}
}

// figure keeps four significant digits: more would be noise.
func (r *result) figure(name string, value float64) { r.Figures[name] = significant(value) }

// ratio is a figure that a bar is set on.
func (r *result) ratio(name string, value float64) { r.Ratios[name] = significant(value) }

// value is the ratio or else the figure of this name.
func (r *result) value(name string) float64 {
	if value, ok := r.Ratios[name]; ok {
		return value
	}
	return r.Figures[name]
}

func significant(value float64) float64 {
	const digits = 4
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', digits, 64), 64)
	if err != nil {
		return value
	}
	return rounded
}

func (r *result) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	printf(table, "%s (%s, %d CPUs, Postgres %s, %s, %.0f s)\n", r.Scenario, r.Run.Size, r.Run.CPUs, r.Run.Postgres, r.Run.Go, r.Run.Seconds)
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		printf(table, "%s\t%s\t\n", name, number(r.Figures[name]))
	}
	printf(table, "ratios:\n")
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		printf(table, "%s\t%s\t\n", name, number(r.Ratios[name]))
	}
	return table.Flush()
}

func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
