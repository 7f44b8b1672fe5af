// Command webapp is a web server whose users subscribe to what happens at their office.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keys, err := seal.ParseKeyset(os.Getenv("RIVERHOOK_KEYS"))
	check(err)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"))
	check(err)
	check(run(ctx, listener, os.Getenv("DATABASE_URL"), delivery.Config{Sealer: keys}))
}

func check(err error) {
	if err != nil {
		slog.Error("webapp", "error", err)
		os.Exit(1)
	}
}

// run starts what others use first, and stops in the reverse order: requests of users can
// enqueue and ping until the server is down, the engine records until it is stopped,
// and both use the pool.
func run(ctx context.Context, listener net.Listener, databaseURL string, cfg delivery.Config) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := outbox.Migrate(ctx, pool, nil); err != nil {
		return err
	}
	a := &app{pool: pool}
	if cfg.Access.Registry, err = access.NewRegistry(nil); err != nil {
		return err
	}
	if err := cfg.Access.Registry.Register("person", access.CheckerFunc(a.mayView)); err != nil {
		return err
	}
	if a.engine, err = delivery.New(pool, &cfg); err != nil {
		return err
	}
	a.rules = access.AuthorizerFunc(a.maySubscribe)
	if err := a.engine.Start(context.WithoutCancel(ctx)); err != nil { // a signal stops the server first
		return err
	}
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-served: // it could not go on
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(last), a.engine.Stop(last))
}

type app struct {
	engine *delivery.Engine
	pool   *pgxpool.Pool
	rules  access.Authorizer
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { reply(w, "ready", a.engine.Ready()) })
	mux.HandleFunc("GET /subscriptions", a.signedIn(a.list))
	mux.HandleFunc("POST /subscriptions", a.signedIn(a.subscribe))
	mux.HandleFunc("GET /events/{id}", a.signedIn(a.explain))
	mux.HandleFunc("POST /people", a.signedIn(a.addPerson))
	return mux
}

// user is who has signed in. Nobody sits at "/", where a subscription gets the events of
// every office.
type user struct {
	ID     string
	Office hierarchy.Path
}

// signedIn finds the user of a session; yours has its own way.
func (a *app) signedIn(handle func(w http.ResponseWriter, r *http.Request, u user)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var u user
		err := a.pool.QueryRow(r.Context(), `SELECT id, office FROM app_user WHERE session = $1`,
			r.Header.Get("Authorization")).Scan(&u.ID, &u.Office)
		if err != nil {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		handle(w, r, u)
	}
}

func (a *app) subscribe(w http.ResponseWriter, r *http.Request, u user) {
	var form struct {
		URL    string         `json:"url"`
		Events []string       `json:"events"`
		Site   hierarchy.Path `json:"site"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&form); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	created, err := a.engine.Subscriptions().As(u.ID, a.rules).Create(r.Context(), subscription.Spec{
		URL:    form.URL,
		Events: form.Events,
		Owner:  u.ID,
		Site:   cmp.Or(form.Site, u.Office),
	})
	if err != nil {
		reply(w, nil, err)
		return
	}
	reply(w, map[string]any{"id": created.ID, "secret": created.Secret.Reveal()}, nil) // the secret is shown once
}

func (a *app) list(w http.ResponseWriter, r *http.Request, u user) {
	page, err := a.engine.Subscriptions().As(u.ID, a.rules).List(r.Context(), nil)
	reply(w, page, err)
}

// explain says of an event, by its webhook-id, which subscriptions of the user got it, and
// why others did not.
func (a *app) explain(w http.ResponseWriter, r *http.Request, u user) {
	explanation, err := a.engine.As(u.ID, a.rules).Explain(r.Context(), r.PathValue("id"))
	reply(w, explanation, err)
}

func (a *app) addPerson(w http.ResponseWriter, r *http.Request, u user) {
	var p person
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, p, a.insertPerson(r.Context(), u, p))
}

type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (a *app) insertPerson(ctx context.Context, u user, p person) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO person (id, office, name) VALUES ($1, $2, $3)`, p.ID, u.Office, p.Name); err != nil {
			return err
		}
		_, err := outbox.Enqueue(ctx, tx, outbox.Intent{
			Type:     "person.created",
			Site:     u.Office,
			Actor:    u.ID,
			Data:     p,
			Resource: access.Resource{Kind: "person", ID: p.ID},
		})
		return err
	})
}

// maySubscribe is asked before a subscription is made, changed, shown or used: here each
// user has its own, at its office and below.
func (a *app) maySubscribe(ctx context.Context, action access.Action) error {
	if action.Owner != action.Principal || action.Operator {
		return access.ErrDenied
	}
	return a.allowed(ctx, action.Principal, action.Site)
}

// mayView is asked before anything is sent: the owner must still be at the office.
func (a *app) mayView(ctx context.Context, r access.Request) error {
	return a.allowed(ctx, r.Principal, r.Site)
}

func (a *app) allowed(ctx context.Context, id string, site hierarchy.Path) error {
	var office hierarchy.Path
	err := a.pool.QueryRow(ctx, `SELECT office FROM app_user WHERE id = $1`, id).Scan(&office)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return access.ErrUnknownPrincipal
	case err != nil:
		return err // not known now: it is asked again
	case !office.Contains(site):
		return access.ErrDenied
	}
	return nil
}

func reply(w http.ResponseWriter, answer any, err error) {
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			slog.Warn("webapp: answer", "error", err)
		}
	case errors.Is(err, subscription.ErrInvalid): // names the field and the reason
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	case errors.Is(err, access.ErrDenied):
		http.Error(w, "this is not yours to do", http.StatusForbidden)
	case errors.Is(err, subscription.ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	default:
		slog.Error("webapp", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}
