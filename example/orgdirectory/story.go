package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/example/internal/directory"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

// actTime is what is left to a story that hangs; it takes two seconds.
const actTime = 30 * time.Second

// story is a run through the acts.
type story struct {
	*world

	act    string
	held   map[uuid.UUID]string // what deliveries were once held by
	result *report
	show   *console
	want   map[string]expected // by event
}

type act struct {
	title string
	says  string
	play  func(*story, context.Context) error
}

func acts() []act {
	return []act{
		{
			title: "A person is created, and the transaction commits",
			says:  "Ada, who is confidential, joins the office OUN. All above it hear of it, AMA beside it does not.",
			play:  (*story).createAndCommit,
		},
		{
			title: "A person is created, and the transaction rolls back",
			says:  "Nobody hears of it: no row, no job and no request remain.",
			play:  (*story).createAndRollBack,
		},
		{
			title: "People in two offices are deleted in one transaction, run from /",
			says:  "Each office hears of its own. The rows are gone: events and access are judged by what the intent recorded.",
			play:  (*story).deleteInTwoOffices,
		},
		{
			title: "A receiver fails twice and recovers",
			says:  "Ada is promoted. The badge desk answers 500, then 502; its schedule tries again after 0.1 s and 0.3 s.",
			play:  (*story).failTwice,
		},
		{
			title: "A subscription is paused and resumed",
			says:  "Dora joins AMA, whose manager's subscription is paused: the delivery is held until it is activated.",
			play:  (*story).pauseAndResume,
		},
	}
}

// playStory plays all acts, and checks at the end that no receiver was sent
// anything else.
func playStory(ctx context.Context, w *world, show *console, result *report) error {
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	s := &story{
		world:  w,
		result: result,
		show:   show,
		held:   map[uuid.UUID]string{},
		want:   map[string]expected{},
	}
	for i, a := range acts() {
		s.act = a.title
		show.Act(i+1, a.title, a.says)
		if err := a.play(s, ctx); err != nil {
			return fmt.Errorf("act %d: %w", i+1, err)
		}
	}
	result.checkRequests(w, s.want)
	show.receivers(result)
	return nil
}

func (s *story) createAndCommit(ctx context.Context) error {
	var created outbox.Result
	err := s.commit(ctx, func(tx pgx.Tx) (err error) {
		created, err = s.people.Create(ctx, tx, directory.Person{
			ID:           "ada",
			Name:         "Ada",
			Office:       oun,
			Title:        "forecaster",
			Confidential: true,
		})
		return err
	})
	if err != nil {
		return err
	}
	return s.expect(ctx, created, everyoneGot(president, head, payroll, ounManager).with(contractor, denied))
}

func (s *story) createAndRollBack(ctx context.Context) error {
	before, err := s.traces(ctx)
	if err != nil {
		return err
	}
	errNoBudget := errors.New("no budget for another forecaster")
	err = s.commit(ctx, func(tx pgx.Tx) error {
		if _, err := s.people.Create(ctx, tx, directory.Person{
			ID:     "ben",
			Name:   "Ben",
			Office: oun,
			Title:  "forecaster",
		}); err != nil {
			return err
		}
		return errNoBudget
	})
	if !errors.Is(err, errNoBudget) {
		return fmt.Errorf("the transaction was to fail: %w", err)
	}
	after, err := s.traces(ctx)
	if err != nil {
		return err
	}
	s.result.Expectf(before == after, "a transaction that was rolled back left something: before %+v, after %+v", before, after)
	s.show.Printf("Before the transaction: %s\nAfter it:               %s\n", before, after)
	return nil
}

func (s *story) deleteInTwoOffices(ctx context.Context) error {
	const insert = `INSERT INTO directory.person VALUES ('cleo', 'Cleo', $1, 'observer', false), ('carl', 'Carl', $2, 'observer', true)`
	if _, err := s.pool.Exec(ctx, insert, ama, oun); err != nil { // who was here before there were webhooks
		return err
	}
	var gone []outbox.Result
	err := s.commit(ctx, func(tx pgx.Tx) (err error) {
		gone, err = s.people.Remove(ctx, tx, hierarchy.Root, "carl", "cleo")
		return err
	})
	if err != nil {
		return err
	}
	if len(gone) != 2 {
		return fmt.Errorf("%d people were deleted", len(gone))
	}
	upTheHierarchy := everyoneGot(president, head, payroll)
	if err := s.expect(ctx, gone[0], upTheHierarchy.with(ounManager, "204").with(contractor, denied)); err != nil {
		return err
	}
	return s.expect(ctx, gone[1], upTheHierarchy.with(amaManager, "204").with(contractor, "204"))
}

func (s *story) failTwice(ctx context.Context) error {
	s.member(badgeDesk).receiver.Script(
		deliverytest.Answer{Status: http.StatusInternalServerError},
		deliverytest.Answer{Status: http.StatusBadGateway},
	)
	var promoted outbox.Result
	err := s.commit(ctx, func(tx pgx.Tx) (err error) {
		promoted, err = s.people.Promote(ctx, tx, "ada", "lead forecaster")
		return err
	})
	if err != nil {
		return err
	}
	return s.expect(ctx, promoted, everyoneGot(ounManager).with(badgeDesk, "500 502 204"))
}

func (s *story) pauseAndResume(ctx context.Context) error {
	manager := s.member(amaManager)
	if _, err := s.engine.Subscriptions().Pause(ctx, manager.sub.ID); err != nil {
		return err
	}
	before := len(manager.receiver.Requests())
	var created outbox.Result
	err := s.commit(ctx, func(tx pgx.Tx) (err error) {
		created, err = s.people.Create(ctx, tx, directory.Person{
			ID:     "dora",
			Name:   "Dora",
			Office: ama,
			Title:  "forecaster",
		})
		return err
	})
	if err != nil {
		return err
	}
	want := everyoneGot(president, head, payroll, contractor, amaManager)
	paused, err := s.waitHeld(ctx, created, manager, want.deliveries())
	if err != nil {
		return err
	}
	s.show.Printf("While it is paused the delivery to the %s is %s, held by: %s.\n", manager.name, paused.State, paused.Hold)
	s.result.Expectf(len(manager.receiver.Requests()) == before, "the %s was sent something while its subscription was paused", manager.name)

	if _, err := s.engine.Subscriptions().Activate(ctx, manager.sub.ID, nil); err != nil {
		return err
	}
	return s.expect(ctx, created, want)
}

// commit runs f in a transaction of the application.
func (s *story) commit(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, f)
}

// traces are what an event leaves: rows in the tables that an intent is written
// to, and requests.
type traces struct{ people, intents, jobs, requests int }

func (c traces) String() string {
	return fmt.Sprintf("%d people, %d intents, %d jobs, %d requests", c.people, c.intents, c.jobs, c.requests)
}

func (s *story) traces(ctx context.Context) (c traces, err error) {
	for _, m := range s.members {
		c.requests += len(m.receiver.Requests())
	}
	err = s.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM directory.person), (SELECT count(*) FROM riverhook.intent), (SELECT count(*) FROM riverhook.river_job)
	`).Scan(&c.people, &c.intents, &c.jobs)
	return c, err
}
