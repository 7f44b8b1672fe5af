package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/example/internal/directory"
)

func (s *story) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	for i, act := range []struct {
		title, says string
		play        func(context.Context) error
	}{
		{"Two people are created", "Their events go to the receiving process in each dialect, and it processes them.", s.create},
		{"The receiving process is killed", "Ada is promoted. In each dialect the event is stored and the sender has no answer, and the " +
			"effect is written and not committed, when SIGKILL ends the process. Then Ben leaves.", s.kill},
		{"The receiving process is started again", "The engine sends again what had no answer, and the inbox begins again what was not " +
			"finished.", s.restart},
		{"Somebody else sends", "A request in each dialect is signed by another secret, or goes to another token.", s.forge},
	} {
		s.show.Act(i+1, act.title, act.says)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("act %d: %w", i+1, err)
		}
	}
	var err error
	if s.result.Formats, err = count(ctx, s.db.Pool); err != nil {
		return err
	}
	s.result.check(len(s.dialects))
	s.result.show(s.show)
	return nil
}

func (s *story) create(ctx context.Context) error {
	for _, p := range []directory.Person{
		{
			ID:     "ada",
			Name:   "Ada",
			Office: oun,
			Title:  "forecaster",
		},
		{
			ID:     "ben",
			Name:   "Ben",
			Office: oun,
			Title:  "observer",
		},
	} {
		err := s.commit(ctx, func(tx pgx.Tx) error {
			_, err := s.people.Create(ctx, tx, p)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.wait(ctx)
}

func (s *story) kill(ctx context.Context) error {
	if err := s.child.tell(sayHold); err != nil {
		return err
	}
	if _, err := s.child.hear(ctx); err != nil { // it is sayHolding
		return err
	}
	err := s.commit(ctx, func(tx pgx.Tx) error {
		_, err := s.people.Promote(ctx, tx, "ada", "lead forecaster")
		return err
	})
	if err != nil {
		return err
	}
	for held := &s.result.Killed; held.Unanswered < len(s.dialects) || held.Unfinished < len(s.dialects); {
		line, err := s.child.hear(ctx)
		if err != nil {
			return err
		}
		switch line {
		case sayUnanswered:
			held.Unanswered++
		case sayUnfinished:
			held.Unfinished++
		}
	}
	s.child.kill()
	s.child = nil
	s.show.Printf("It is dead: %d events without an answer, %d effects not committed.", s.result.Killed.Unanswered, s.result.Killed.Unfinished)
	return s.commit(ctx, func(tx pgx.Tx) error {
		_, err := s.people.Remove(ctx, tx, oun, "ben")
		return err
	})
}

func (s *story) restart(ctx context.Context) (err error) {
	// Others take a process for dead when it was silent for 15 s. This one we
	// have seen die, and need not wait.
	const silent = `UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE inbox`
	if _, err := s.db.Pool.Exec(ctx, silent); err != nil {
		return err
	}
	if s.child, err = startChild(ctx, s.task); err != nil {
		return err
	}
	return s.wait(ctx)
}

// commit runs f in a transaction of the directory.
func (s *story) commit(ctx context.Context, f func(tx pgx.Tx) error) error {
	s.result.Events++
	return pgx.BeginFunc(ctx, s.db.Pool, f)
}

// wait waits until all that was committed is delivered and processed.
func (s *story) wait(ctx context.Context) error {
	for {
		all, err := count(ctx, s.db.Pool)
		if err != nil {
			return err
		}
		if settled(all, s.result.Events) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not all is processed: %w: %+v", ctx.Err(), all)
		case <-time.After(lookAgain):
		}
	}
}
