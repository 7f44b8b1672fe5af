package dialect

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/riverhook/riverhook/internal/text"
)

// Registry holds the dialects of a process by name. It is safe for concurrent
// use; the zero value is empty and ready to use.
type Registry struct {
	mu     sync.RWMutex
	byName map[string]Dialect
}

// NewRegistry returns a registry of ds, with the errors of Register.
func NewRegistry(ds ...Dialect) (*Registry, error) {
	r := &Registry{}
	for _, d := range ds {
		if err := r.Register(d); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Register adds d under its name. A nil dialect, a name that is not 1 to 64 of
// [a-z0-9_-] and a name that is taken are errors and change nothing.
func (r *Registry) Register(d Dialect) error {
	if isNil(d) {
		return errors.New("dialect: register: the dialect is nil")
	}
	name := d.Name()
	if err := text.CheckName(name); err != nil {
		return fmt.Errorf("dialect: register: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.byName[name]; taken {
		return fmt.Errorf("dialect: register: the name %q is taken", name)
	}
	if r.byName == nil {
		r.byName = map[string]Dialect{}
	}
	r.byName[name] = d
	return nil
}

// Get returns the dialect of that name.
func (r *Registry) Get(name string) (Dialect, bool) {
	if r == nil {
		return nil, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	d, ok := r.byName[name]
	return d, ok
}

// Names returns the names of all dialects, sorted.
func (r *Registry) Names() []string {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A nil pointer in an interface is refused where it is registered, rather than
// found by a panic at the first event.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Interface, reflect.Chan:
		return rv.IsNil()
	default:
		return false
	}
}
