package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

// mayDelete is what is asked before ada is deleted.
func mayDelete() delivery.Question {
	return delivery.Question{
		Type:     "user.delete",
		Site:     "/noaa/nws/oun",
		Resource: ada,
		Actor:    "grace",
		Data:     map[string]string{"name": "Ada"},
	}
}

// gate subscribes a receiver to questions, as change leaves it.
func (b *bundle) gate(r *deliverytest.Receiver, change func(spec *subscription.Spec)) uuid.UUID {
	b.t.Helper()
	return b.subscribe(r, func(spec *subscription.Spec) {
		spec.Events = []string{"before:**"}
		if change != nil {
			change(spec)
		}
	}).ID
}

func failClosed(spec *subscription.Spec) { spec.FailClosed = true }

// said are the outcomes and reasons of gates.
func said(gates []delivery.Gate) []string {
	texts := make([]string, len(gates))
	for i, g := range gates {
		texts[i] = strings.TrimSuffix(string(g.Outcome)+": "+g.Reason, ": ")
	}
	return texts
}

func TestAsk_WhatAllGatesAgreeToMayBeDone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	answer, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.Equal(t, &delivery.Answer{}, answer, "nobody is asked")
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent`))

	r := b.receiver(nil)
	exact := b.gate(r, func(spec *subscription.Spec) { spec.Events = []string{"before:user.delete", "order.*"} })
	above := b.gate(r, func(spec *subscription.Spec) { spec.Site, spec.Dialect = "/noaa", "cloudevents" })
	for _, deaf := range []func(spec *subscription.Spec){
		func(spec *subscription.Spec) { spec.Events = []string{"**", "user.delete"} },
		func(spec *subscription.Spec) { spec.Events = []string{"before:user.create"} },
		func(spec *subscription.Spec) { spec.Channels = []string{"other"} },
		func(spec *subscription.Spec) { spec.Site = "/noaa/nws/mfl" },
	} {
		b.gate(r, deaf)
	}

	answer, err = engine.Ask(t.Context(), mayDelete())

	require.NoError(t, err)
	require.NoError(t, answer.Unrecorded)
	require.Equal(t, []string{"agreed", "agreed"}, said(answer.Gates))
	require.Equal(t, []uuid.UUID{exact, above}, []uuid.UUID{answer.Gates[0].SubscriptionID, answer.Gates[1].SubscriptionID})
	sent := r.Requests()
	require.Len(t, sent, 2)
	i := slices.IndexFunc(sent, func(req deliverytest.Request) bool { return req.Header.Get("Content-Type") == "application/json" })
	require.Equal(t, answer.ID, sent[i].ID())
	require.Contains(t, string(sent[i].Body), `{"type":"before:user.delete",`)
	require.Contains(t, string(sent[i].Body), `"data":{"name":"Ada"}}`)
	require.Contains(t, string(sent[1-i].Body), `"type":"before:user.delete"`)
}

func TestAsk_AVetoNamesItsReasonAndItsSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	agrees := b.receiver(nil)
	b.gate(agrees, nil)
	hold := b.gate(b.always(deliverytest.Veto("legal hold")), func(spec *subscription.Spec) { spec.Name = "legal" })
	audit := b.gate(b.always(deliverytest.Answer{
		Header: http.Header{"Content-Type": {"Application/vnd.opsani.servo.errors.cancelEventError+json; charset=utf-8"}},
		Body:   []byte(`{"reason":"audit\u202e\n  runs\u0000", "code": 1}`),
	}), nil)
	silent := b.gate(b.always(deliverytest.Answer{Status: 500}), failClosed)

	answer, err := b.engine(nil).Ask(t.Context(), mayDelete())

	require.ErrorIs(t, err, delivery.ErrVetoed)
	require.NotErrorIs(t, err, delivery.ErrUnanswered, "a veto stands, whatever the others say")
	var vetoed *delivery.VetoError
	require.ErrorAs(t, err, &vetoed)
	require.Equal(t, answer.ID, vetoed.ID)
	require.Equal(t, answer.Gates[1:3], vetoed.Vetoes)
	require.Equal(t, []string{"agreed", "vetoed: legal hold", "vetoed: audit runs", "unanswered: it answered 500"}, said(answer.Gates))
	require.Equal(t, fmt.Sprintf(`delivery: question %s: vetoed by "legal" (%s): legal hold; subscription %s: audit runs`,
		answer.ID, hold, audit), err.Error())
	require.Equal(t, silent, answer.Gates[3].SubscriptionID)
	require.Len(t, agrees.Requests(), 1)
}

// What is a veto, and what it says.
func TestAsk_TellsAVetoFromAgreement(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	cancel := http.Header{"Content-Type": {dialect.ContentTypeCancel}}
	want := []string{}
	for _, c := range []struct {
		answer deliverytest.Answer
		want   string
	}{
		{deliverytest.Answer{}, "agreed"},
		{deliverytest.Answer{Status: 202, Body: []byte(`{"reason":"none"}`)}, "agreed"},
		{deliverytest.Answer{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"reason":"none"}`)}, "agreed"},
		{deliverytest.Answer{Header: cancel, Body: []byte(`{"reason":"no"}`)}, "vetoed: no"},
		{deliverytest.Answer{
			Header: cancel,
			Status: 201,
			Body:   []byte(`{"reason":"no"}`),
		}, "vetoed: no"},
		{deliverytest.Answer{Header: cancel, Status: 204}, "vetoed: the reason could not be read"},
		{deliverytest.Answer{Header: cancel, Body: []byte(`{"why":"no"}`)}, "vetoed: no reason given"},
		{deliverytest.Answer{Header: cancel, Body: []byte(`{"reason":`)}, "vetoed: the reason could not be read"},
		{deliverytest.Answer{Header: cancel, Body: []byte(`{"reason":["no"]}`)}, "vetoed: the reason could not be read"},
		// With a body that breaks off or never ends the header has been said.
		{deliverytest.Answer{
			Header:   cancel,
			Body:     []byte(`{"reason":"no"`),
			Truncate: true,
		}, "vetoed: the reason could not be read"},
		{deliverytest.Answer{
			Header: cancel,
			Body:   []byte(` `),
			Drip:   time.Millisecond,
		}, "vetoed: the reason could not be read"},
		{
			deliverytest.Answer{Header: cancel, Body: []byte(`{"reason":"` + strings.Repeat("n", 501) + `"}`)},
			"vetoed: " + strings.Repeat("n", 500) + "...",
		},
		{
			deliverytest.Answer{Header: cancel, Body: []byte(`{"reason":"` + strings.Repeat("n", 1<<20) + `"}`)},
			"vetoed: the reason could not be read",
		},
		{deliverytest.Answer{
			Status: 403,
			Header: cancel,
			Body:   []byte(`{"reason":"no"}`),
		}, "unanswered: it answered 403"},
		{deliverytest.Answer{Status: 302, Header: http.Header{"Location": {"/"}}}, "unanswered: it answered 302"},
		{deliverytest.Answer{Close: true}, "unanswered: closed: connection closed before the answer"},
		{
			deliverytest.Answer{Raw: []byte("no")},
			`unanswered: protocol: net/http: HTTP/1.x transport connection broken: malformed HTTP response "no"`,
		},
	} {
		b.gate(b.always(c.answer), func(spec *subscription.Spec) { spec.Timeout = 2 * time.Second })
		want = append(want, c.want)
	}

	answer, err := b.engine(nil).Ask(t.Context(), mayDelete())

	require.ErrorIs(t, err, delivery.ErrVetoed)
	require.Equal(t, want, said(answer.Gates))
}

// A gate that cannot be asked, or does not answer: those that fail closed stop what
// was asked about, those that fail open do not, and both are recorded.
func TestAsk_AGateThatDoesNotAnswerFailsOpenOrClosed(t *testing.T) {
	t.Parallel()
	nobody := deliverytest.NewReceiver(t, nil)
	nobody.Close()
	never := func(context.Context, access.Request) error { return errors.New("the directory is down") }
	for name, c := range map[string]struct {
		answer  deliverytest.Answer
		change  func(spec *subscription.Spec)
		checker access.Checker
		before  func(b *bundle, sub uuid.UUID)
		says    string
		outcome string
	}{
		"timeout": {
			answer:  deliverytest.Answer{Hang: true},
			says:    "unanswered: timeout: no answer in time",
			outcome: "cancelled timeout",
		},
		"500": {
			answer:  deliverytest.Answer{Status: 500},
			says:    "unanswered: it answered 500",
			outcome: "cancelled failed",
		},
		"410": {
			answer:  deliverytest.Answer{Status: 410},
			says:    "unanswered: it answered 410",
			outcome: "cancelled gone",
		},
		"refused": {
			change:  func(spec *subscription.Spec) { spec.URL = nobody.URL() },
			says:    "unanswered: refused: connection refused",
			outcome: "cancelled unreachable",
		},
		"circuit open": {
			before: func(b *bundle, sub uuid.UUID) {
				b.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened)
					VALUES ($1, 1, now() + interval '1 h', 1)`, sub)
			},
			says: "unanswered: the endpoint is failing",
		},
		"undecidable": {
			checker: access.CheckerFunc(never),
			says:    `unanswered: access could not be decided: access: default checker: the directory is down`,
		},
		"no dialect": {
			before: func(b *bundle, sub uuid.UUID) {
				b.exec(`UPDATE riverhook.subscription SET dialect = 'lost' WHERE id = $1`, sub)
			},
			says: `unanswered: no dialect "lost" in the process that tried`,
		},
		"no key": {
			before: func(b *bundle, sub uuid.UUID) {
				b.exec(`UPDATE riverhook.secret SET value = '\x00' WHERE subscription_id = $1`, sub)
			},
			says: "unanswered: its signing secret cannot be opened in the process that tried",
		},
		// Those below have no say.
		"denied": {checker: accesstest.Deny(), says: `not_asked: "owner" may not view the resource`},
		"unknown owner": {
			checker: access.CheckerFunc(func(context.Context, access.Request) error { return access.ErrUnknownPrincipal }),
			says:    `not_asked: there is no principal "owner"`,
		},
		"paused": {
			before: func(b *bundle, sub uuid.UUID) { b.pause(sub) }, says: "not_asked: the subscription is paused",
		},
		"deactivated": {
			before: func(b *bundle, sub uuid.UUID) { b.deactivate(sub, "spring") },
			says:   "not_asked: the subscription is deactivated: spring",
		},
	} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/closed=%t", name, closed), func(t *testing.T) {
				t.Parallel()
				b := newBundle(t)
				r := b.always(c.answer)
				sub := b.gate(r, func(spec *subscription.Spec) {
					spec.FailClosed = closed
					if c.change != nil {
						c.change(spec)
					}
				})
				if c.before != nil {
					c.before(b, sub)
				}
				engine := b.engine(func(cfg *delivery.Config) {
					if c.checker != nil {
						cfg.Access.Registry = b.checkers(c.checker)
					}
				})
				q := mayDelete()
				if name == "timeout" {
					q.Timeout = 300 * time.Millisecond
				}

				answer, err := engine.Ask(t.Context(), q)

				require.NotNil(t, answer)
				require.NoError(t, answer.Unrecorded)
				require.Equal(t, []string{c.says}, said(answer.Gates))
				stops := closed && strings.HasPrefix(c.says, "unanswered")
				if stops {
					require.ErrorIs(t, err, delivery.ErrUnanswered)
					require.NotErrorIs(t, err, delivery.ErrVetoed)
					var unanswered *delivery.UnansweredError
					require.ErrorAs(t, err, &unanswered)
					require.Equal(t, answer.Gates, unanswered.Gates)
				} else {
					require.NoError(t, err)
				}
				if c.outcome != "" {
					d := b.delivery(answer.ID, sub)
					require.Equal(t, []string{c.outcome, "a question is asked once"}, []string{d.State + " " + d.Outcome, d.Reason})
				} else {
					require.Empty(t, r.Requests())
					decision := b.decisions(answer.ID)[sub]
					_, reason, _ := strings.Cut(c.says, ": ")
					require.Equal(t, reason, decision[1])
					require.Equal(t, strings.HasPrefix(c.says, "unanswered"), decision[0] == "unanswered")
				}
				require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state <> 'expanded'`))
				require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`))
				require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job`))
			})
		}
	}
}

// Two endpoints that wait for each other can both answer only when they are asked at
// the same time.
func TestAsk_GatesAreAskedInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var arrived atomic.Int32
	met := make(chan struct{})
	for range 2 {
		b.gate(b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
			if arrived.Add(1) == 2 {
				close(met)
			}
			select {
			case <-met:
			case <-t.Context().Done():
			}
			return deliverytest.Answer{}
		}}), failClosed)
	}

	answer, err := b.engine(nil).Ask(t.Context(), mayDelete())

	require.NoError(t, err)
	require.Equal(t, []string{"agreed", "agreed"}, said(answer.Gates))
}

func TestAsk_OneDeadlineHoldsForAllGates(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for range 3 {
		b.gate(b.always(deliverytest.Answer{Hang: true}), nil)
	}
	b.gate(b.receiver(nil), failClosed)
	b.gate(b.always(deliverytest.Answer{Hang: true}), func(spec *subscription.Spec) {
		spec.MaxInFlight = 1
	})
	late := "unanswered: timeout: no answer in time"
	want := []string{late, late, late, "agreed", late}
	within := func(d time.Duration) *delivery.Engine {
		return b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Ask, cfg.Timeouts.Request = d, time.Hour })
	}
	answer, err := within(time.Second).Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.Equal(t, want, said(answer.Gates))

	// The timeout of the question, or of its context, takes precedence over the engine's.
	q := mayDelete()
	q.Timeout = time.Second
	answer, err = within(time.Hour).Ask(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, want, said(answer.Gates))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	answer, err = within(time.Hour).Ask(ctx, mayDelete())
	require.NoError(t, err)
	require.Equal(t, want, said(answer.Gates))
}

func TestAsk_AGateWhoseSlotsAreTakenIsNotAskedBehindTheDeadline(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.gate(r, func(spec *subscription.Spec) { spec.MaxInFlight, spec.FailClosed = 1, true })
	engine := b.engine(nil)
	first := make(chan error, 1)
	go func() {
		q := mayDelete()
		q.Timeout = time.Minute
		_, err := engine.Ask(t.Context(), q)
		first <- err
	}()
	b.wait(r, 1)

	q := mayDelete()
	q.Timeout = 100 * time.Millisecond
	answer, err := engine.Ask(t.Context(), q)

	require.ErrorIs(t, err, delivery.ErrUnanswered)
	require.Equal(t, []string{"unanswered: the time to answer was over before it could be asked"}, said(answer.Gates))
	release()
	require.NoError(t, <-first)
	require.Len(t, r.Requests(), 1)
}

func TestAsk_WhoAsksCanLeave(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	defer release()
	sub := b.gate(r, nil)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var answer *delivery.Answer
	go func() {
		var err error
		answer, err = b.engine(nil).Ask(ctx, mayDelete())
		done <- err
	}()
	b.wait(r, 1)
	leave()

	require.ErrorIs(t, <-done, context.Canceled, "though the gate fails open")
	require.Equal(t, []string{"interrupted"}, b.outcomes(b.delivery(answer.ID, sub).ID))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
}

// Host code that hangs keeps those from being asked whom it concerns, and no others.
func TestAsk_ACheckerThatHangsKeepsItsOwnGatesAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hanging := access.CheckerFunc(func(_ context.Context, _ access.Request) error {
		<-t.Context().Done()
		return nil
	})
	b.gate(b.receiver(nil), nil)
	b.gate(b.receiver(nil), func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.FailClosed = true
	})
	registry, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Hour})
	require.NoError(t, err)
	require.NoError(t, registry.RegisterDefault(hanging))
	q := mayDelete()
	q.Timeout = 2 * time.Second

	answer, err := b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = registry }).Ask(t.Context(), q)

	require.NoError(t, err)
	require.Equal(t, delivery.GateUnanswered, answer.Gates[0].Outcome)
	require.Contains(t, answer.Gates[0].Reason, "no answer in time")
	require.Equal(t, delivery.GateAgreed, answer.Gates[1].Outcome)
}

// Neither while gates think nor while host code does.
func TestAsk_NoConnectionIsHeldWhileGatesThink(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	pool := b.apartPool(func(cfg *pgxpool.Config) { cfg.MaxConns = 1 })
	b.cfg.Access.Registry = b.checkers(access.CheckerFunc(func(ctx context.Context, _ access.Request) error { return pool.Ping(ctx) }))
	b.cfg.Externalize.Registry = &delivery.Externalizers{}
	require.NoError(t, b.cfg.Externalize.Registry.Register("", "", "**", delivery.Externalizer(
		func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("is for events") })))
	require.NoError(t, b.cfg.Externalize.Registry.Register("", "", "before:*.delete", delivery.Externalizer(
		func(ctx context.Context, ev dialect.Event) ([]byte, error) {
			return []byte(`"` + ev.Type + `"`), pool.Ping(ctx)
		})))
	engine, err := delivery.New(pool, &b.cfg)
	require.NoError(t, err)
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		if err := pool.Ping(t.Context()); err != nil {
			return deliverytest.Answer{Status: 500}
		}
		return deliverytest.Answer{}
	}})
	b.gate(r, failClosed)

	answer, err := engine.Ask(t.Context(), mayDelete())

	require.NoError(t, err)
	require.Equal(t, []string{"agreed"}, said(answer.Gates))
	require.Contains(t, string(r.Requests()[0].Body), `"data":"before:user.delete"`)
}

func TestAsk_AnEngineThatIsStoppedCannot(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(b.receiver(nil), failClosed)
	engine := b.engine(nil)
	require.NoError(t, engine.Start(t.Context()))
	_, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.NoError(t, engine.Stop(context.Background()))

	_, err = engine.Ask(t.Context(), mayDelete())

	require.ErrorIs(t, err, delivery.ErrNotStarted)
}

func TestAsk_AQuestionThatCannotBeAskedSaysWhichField(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.gate(r, nil)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.RequestBytes = 1000 })
	for want, change := range map[string]func(q *delivery.Question){
		"Type: ":           func(q *delivery.Question) { q.Type = "before:user.delete" },
		"Type: question":   func(q *delivery.Question) { q.Type = "" },
		"Site: ":           func(q *delivery.Question) { q.Site = "noaa" },
		"ActiveSite: ":     func(q *delivery.Question) { q.ActiveSite = "/a/" },
		"Resource: ":       func(q *delivery.Question) { q.Resource.ID = "" },
		"Resource.ID: ":    func(q *delivery.Question) { q.Resource.ID = strings.Repeat("é", 513) },
		"Resource.Kind: ":  func(q *delivery.Question) { q.Resource.Kind = "\x00" },
		"Actor: ":          func(q *delivery.Question) { q.Actor = "\xff" },
		"Channel: ":        func(q *delivery.Question) { q.Channel = "\x00" },
		"Attributes: ":     func(q *delivery.Question) { q.Attributes = map[string]string{"a": "\x00"} },
		"Attributes: have": func(q *delivery.Question) { q.Attributes = map[string]string{"a": strings.Repeat("a", 64<<10)} },
		"Data: must":       func(q *delivery.Question) { q.Data = []byte(`{`) },
		"Data: json":       func(q *delivery.Question) { q.Data = make(chan int) },
		"Data: has":        func(q *delivery.Question) { q.Data = strings.Repeat("a", 1000) },
		"Timeout: is 5ns":  func(q *delivery.Question) { q.Timeout = 5 },
	} {
		q := mayDelete()
		change(&q)
		_, err := engine.Ask(t.Context(), q)
		require.ErrorIs(t, err, delivery.ErrInvalidQuestion)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, r.Requests())
	_, err := b.engine(func(cfg *delivery.Config) { cfg.Limits.ChunkSize = 1 }).Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	b.gate(r, nil)
	_, err = b.engine(func(cfg *delivery.Config) { cfg.Limits.ChunkSize = 1 }).Ask(t.Context(), mayDelete())
	require.ErrorContains(t, err, "more than 1 subscriptions", "none is left out in silence")
}
