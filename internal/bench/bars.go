package main

// bar is what a ratio, or a figure, has to reach.
type bar struct {
	scenario string
	ratio    string
	atLeast  float64
	atMost   float64 // where atLeast is 0
	than     string  // another ratio that it must not exceed
}

// bars were set for two processors before anything was measured.
var bars = []bar{
	{
		scenario: "deliver",
		ratio:    "fanout_1_of_ceiling",
		atLeast:  0.65,
	},
	{
		scenario: "deliver",
		ratio:    "fanout_10_of_ceiling",
		atLeast:  1.4,
	},
	{
		scenario: "deliver",
		ratio:    "fanout_100_of_ceiling",
		atLeast:  1.6,
	},
	{
		scenario: "deliver",
		ratio:    "fanout_1_of_naive",
		atLeast:  1.7,
	},
	{
		scenario: "deliver",
		ratio:    "fanout_10_of_naive",
		atLeast:  3.5,
	},
	{
		scenario: "enqueue",
		ratio:    "enqueue_of_river_8",
		atLeast:  1.1,
	},
	{
		scenario: "enqueue",
		ratio:    "extra_round_trips",
		atMost:   0,
	},
	{
		scenario: "steady",
		ratio:    "steady_of_river",
		atLeast:  0.9,
	},
	{
		scenario: "steady",
		ratio:    "server_cpu_of_river",
		atMost:   1.2,
	},
	{
		scenario: "latency",
		ratio:    "p50_of_one_hop_20",
		atMost:   2,
	},
	{
		scenario: "latency",
		ratio:    "p50_ms_20",
		atMost:   4,
	},
	{
		scenario: "latency",
		ratio:    "ours_20_p99_ms",
		atMost:   20,
	},
	{
		scenario: "neighbour",
		ratio:    "p50_of_quiet",
		atMost:   2,
	},
	{
		scenario: "neighbour",
		ratio:    "p99_of_quiet",
		atMost:   2,
	},
	{
		scenario: "tenants",
		ratio:    "p99_of_quiet",
		atMost:   2,
	},
	{
		scenario: "tenants",
		ratio:    "ask_p99_of_quiet",
		atMost:   2,
	},
	{
		scenario: "tenants",
		ratio:    "loud_of_alone",
		atLeast:  0.9,
	},
	{
		scenario: "tenants",
		ratio:    "asks_unanswered",
		atMost:   0,
	},
	{
		scenario: "crash",
		ratio:    "lost",
		atMost:   0,
	},
	{
		scenario: "crash",
		ratio:    "duplicated",
		than:     "in_flight_at_kills",
	},
	{
		scenario: "crash",
		ratio:    "resume_seconds_max",
		atMost:   60,
	},
	{
		scenario: "backlog",
		ratio:    "worker_rss_mb",
		atMost:   200,
	},
	{
		scenario: "backlog",
		ratio:    "p50_of_quiet",
		atMost:   2,
	},
	{
		scenario: "backlog",
		ratio:    "resolve_100k_of_100",
		atMost:   1.5,
	},
	{
		scenario: "backlog",
		ratio:    "river_rewrites_per_held_hour",
		atMost:   1,
	},
	{
		scenario: "backlog",
		ratio:    "round_rows_of_few",
		atMost:   2,
	},
	{
		scenario: "resolve",
		ratio:    "filtered_of_plain",
		atMost:   1.5,
	},
	{
		scenario: "resolve",
		ratio:    "validation_of_unmarshal",
		atMost:   5,
	},
}

// demand is the bar in words.
func (b bar) demand() string {
	switch {
	case b.atLeast > 0:
		return "at least " + readable(b.atLeast)
	case b.than != "":
		return "at most `" + b.than + "`"
	default:
		return "at most " + readable(b.atMost)
	}
}

func (b bar) met(r *result) bool {
	value := r.value(b.ratio)
	switch {
	case b.atLeast > 0:
		return value >= b.atLeast
	case b.than != "":
		return value <= r.Ratios[b.than]
	default:
		return value <= b.atMost
	}
}
