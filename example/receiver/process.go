package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/scratch"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

// receivingArg makes the program the receiving process. It reads a task and then commands
// from its standard input, says on its standard output how far it is, and ends
// when its input does.
const receivingArg = "receiving-process"

// task is what the receiving process is told.
type task struct {
	Address  string `json:"address"` // to listen at
	Database string `json:"database"`
	Secret   string `json:"secret"` // of all formats that sign
	Server   string `json:"server"` // the URL of Postgres
	Token    string `json:"token"`  // in the URL of the others
}

// What the two processes say to each other, a line each.
const (
	sayHold       = "hold"       // to it: answer nothing and finish nothing any more
	sayHolding    = "holding"    // from it, as are the others: it does
	sayUnanswered = "unanswered" // an event is stored, and the sender has no answer
	sayUnfinished = "unfinished" // an effect is written, and not committed
)

// The receiving process's own tables. No constraint forbids that an effect is there twice.
const receivingTables = `
	CREATE SCHEMA IF NOT EXISTS receiving;
	CREATE TABLE IF NOT EXISTS receiving.request (receiver text NOT NULL, status integer NOT NULL);
	CREATE TABLE IF NOT EXISTS receiving.effect (receiver text NOT NULL, delivery_id text NOT NULL);`

// process is the receiving process from within.
type process struct {
	holds atomic.Bool
	out   io.Writer
	pool  *pgxpool.Pool
}

func receive(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	lines := bufio.NewScanner(in)
	var t task
	if lines.Scan() {
		err = json.Unmarshal(lines.Bytes(), &t)
	}
	if err := errors.Join(err, lines.Err()); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	p := &process{out: out}
	if p.pool, err = scratch.Connect(ctx, t.Server, t.Database); err != nil {
		return err
	}
	defer p.pool.Close()
	if _, err := p.pool.Exec(ctx, receivingTables); err != nil {
		return err
	}
	var receivers receiver.Registry
	for _, d := range dialect.BuiltIn() {
		rec, err := receiverOf(d.Name(), t, pginbox.InTx(p.handle))
		if err == nil {
			err = receivers.Register(rec)
		}
		if err != nil {
			return err
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	// One worker for each dialect: while the process holds, each has an effect to write.
	inbox, err := pginbox.New(p.pool, &receivers, &pginbox.Config{Logger: quiet, MaxWorkers: len(receivers.Names())})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", t.Address)
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	handler, err := receiver.NewHandler(&receivers, inbox, &receiver.Config{BaseURL: base, Logger: quiet})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := inbox.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: p.counting(handler), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }() // until Shutdown
	p.say(base)
	for lines.Scan() {
		if lines.Text() == sayHold {
			p.holds.Store(true)
			p.say(sayHolding)
		}
	}
	return errors.Join(lines.Err(), server.Shutdown(ctx), inbox.Stop(ctx))
}

func (p *process) say(line string) { _, _ = fmt.Fprintln(p.out, line) }

// handle is what is done about an event. Its effect is committed with the mark that the
// event is done.
func (p *process) handle(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
	const insert = `INSERT INTO receiving.effect (receiver, delivery_id) VALUES ($1, $2)`
	if _, err := tx.Exec(ctx, insert, ev.Receiver, ev.DeliveryID); err != nil {
		return receiver.Response{}, err
	}
	if p.holds.Load() {
		p.say(sayUnfinished)
		<-ctx.Done()
	}
	return receiver.Response{}, ctx.Err()
}

// counting records each request with its answer before it is sent.
func (p *process) counting(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	count := func(w http.ResponseWriter, r *http.Request) {
		held := &heldAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(held, r)
		const insert = `INSERT INTO receiving.request (receiver, status) VALUES ($1, $2)`
		if _, err := p.pool.Exec(r.Context(), insert, r.PathValue("receiver"), held.status); err != nil {
			http.Error(w, "not counted", http.StatusServiceUnavailable)
			return
		}
		if p.holds.Load() {
			p.say(sayUnanswered)
			<-r.Context().Done()
			return
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body)
	}
	mux.HandleFunc("/{receiver}", count)
	mux.HandleFunc("/{receiver}/{token}", count)
	return mux
}

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	header http.Header
	body   []byte
	status int
}

func (a *heldAnswer) Header() http.Header    { return a.header }
func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return len(b), nil
}
