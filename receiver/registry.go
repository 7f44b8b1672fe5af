package receiver

import (
	"fmt"
	"slices"
	"sync"
)

// Registry holds the receivers of a process by name. It is safe for concurrent use;
// the zero value is empty and ready to use.
type Registry struct {
	mu     sync.RWMutex
	byName map[string]Receiver
}

// NewRegistry returns a registry of receivers, with the errors of Register.
func NewRegistry(receivers ...Receiver) (*Registry, error) {
	r := &Registry{}
	for _, rec := range receivers {
		if err := r.Register(rec); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Register adds a copy of rec, with its defaults. A bad value, which the error names,
// and a name that is taken change nothing.
func (r *Registry) Register(rec Receiver) error {
	rec = rec.withDefaults()
	if err := rec.validate(); err != nil {
		return fmt.Errorf("receiver: register: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.byName[rec.Name]; taken {
		return fmt.Errorf("receiver: register: the name %q is taken", rec.Name)
	}
	if r.byName == nil {
		r.byName = map[string]Receiver{}
	}
	r.byName[rec.Name] = rec
	return nil
}

// Unregister removes the receiver of that name, and says whether there was one. Requests to
// it are answered 404 from then on. An attempt under way comes to its end. What
// its receiver has accepted stays in the inbox and waits: register one of that name again,
// also another one, or delete the events.
func (r *Registry) Unregister(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.byName[name]
	delete(r.byName, name)
	return ok
}

// Get returns the receiver of that name, with its defaults.
func (r *Registry) Get(name string) (Receiver, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rec, ok := r.byName[name]
	return rec, ok
}

// Names returns the names of all receivers, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
