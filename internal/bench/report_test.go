package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
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
		r.Scenario, r.Run = s.name, environment{At: "2026-01-02T03:04:05Z", Quick: true}
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

	drawn, err := filepath.Glob(filepath.Join(dir, "benchmarks", "*.svg"))
	require.NoError(t, err)
	for _, name := range drawn {
		require.Contains(t, string(page), "(benchmarks/"+filepath.Base(name)+")")
	}
	require.Len(t, drawn, strings.Count(string(page), ".svg)"))

	require.NoError(t, os.WriteFile(file, []byte(lines[0]), 0o600))
	require.ErrorContains(t, writeReport(file, dir), "has no result of")
}

func TestChart_IsWellFormedWhateverItsTexts(t *testing.T) {
	t.Parallel()

	c := &chart{
		title:  "a < b & c",
		unit:   `"µs"`,
		series: []string{"x", "y"},
		rows:   []chartRow{{label: "<one>", bars: []float64{1, 2000}}, {label: "none", bars: []float64{0, 0}}},
	}
	for _, stacked := range []bool{false, true} {
		c.stacked = stacked
		drawing := string(c.svg())
		decoder := xml.NewDecoder(strings.NewReader(drawing))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.Contains(t, drawing, "a &lt; b &amp; c")
	}
	require.Contains(t, string(c.svg()), "2,001")
}

func TestReport_NumbersAreReadable(t *testing.T) {
	t.Parallel()

	for want, value := range map[string]float64{
		"0": 0, "0.38": 0.3829, "1": 1, "4.25": 4.247, "12.3": 12.34, "123": 123.4, "1,234": 1234, "1,000,050": 1_000_050,
	} {
		require.Equal(t, want, readable(value))
	}
}
