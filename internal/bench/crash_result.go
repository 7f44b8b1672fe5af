package main

import (
	"slices"
	"time"
)

func (c *crashRun) result() *result {
	r := newResult()
	times := map[string][]time.Time{}
	for _, a := range c.arrivals {
		times[a.ID] = append(times[a.ID], time.Unix(0, a.At))
	}
	lost := 0
	duplicated := 0
	inFlight := 0
	underWay := 0
	leaders := 0
	for id := range c.committed {
		if len(times[id]) == 0 {
			lost++
		}
	}
	for _, at := range times {
		duplicated += len(at) - 1
	}
	var resumed []float64
	for _, k := range c.killed {
		inFlight += k.inFlight
		underWay += len(k.underWay)
		if k.leader {
			leaders++
		}
		last := 0.0
		for _, id := range k.underWay {
			if i := slices.IndexFunc(times[id], k.at.Before); i >= 0 {
				last = max(last, times[id][i].Sub(k.at).Seconds())
			}
		}
		resumed = append(resumed, last)
	}
	r.figure("events", float64(len(c.committed)))
	r.figure("kills", float64(len(c.killed)))
	r.figure("kills_of_the_leader", float64(leaders))
	r.figure("under_way_at_kills", float64(underWay))
	r.figure("resume_seconds_median", median(resumed))
	r.ratio("lost", float64(lost))
	r.ratio("duplicated", float64(duplicated))
	r.ratio("in_flight_at_kills", float64(inFlight))
	r.ratio("resume_seconds_max", percentile(resumed, 100))
	return r
}
