package main

// deliverResult has, of each variant, the medians of its rounds; the ratios are
// medians of the ratios of each round, whose variants ran after one another.
func deliverResult(runs []*deliverRun, costs map[string][]cost) *result {
	r := newResult()
	for _, v := range runs {
		rounds := costs[v.name]
		if len(rounds) == 0 {
			continue
		}
		of := func(f func(c cost) float64) float64 {
			var values []float64
			for _, c := range rounds {
				values = append(values, f(c))
			}
			return median(values)
		}
		r.figure(v.name+"_per_s", of(perSecond))
		r.figure(v.name+"_cpu_us_engine", of(func(c cost) float64 { return microseconds(c.engine) }))
		r.figure(v.name+"_cpu_us_postgres", of(func(c cost) float64 { return microseconds(c.postgres) }))
		r.figure(v.name+"_cpu_us_receiver", of(func(c cost) float64 { return microseconds(c.receiver) }))
		if len(v.laterJobs) > 0 {
			r.figure(v.name+"_later_jobs", median(v.laterJobs))
		}
		r.figure(v.name+"_wal_bytes", of(func(c cost) float64 { return c.wal }))
	}
	for _, ratio := range []struct{ name, of, base string }{
		{"fanout_1_of_ceiling", "fanout_1", "ceiling"},
		{"fanout_10_of_ceiling", "fanout_10", "ceiling"},
		{"fanout_100_of_ceiling", "fanout_100", "ceiling"},
		{"fanout_1_of_naive", "fanout_1", "naive"},
		{"fanout_10_of_naive", "fanout_10", "naive"},
	} {
		var ratios []float64
		for i, base := range costs[ratio.base] {
			if i < len(costs[ratio.of]) {
				ratios = append(ratios, perSecond(costs[ratio.of][i])/perSecond(base))
			}
		}
		if len(ratios) > 0 {
			r.ratio(ratio.name, median(ratios))
		}
	}
	return r
}

// perSecond of the cost of one.
func perSecond(c cost) float64 { return 1 / c.elapsed.Seconds() }
