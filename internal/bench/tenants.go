package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// loudTenant is a tenant that sends much, and how.
type loudTenant struct {
	name  string // of its figures
	label string

	answer        time.Duration // of its endpoints: the time until it
	before        bool          // its events are committed before the engines start
	bytes         int           // of the data of an event; 0: of the usual payload
	engines       int
	events        int
	maxInFlight   int // 0: the default
	subscriptions int
}

// tenantKinds are the kinds of loud tenants, each beside the same quiet ones. A quick
// run has those that told most.
func tenantKinds(b *bench) []loudTenant {
	var (
		slow  = of(b.size, 100*time.Millisecond, time.Second, 10*time.Second)
		many  = of(b.size, 50, 15_000, 60_000)
		kinds []loudTenant
	)
	add := func(quickly bool, k loudTenant) {
		if k.engines > 1 {
			k.name, k.label = fmt.Sprintf("%s_%d", k.name, k.engines), fmt.Sprintf("%s, %d engines", k.label, k.engines)
		}
		if (quickly || b.size == full) && b.only.MatchString(k.name) {
			kinds = append(kinds, k)
		}
	}
	for _, engines := range []int{1, 3} {
		one := engines == 1
		add(one, loudTenant{
			name:          "slow",
			label:         "a slow endpoint",
			answer:        slow,
			engines:       engines,
			events:        of(b.size, 10, 1500, 3000),
			maxInFlight:   maxInFlight,
			subscriptions: 1,
		})
		add(false, loudTenant{
			name:          "many",
			label:         "100 slow subscriptions",
			answer:        slow,
			engines:       engines,
			events:        100,
			subscriptions: 100,
		})
		add(false, loudTenant{
			name:          "fast",
			label:         "a fast endpoint",
			engines:       engines,
			events:        many,
			subscriptions: 1,
		})
		add(true, loudTenant{
			name:          "backlog",
			label:         "a backlog before the start",
			before:        true,
			engines:       engines,
			events:        many,
			subscriptions: 1,
		})
		add(false, loudTenant{
			name:          "large",
			label:         "large events, a slow endpoint",
			answer:        slow,
			bytes:         512 << 10,
			engines:       engines,
			events:        800,
			maxInFlight:   maxInFlight,
			subscriptions: 1,
		})
	}
	return kinds
}

// maxInFlight is the most that the zero Config lets a subscription ask for, and
// maxTimeout the longest.
const (
	maxInFlight = 128
	maxTimeout  = time.Minute
)

// p99Floor is what counts as the p99 of a quiet run that was faster. The loud tenant keeps
// all processors of the machine busy, which a quiet run has for itself; that a request waits for
// them is no want of a turn. With half of River's poll interval here, the bar of 2 is that interval.
const p99Floor = 50.0

// tenants measures what a loud tenant does to quiet ones: the latency of four tenants' events,
// together 10 a second (quick: 20), and the time of an application's questions to a gate that
// fails closed, a quarter as often, first alone, then beside the loud tenant's backlog; and
// how many requests a second the loud tenant gets meanwhile, and in the stretch after that, alone.
//
//   - p99_of_quiet: the p99 beside the loud tenant, of that of the quiet run or of 50 ms if
//     that was faster; the worst kind;
//   - ask_p99_of_quiet: the same of questions;
//   - loud_of_alone: what the loud tenant gets beside the quiet ones, of what it gets alone;
//     the worst kind;
//   - asks_unanswered: questions that got no answer in time.
func tenants(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, 2*time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	r := newResult()
	var worst, worstAsk, unanswered float64
	least := -1.0
	for _, kind := range tenantKinds(b) {
		t := &tenantsRun{loud: &kind}
		if err := t.run(ctx, b); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		quiet, beside := percentile(t.quiet.events, 99), percentile(t.beside.events, 99)
		asked, askedBeside := percentile(t.quiet.asks, 99), percentile(t.beside.asks, 99)
		b.sayf("  %s: quiet p99 %.1f ms, beside %.1f ms; questions %.1f and %.1f ms; loud %.0f/s alone, %.0f/s beside",
			kind.label, quiet, beside, asked, askedBeside, t.alone, t.together)
		r.figure(kind.name+"_quiet_p50_ms", median(t.quiet.events))
		r.figure(kind.name+"_quiet_p99_ms", quiet)
		r.figure(kind.name+"_beside_p50_ms", median(t.beside.events))
		r.figure(kind.name+"_beside_p99_ms", beside)
		r.figure(kind.name+"_ask_quiet_p99_ms", asked)
		r.figure(kind.name+"_ask_beside_p99_ms", askedBeside)
		r.figure(kind.name+"_loud_alone_per_s", t.alone)
		r.figure(kind.name+"_loud_beside_per_s", t.together)
		worst = max(worst, beside/max(quiet, p99Floor))
		worstAsk = max(worstAsk, askedBeside/max(asked, p99Floor))
		unanswered += float64(t.unanswered.Load())
		if t.alone > 0 && (least < 0 || t.together/t.alone < least) {
			least = t.together / t.alone
		}
	}
	r.ratio("p99_of_quiet", worst)
	r.ratio("ask_p99_of_quiet", worstAsk)
	r.ratio("loud_of_alone", least)
	r.ratio("asks_unanswered", unanswered)
	return r, nil
}

// tenantsTable shows the kinds that a result has.
func tenantsTable(r *result) *table {
	t := &table{
		title: "loud tenant",
		names: []string{"p99 alone, ms", "beside it", "question alone, ms", "beside it", "loud/s alone", "beside the quiet"},
	}
	for _, kind := range tenantKinds(&bench{size: full, only: regexp.MustCompile("")}) {
		if _, ok := r.Figures[kind.name+"_quiet_p99_ms"]; ok {
			t.rows = append(t.rows, r.rows([]string{
				"_quiet_p99_ms", "_beside_p99_ms", "_ask_quiet_p99_ms", "_ask_beside_p99_ms", "_loud_alone_per_s", "_loud_beside_per_s",
			}, [2]string{kind.name, kind.label})...)
		}
	}
	return t
}

// dataOf is data of about so many bytes; 0: of the usual size.
func dataOf(bytes int) json.RawMessage {
	if bytes == 0 {
		return payload
	}
	return json.RawMessage(`{"note":"` + strings.Repeat("lorem ipsum ", bytes/len("lorem ipsum ")) + `"}`)
}
