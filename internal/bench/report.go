package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
)

//go:embed report.md.tmpl
var reportTemplate string

// writeReport writes benchmarks.md into the folder of the documents, from the results
// in a file that -json has made. Of a scenario that is there more than once the last
// result counts.
func writeReport(file, docs string) error {
	results, err := readResults(file)
	if err != nil {
		return err
	}
	made := tables(results)
	tmpl, err := template.New("report").Funcs(template.FuncMap{
		"bars":   func(scenario string) string { return barTable(results[scenario], scenario) },
		"figure": func(scenario, name string) string { return readable(results[scenario].value(name)) },
		"table":  func(name string) string { return made[name].markdown() },
		"run":    func(scenario string) string { return runLine(results[scenario]) },
		"command": func(scenario string) string {
			return "    go run ./internal/bench -scenario " + scenario + sizeFlag(results[scenario])
		},
	}).Parse(reportTemplate)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := tmpl.Execute(&page, nil); err != nil {
		return err
	}
	const readableByAll = 0o644
	return os.WriteFile(filepath.Join(docs, "benchmarks.md"), page.Bytes(), readableByAll)
}

func readResults(file string) (map[string]*result, error) {
	in, err := os.Open(file) //nolint:gosec // whoever runs the report names it
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it is only read
	results := map[string]*result{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		results[r.Scenario] = &r
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for _, s := range scenarios() {
		if results[s.name] == nil {
			return nil, fmt.Errorf("%s has no result of %s: run -scenario all", file, s.name)
		}
	}
	return results, nil
}

// barTable has a row for each bar of a scenario.
func barTable(r *result, scenario string) string {
	var out bytes.Buffer
	printf(&out, "| ratio | measured | bar | reached |\n|---|---|---|---|\n")
	for _, b := range bars {
		if b.scenario != scenario {
			continue
		}
		reached := "no"
		if b.met(r) {
			reached = "yes"
		}
		printf(&out, "| `%s` | %s | %s | %s |\n", b.ratio, readable(r.value(b.ratio)), b.demand(), reached)
	}
	return out.String()
}

func sizeFlag(r *result) string {
	if r.Run.Size == full.String() {
		return ""
	}
	return " -" + r.Run.Size
}

func runLine(r *result) string {
	return fmt.Sprintf("%s, %d processors, Postgres %s, %s on %s, %s s", r.Run.At[:len("2006-01-02")], r.Run.CPUs, r.Run.Postgres,
		r.Run.Go, r.Run.OS, readable(r.Run.Seconds))
}

// readable is a number as people read it: 12,300; 4.2; 0.38.
func readable(value float64) string {
	const thousand = 1000
	switch {
	case value >= thousand:
		return fmt.Sprintf("%s,%03d", readable(float64(int64(value)/thousand)), int64(value)%thousand)
	case value >= 100, value == float64(int64(value)):
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}
