package delivery

import (
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/seal"
)

// Cause is why a delivery or a decision is held that has nothing to do with its endpoint: a
// process lacks something that another may have, or could not ask. What is held for a cause
// has no River job. It goes on, in order, as soon as an engine has what was missing, or when a
// probe has shown that it can ask again: one of the rows that are held, after
// Config.Maintenance.ReevaluateAfter, and then a few of them after waits that double, up to 5
// minutes. It uses up no attempts, and ends after Config.Maintenance.MaxHold.
//
// Its Kind says what its Name is:
//
//   - "check": the checker of a kind of resources gave no answer;
//   - "checker": there is no checker for a kind of resources;
//   - "dialect": there is no dialect of that name;
//   - "key": the Sealer does not have the key of that id;
//   - "schedule": there is no schedule of that name;
//   - "sealer": the Sealer did not open a secret; named by a subscription if it is damaged;
//   - "tree": the tree could not say where the resource is; it has no name.
type Cause = attempt.Cause

// causeOf is a cause as it is stored; nil for none.
func causeOf(text string) *Cause {
	if text == "" {
		return nil
	}
	c := attempt.ParseCause(text)
	return &c
}

// newCauseProber makes what releases what is held for causes.
func newCauseProber(e *Engine) *maintain.CauseProber {
	return maintain.NewCauseProber(&maintain.CauseProberConfig{
		Adopt: e.taker.Adopt,
		First: e.cfg.Maintenance.ReevaluateAfter,
		Log:   e.log,
		Serve: e.serve,
		Store: e.frequent,
		Wait:  e.clock.TroubleWait,
	})
}

// serve says what this engine can do about a cause.
func (e *Engine) serve(c Cause) maintain.Service {
	has := false
	switch c.Kind {
	case attempt.CauseSealer, attempt.CauseTree:
		return maintain.Asks
	case attempt.CauseCheck:
		if e.cfg.Access.Registry.Has(c.Name) {
			return maintain.Asks
		}
	case attempt.CauseChecker:
		has = e.cfg.Access.Registry.Has(c.Name)
	case attempt.CauseDialect:
		_, has = e.cfg.Dialects.Get(c.Name)
	case attempt.CauseKey:
		keys, ok := e.cfg.Sealer.(seal.Rotating)
		if !ok {
			return maintain.Asks
		}
		has = keys.HasKey(c.Name)
	case attempt.CauseSchedule:
		_, has = e.schedules.named(c.Name)
	}
	if has {
		return maintain.Has
	}
	return maintain.Lacks
}
