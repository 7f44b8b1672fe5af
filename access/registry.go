package access

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// RegistryConfig configures a [Registry].
type RegistryConfig struct {
	// Parallel is how many calls of Check one CheckMany makes at once, for
	// checkers that are not a [BatchChecker]; up to 8 times as many while none of them
	// returns. Default 4.
	Parallel int

	// Timeout is the time that all calls of one CheckMany may take together; the
	// contexts that checkers are given end then. At least 1 ms. Default 5 s.
	Timeout time.Duration
}

func (c *RegistryConfig) withDefaults() RegistryConfig {
	var out RegistryConfig
	if c != nil {
		out = *c
	}
	if out.Parallel == 0 {
		out.Parallel = 4
	}
	if out.Timeout == 0 {
		out.Timeout = defaultTimeout
	}
	return out
}

func (c *RegistryConfig) validate() error {
	if c.Parallel < 0 {
		return errors.New("access: RegistryConfig.Parallel must not be negative")
	}
	if c.Timeout < time.Millisecond {
		return fmt.Errorf("access: RegistryConfig.Timeout is %s; must be at least 1 ms", c.Timeout)
	}
	return nil
}

// Registry holds the checkers of a process by resource kind. It is safe for
// concurrent use. A nil Registry and the zero value have no checker and answer
// everything with [ErrNoChecker].
//
// It is a [Checker] and a [BatchChecker] itself.
type Registry struct {
	cfg RegistryConfig

	mu       sync.RWMutex
	byKind   map[string]*entry
	fallback *entry
}

type entry struct {
	name    string // for errors
	checker Checker
}

// NewRegistry returns an empty registry. cfg may be nil; a bad value in it is an error.
func NewRegistry(cfg *RegistryConfig) (*Registry, error) {
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Registry{cfg: c}, nil
}

// Register adds the checker for the resources of a kind. A nil checker, an
// empty kind and a kind that is taken are errors and change nothing.
func (r *Registry) Register(kind string, c Checker) error {
	if kind == "" {
		return errors.New("access: register: the kind is empty (RegisterDefault is for resources of any other kind)")
	}
	if isNil(c) {
		return fmt.Errorf("access: register %q: the checker is nil", kind)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.byKind[kind]; taken {
		return fmt.Errorf("access: register %q: the kind is taken", kind)
	}
	if r.byKind == nil {
		r.byKind = map[string]*entry{}
	}
	r.byKind[kind] = &entry{name: fmt.Sprintf("checker of kind %q", kind), checker: c}
	return nil
}

// RegisterDefault adds the checker for the resources of every kind that has
// none of its own, and for resources without a kind. A nil checker is an error,
// and so is a second default; both change nothing.
func (r *Registry) RegisterDefault(c Checker) error {
	if isNil(c) {
		return errors.New("access: register default: the checker is nil")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fallback != nil {
		return errors.New("access: register default: there is one already")
	}
	r.fallback = &entry{name: "default checker", checker: c}
	return nil
}

// Has says whether there is a checker for the resources of a kind.
func (r *Registry) Has(kind string) bool { return r.find(kind) != nil }

func (r *Registry) find(kind string) *entry {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e, ok := r.byKind[kind]; ok {
		return e
	}
	return r.fallback
}

// Check is CheckMany for one request.
func (r *Registry) Check(ctx context.Context, req Request) error {
	return r.CheckMany(ctx, []Request{req})[0]
}

// A nil pointer in the interface would only be found at the first event.
func isNil(c any) bool {
	if c == nil {
		return true
	}
	switch v := reflect.ValueOf(c); v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice:
		return v.IsNil()
	default:
		return false
	}
}
