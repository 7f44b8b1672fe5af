package main

import (
	"fmt"
	"slices"
	"strings"
)

// table shows the figures of the variants of a scenario.
type table struct {
	title string // what a row is, with the unit of its figures
	names []string
	rows  []tableRow
	total bool // the sum of a row is a figure too
}

type tableRow struct {
	label   string
	figures []float64 // one for each name
}

// markdown is the table as it is written into the report.
func (t *table) markdown() string {
	names := t.names
	if t.total {
		names = append(slices.Clip(names), "in all")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| %s | %s |\n|---|%s\n", t.title, strings.Join(names, " | "), strings.Repeat("---:|", len(names)))
	for _, row := range t.rows {
		fmt.Fprintf(&out, "| %s |", row.label)
		sum := 0.0
		for _, figure := range row.figures {
			fmt.Fprintf(&out, " %s |", readable(figure))
			sum += figure
		}
		if t.total {
			fmt.Fprintf(&out, " %s |", readable(sum))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// tables are those of the report, by name.
func tables(results map[string]*result) map[string]*table {
	made := map[string]*table{}
	if r := results["deliver"]; r != nil {
		made["deliver"] = &table{
			title: "a second, more is better",
			names: []string{"deliveries"},
			rows:  r.rows([]string{"_per_s"}, deliverLabels...),
		}
		made["deliver_cpu"] = &table{
			title: "processor time of a delivery in µs, less is better",
			names: []string{"this process", "Postgres", "receiver"},
			rows:  r.rows([]string{"_cpu_us_engine", "_cpu_us_postgres", "_cpu_us_receiver"}, deliverLabels...),
			total: true,
		}
	}
	if r := results["enqueue"]; r != nil {
		c := &table{
			title: "transactions a second, more is better",
			names: []string{"row", "+ InsertTx", "+ Enqueue"},
		}
		for _, at := range [][2]string{{"1", "1 goroutine"}, {"8", "8 goroutines"}, {"32", "32 goroutines"}, {"8_processes", "8 processes"}} {
			c.rows = append(c.rows, tableRow{label: at[1], figures: []float64{
				r.Figures["row_"+at[0]+"_per_s"], r.Figures["river_"+at[0]+"_per_s"], r.Figures["ours_"+at[0]+"_per_s"],
			}})
		}
		made["enqueue"] = c
	}
	if r := results["steady"]; r != nil {
		made["steady"] = &table{
			title: "an event",
			names: []string{"a second", "µs of the producer", "of the engine", "of Postgres", "bytes of WAL", "rows written"},
			rows: r.rows([]string{"_per_s", "_cpu_us_producer", "_cpu_us_engine", "_cpu_us_postgres", "_wal_bytes", "_rows"},
				[][2]string{{"row", "row alone"}, {"river", "row, River, bare POST"}, {"ours_1", "row, webhook"}, {"ours_3", "row, 3 webhooks"}}...),
		}
	}
	if r := results["tenants"]; r != nil {
		made["tenants"] = tenantsTable(r)
	}
	percentiles := []string{"_p50_ms", "_p95_ms", "_p99_ms"}
	for _, d := range []struct {
		scenario string
		labels   [][2]string
	}{
		{"latency", [][2]string{
			{"one_hop_20", "one River job, 20/s"},
			{"ours_20", "webhook, 20/s"},
			{"one_hop_200", "one River job, 200/s"},
			{"ours_200", "webhook, 200/s"},
		}},
		{"neighbour", [][2]string{{"quiet", "alone"}, {"noisy", "beside bad endpoints"}}},
		{"backlog", [][2]string{{"quiet", "empty database"}, {"beside", "beside the backlog"}}},
	} {
		if r := results[d.scenario]; r != nil {
			made[d.scenario] = &table{
				title: "ms, less is better",
				names: []string{"p50", "p95", "p99"},
				rows:  r.rows(percentiles, d.labels...),
			}
		}
	}
	return made
}

// deliverLabels are the variants of the scenario deliver.
var deliverLabels = [][2]string{
	{"ceiling", "River, bare POSTs"},
	{"naive", "River, naive history"},
	{"fanout_1", "fan-out 1"},
	{"fanout_1_spread", "fan-out 1, 100 endpoints"},
	{"fanout_10", "fan-out 10"},
	{"fanout_100", "fan-out 100"},
	{"producers_fanout_1", "1, with producers"},
	{"producers_fanout_10", "10, with producers"},
	{"producers_fanout_100", "100, with producers"},
}

// rows has a row for each label, with the figures of its name with each suffix.
func (r *result) rows(suffixes []string, labels ...[2]string) []tableRow {
	var rows []tableRow
	for _, label := range labels {
		row := tableRow{label: label[1]}
		for _, suffix := range suffixes {
			row.figures = append(row.figures, r.Figures[label[0]+suffix])
		}
		rows = append(rows, row)
	}
	return rows
}
