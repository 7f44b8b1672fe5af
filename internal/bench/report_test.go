package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport_ShowsEachScenarioWithItsBars(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	file := filepath.Join(dir, "results.jsonl")
	var lines []string
	for _, s := range scenarios() {
		r := newResult()
		r.Scenario, r.Run = s.name, environment{At: "2026-01-02T03:04:05Z", Size: "quick"}
		for _, b := range bars {
			if b.scenario == s.name {
				r.ratio(b.ratio, 1.5)
			}
		}
		line, err := json.Marshal(r)
		require.NoError(t, err)
		lines = append(lines, string(line))
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	require.NoError(t, writeReport(file, dir))

	page, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	require.NoError(t, err)
	for _, s := range scenarios() {
		require.Contains(t, string(page), "go run ./internal/bench -scenario "+s.name+" -quick\n")
	}
	require.Contains(t, string(page), "| `fanout_10_of_ceiling` | 1.50 | at least 1.40 | yes |\n")
	require.Contains(t, string(page), "| `fanout_100_of_ceiling` | 1.50 | at least 1.60 | no |\n")
	require.Contains(t, string(page), "| `lost` | 1.50 | at most 0 | no |\n")

	results := map[string]*result{}
	for _, scenario := range []string{"deliver", "enqueue", "latency", "neighbour", "tenants", "backlog"} {
		results[scenario] = newResult()
	}
	for name := range tables(results) {
		require.Contains(t, reportTemplate, `{{table "`+name+`"}}`)
	}
	require.Contains(t, string(page), "| processor time of a delivery in µs, less is better | this process | Postgres | receiver | in all |\n")

	require.NoError(t, os.WriteFile(file, []byte(lines[0]), 0o600))
	require.ErrorContains(t, writeReport(file, dir), "has no result of")
}

func TestTable_HasTheSumOfEachRowIfItIsWanted(t *testing.T) {
	t.Parallel()

	made := table{
		title: "µs",
		names: []string{"x", "y"},
		rows:  []tableRow{{label: "one", figures: []float64{1, 2000}}, {label: "none", figures: []float64{0, 0}}},
	}
	require.Equal(t, "| µs | x | y |\n|---|---:|---:|\n| one | 1 | 2,000 |\n| none | 0 | 0 |\n", made.markdown())
	made.total = true
	require.Equal(t, "| µs | x | y | in all |\n|---|---:|---:|---:|\n| one | 1 | 2,000 | 2,001 |\n| none | 0 | 0 | 0 |\n", made.markdown())
}

func TestReport_NumbersAreReadable(t *testing.T) {
	t.Parallel()

	for want, value := range map[string]float64{
		"0": 0, "0.38": 0.3829, "1": 1, "4.25": 4.247, "12.3": 12.34, "123": 123.4, "1,234": 1234, "1,000,050": 1_000_050,
	} {
		require.Equal(t, want, readable(value))
	}
}
