package delivery_test

import (
	"context"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
)

// deadlyEvent is the type of the events, and deadlySite the path, at which host code ends
// its process.
const (
	deadlyEvent = "deadly.event"
	deadlySite  = hierarchy.Path("/deadly")
)

// endings are the ways in which host code ends its process, by what it is. None of them
// can be recovered from.
var endings = map[string]func(){
	"checker": func() { os.Exit(3) },
	"envelope": func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	},
	"externalizer": func() {
		debug.SetMaxStack(1 << 20)
		panic(overflow(0)) // never
	},
	"request": func() { os.Exit(3) },
	"tree": func() {
		for range 8 {
			go writeConcurrently()
		}
		select {}
	},
}

func overflow(n int) int {
	if n < 0 {
		return n
	}
	return overflow(n+1) + overflow(n+2)
}

var shared = map[int]int{}

func writeConcurrently() {
	for i := 0; ; i++ {
		shared[i%10] = i
	}
}

// addHostCode lets an engine have host code of each kind. One of them, deadly, ends the
// process at what is deadly: "none" does not, "slow externalizer" takes a while for each
// event, and "hanging externalizer" does not return from what is deadly.
func addHostCode(cfg *delivery.Config, deadly string) {
	deadly, slow := strings.CutPrefix(deadly, "slow ")
	endIn := func(kind string, fatal bool) {
		if kind == deadly && fatal && !slow {
			debug.SetTraceback("none")
			endings[kind]()
		}
	}
	checkers, err := access.NewRegistry(nil)
	if err != nil {
		panic(err)
	}
	cfg.Access.Registry = checkers
	err = checkers.RegisterDefault(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		endIn("checker", r.EventType == deadlyEvent)
		return nil
	}))
	if err != nil {
		panic(err)
	}
	cfg.Dialects = deadlyDialects(endIn)
	cfg.Externalize.Registry, cfg.Externalize.Timeout = &delivery.Externalizers{}, time.Minute
	err = cfg.Externalize.Registry.Register("", "", "", delivery.Externalizer(func(ctx context.Context, ev dialect.Event) ([]byte, error) {
		if slow {
			select {
			case <-time.After(3 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		if deadly == "hanging externalizer" && ev.Type == deadlyEvent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		endIn("externalizer", ev.Type == deadlyEvent)
		return ev.Data, nil
	}))
	if err != nil {
		panic(err)
	}
	cfg.Tree = treeFunc(func(_ context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
		endIn("tree", p == deadlySite)
		return p.Ancestors(), nil
	})
}

// deadlyDialects are "standard", and "deadly", which is the same to receivers.
func deadlyDialects(endIn func(kind string, fatal bool)) *dialect.Registry {
	registry, err := dialect.NewRegistry(dialect.Standard(), deadlyDialect{Dialect: dialect.Standard(), endIn: endIn})
	if err != nil {
		panic(err)
	}
	return registry
}

type deadlyDialect struct {
	dialect.Dialect

	endIn func(kind string, fatal bool)
}

func (deadlyDialect) Name() string { return "deadly" }

func (d deadlyDialect) Envelope(ev dialect.Event, data []byte) (dialect.Message, error) {
	d.endIn("envelope", ev.Type == deadlyEvent)
	return d.Dialect.Envelope(ev, data)
}

func (d deadlyDialect) Request(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
	d.endIn("request", msg.Type == deadlyEvent)
	return d.Dialect.Request(msg, to, at)
}
