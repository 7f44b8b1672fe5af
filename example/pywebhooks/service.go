package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const tables = `
	CREATE SCHEMA pywebhooks;
	CREATE TABLE pywebhooks.account (username text PRIMARY KEY, endpoint text NOT NULL);
	CREATE TABLE pywebhooks.registration (event text PRIMARY KEY, owner text NOT NULL, event_data json NOT NULL);`

// registrationKind is the kind of resource that events are about.
const registrationKind = "registration"

var errNotYours = errors.New("you don't have access to this registration or it no longer exists")

// service is the application: PyWebhooks without its HTTP API.
type service struct {
	events *outbox.Client
	pool   *pgxpool.Pool
	subs   *subscription.Store
	types  *outbox.EventTypes
}

// Check implements access.Checker: whoever has an account may hear of any
// registration.
func (s *service) Check(ctx context.Context, r access.Request) error {
	var known bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pywebhooks.account WHERE username = $1)`, r.Principal).Scan(&known)
	if err == nil && !known {
		err = access.ErrUnknownPrincipal
	}
	return err
}

func (s *service) createAccount(ctx context.Context, username, endpoint string) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO pywebhooks.account VALUES ($1, $2)`, username, endpoint)
	return err
}

// register makes an event that its owner can trigger. Its data is the same each time.
func (s *service) register(ctx context.Context, owner, event, description, data string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.types.In(tx).Register(ctx, outbox.EventType{Name: event, Description: description}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO pywebhooks.registration VALUES ($1, $2, $3)`, event, owner, data)
		return err
	})
}

// subscribe has the endpoint of an account hear of an event. The engine's store
// requires an echo of it.
func (s *service) subscribe(ctx context.Context, username, event string) (*subscription.Created, error) {
	spec := subscription.Spec{
		Name:         username,
		Owner:        username,
		Events:       []string{event},
		Dialect:      "pywebhooks",
		Schedule:     "pywebhooks",
		Deactivation: &subscription.DeactivationRules{Failures: mostFailures},
	}
	err := s.pool.QueryRow(ctx, `SELECT endpoint FROM pywebhooks.account WHERE username = $1`, username).Scan(&spec.URL)
	if err != nil {
		return nil, err
	}
	return s.subs.Create(ctx, spec)
}

// trigger tells all who have subscribed, and returns the event's id.
func (s *service) trigger(ctx context.Context, username, event string) (id string, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var data json.RawMessage
		const find = `SELECT event_data FROM pywebhooks.registration WHERE event = $1 AND owner = $2`
		if err := tx.QueryRow(ctx, find, event, username).Scan(&data); errors.Is(err, pgx.ErrNoRows) {
			return errNotYours
		} else if err != nil {
			return err
		}
		enqueued, err := s.events.Enqueue(ctx, tx, outbox.Intent{
			Type:     event,
			Actor:    username,
			Resource: access.Resource{Kind: registrationKind, ID: event},
			Data:     data,
		})
		id = enqueued.ID
		return err
	})
	return id, err
}

// changeEndpoint gives an account another endpoint, which has to prove itself like
// the first.
func (s *service) changeEndpoint(ctx context.Context, username, endpoint string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE pywebhooks.account SET endpoint = $2 WHERE username = $1`, username, endpoint); err != nil {
			return err
		}
		page, err := s.subs.In(tx).List(ctx, &subscription.ListOpts{Owner: username})
		if err != nil {
			return err
		}
		for _, sub := range page.Subscriptions {
			if _, err := s.subs.In(tx).Update(ctx, sub.ID, subscription.Update{URL: &endpoint}); err != nil {
				return err
			}
			// One that has failed too often is given another chance.
			if _, err := s.subs.In(tx).Activate(ctx, sub.ID, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeAccount takes all that belongs to an account along.
func (s *service) removeAccount(ctx context.Context, username string) (subscriptions int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM pywebhooks.registration WHERE owner = $1`, username); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM pywebhooks.account WHERE username = $1`, username); err != nil {
			return err
		}
		subscriptions, err = s.subs.In(tx).DeleteByOwner(ctx, username, nil)
		return err
	})
	return subscriptions, err
}
