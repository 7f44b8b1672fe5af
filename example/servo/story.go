package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/seal"
)

const (
	askTime   = 3 * time.Second
	storyTime = 30 * time.Second // it takes about seven

	web = "web"
)

type story struct {
	budgetHangs atomic.Bool
	channels    *channels
	optimizer   *optimizer
	receivers   map[string]*deliverytest.Receiver
	result      *report
	secret      dialect.Secret
	show        *program.Console
}

func newStory(ctx context.Context, pool *pgxpool.Pool, show *program.Console, result *report) (*story, error) {
	if _, err := pool.Exec(ctx, tables); err != nil {
		return nil, err
	}
	keys, err := seal.NewKeyset(seal.NewKey()) // thrown away with the database
	if err != nil {
		return nil, err
	}
	answers := &channels{}
	engine, err := delivery.New(pool, &delivery.Config{
		Timeouts: delivery.Timeouts{Ask: askTime},
		Hooks:    delivery.Hooks{DeliveryDelivered: answers.handOn},
		Egress:   deliverytest.LocalPolicy(), // the receivers are on this machine; leave it out in production
		Logger:   slog.New(slog.DiscardHandler),
		Sealer:   keys,
	})
	if err != nil {
		return nil, err
	}
	answers.subscriptions = engine.Subscriptions()
	s := &story{
		channels:  answers,
		optimizer: &optimizer{engine: engine, pool: pool},
		receivers: map[string]*deliverytest.Receiver{},
		result:    result,
		show:      show,
	}
	err = s.listen() //nolint:contextcheck // receivers last until they are closed
	return s, err
}

func (s *story) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	for i, act := range []struct {
		title, says string
		play        func(context.Context) error
	}{
		{"Webhooks are configured", "By a file in servo's form: two want to be asked before an adjustment, two told afterwards.", s.subscribe},
		{"Both gates agree", "Its event is written in the same transaction. What the planner answers is handed on.", s.agree},
		{"The budget gate vetoes", "It was asked with the parameters. Nothing is changed, and nothing told.", s.veto},
		{"The budget gate hangs", "It fails open: when the time is over, the adjustment is made all the same.", s.hang},
		{"The on-call gate is down", "It fails closed: nobody said no, and the adjustment is not made.", s.down},
		{"The history is asked", "Questions are in it, also those that nobody answered.", s.history},
	} {
		s.show.Act(i+1, act.title, act.says)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("act %d: %w", i+1, err)
		}
		s.show.Printf("")
	}
	return nil
}

func (s *story) subscribe(ctx context.Context) error {
	for range 2 { // the second time nothing is left to do
		plan, err := s.configure(ctx)
		if err != nil {
			return err
		}
		s.show.Printf("%s", strings.TrimSuffix(plan.String(), "\n"))
	}
	return nil
}

func (s *story) agree(ctx context.Context) error { return s.try(ctx, 4, nil) }

func (s *story) veto(ctx context.Context) error { return s.try(ctx, 9, delivery.ErrVetoed) }

func (s *story) hang(ctx context.Context) error {
	s.budgetHangs.Store(true)
	defer s.budgetHangs.Store(false)
	return s.try(ctx, 5, nil)
}

func (s *story) down(ctx context.Context) error {
	s.receivers[onCall].Close()
	return s.try(ctx, 6, delivery.ErrUnanswered)
}

// try has an adjustment made, sends what is due, as a started engine does by itself,
// and compares what came of it with what was to.
func (s *story) try(ctx context.Context, replicas int, want error) error {
	before, err := s.optimizer.replicas(ctx, web)
	if err != nil {
		return err
	}
	t := tried{adjustment: adjustment{web, replicas}, Gates: map[string]string{}}
	told := len(s.receivers[dashboard].Requests())
	answer, refusal := s.optimizer.adjust(ctx, t.adjustment)
	s.result.Expectf(errors.Is(refusal, want), "%d replicas: %v, not %v", replicas, refusal, want)
	if answer == nil {
		return refusal
	}
	for _, g := range answer.Gates {
		t.Gates[g.Name] = strings.TrimSuffix(fmt.Sprintf("%s: %s", g.Outcome, g.Reason), ": ")
		s.show.Printf("%-10s%s", g.Name, t.Gates[g.Name])
	}
	if _, err := s.optimizer.engine.RunDue(ctx); err != nil {
		return err
	}
	now, err := s.optimizer.replicas(ctx, web)
	if err != nil {
		return err
	}
	requests := s.receivers[dashboard].Requests()[told:]
	t.Made, t.Told = now == replicas, len(requests)
	s.result.Expectf(t.Made == (want == nil) && (t.Made || now == before), "%d replicas: there are %d", replicas, now)
	s.result.Expectf((t.Told == 1) == t.Made, "%d replicas: the dashboard was told %d times", replicas, t.Told)
	s.show.Printf("web has %d replicas: before %d, wanted %d", now, before, replicas)
	for _, r := range requests {
		s.result.Expectf(r.Err == nil && r.Header.Get("X-Servo-Signature") != "", "the dashboard was told, but: %v", r.Err)
		body, _, _ := strings.Cut(string(r.Body), `, "created_at"`)
		s.show.Printf("%-10stold, and X-Servo-Signature verified: %s, ...", dashboard, body)
	}
	s.result.Adjustments = append(s.result.Adjustments, t)
	s.tellAnswers(t.Made)
	return nil
}

// tellAnswers shows what was published on the response channel.
func (s *story) tellAnswers(wanted bool) {
	answers, errs := s.channels.take()
	s.result.Expectf(len(errs) == 0, "answers were not handed on: %v", errs)
	s.result.Expectf((len(answers) == 1) == wanted, "%d answers were handed on", len(answers))
	for _, a := range answers {
		s.show.Printf("%-10son channel %q, %s: %s", planner, a.Channel, a.ContentType, a.Body)
	}
}

func (s *story) history(ctx context.Context) error {
	all, err := s.optimizer.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{EventType: "before:**"})
	if err != nil {
		return err
	}
	t := program.NewTable("question", "put to", "outcome", "reason")
	for _, d := range slices.Backward(all.Deliveries) {
		t.Add(d.EventType, d.SubscriptionName, string(d.LastOutcome), d.Reason)
	}
	s.result.Expectf(len(all.Deliveries) == 2*len(s.result.Adjustments), "the history has %d questions", len(all.Deliveries))
	s.show.Printf("%s", strings.TrimSuffix(t.String(), "\n"))
	return nil
}
