package main

// charts are the drawings of the results, by the names of their files.
func charts(results map[string]*result) map[string]*chart {
	drawn := map[string]*chart{}
	if r := results["deliver"]; r != nil {
		drawn["deliver"] = &chart{
			title:  "Deliveries",
			unit:   "a second, more is better",
			series: []string{"deliveries"},
			rows:   r.rows([]string{"_per_s"}, deliverLabels...),
		}
		drawn["deliver_cpu"] = &chart{
			title:   "Processor time of a delivery",
			unit:    "µs, less is better",
			series:  []string{"this process", "Postgres", "receiver"},
			stacked: true,
			rows:    r.rows([]string{"_cpu_us_engine", "_cpu_us_postgres", "_cpu_us_receiver"}, deliverLabels...),
		}
	}
	if r := results["enqueue"]; r != nil {
		c := &chart{
			title:  "Transactions",
			unit:   "a second, more is better",
			series: []string{"row", "+ InsertTx", "+ Enqueue"},
		}
		for _, at := range [][2]string{{"1", "1 goroutine"}, {"8", "8 goroutines"}, {"32", "32 goroutines"}, {"8_processes", "8 processes"}} {
			c.rows = append(c.rows, chartRow{label: at[1], bars: []float64{
				r.Figures["row_"+at[0]+"_per_s"], r.Figures["river_"+at[0]+"_per_s"], r.Figures["ours_"+at[0]+"_per_s"],
			}})
		}
		drawn["enqueue"] = c
	}
	percentiles := []string{"_p50_ms", "_p95_ms", "_p99_ms"}
	for _, d := range []struct {
		scenario, title string
		labels          [][2]string
	}{
		{"latency", "From commit to arrival", [][2]string{
			{"one_hop_20", "one River job, 20/s"},
			{"ours_20", "webhook, 20/s"},
			{"one_hop_200", "one River job, 200/s"},
			{"ours_200", "webhook, 200/s"},
		}},
		{"neighbour", "A fast endpoint's latency", [][2]string{{"quiet", "alone"}, {"noisy", "beside bad endpoints"}}},
		{"backlog", "A fast endpoint's latency", [][2]string{{"quiet", "empty database"}, {"beside", "beside the backlog"}}},
	} {
		if r := results[d.scenario]; r != nil {
			drawn[d.scenario] = &chart{
				title:  d.title,
				unit:   "ms, less is better",
				series: []string{"p50", "p95", "p99"},
				rows:   r.rows(percentiles, d.labels...),
			}
		}
	}
	return drawn
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

// rows has a row for each label, whose bars are the figures of its name with
// each suffix.
func (r *result) rows(suffixes []string, labels ...[2]string) []chartRow {
	var rows []chartRow
	for _, label := range labels {
		row := chartRow{label: label[1]}
		for _, suffix := range suffixes {
			row.bars = append(row.bars, r.Figures[label[0]+suffix])
		}
		rows = append(rows, row)
	}
	return rows
}
