package delivery

import (
	"sync"
	"time"
)

// generations remembers what was asked for lately: two generations of at most size
// each, in values or as they are weighed. What is asked for moves to the young one; when that is full, or has
// been there for maxAge, the old one is forgotten and the young one is old.
type generations[K comparable, V any] struct {
	forget func(V) // called with the lock held; nil: nothing is to be done
	maxAge time.Duration
	size   int
	weigh  func(K) int // nil: each value weighs one

	mu         sync.Mutex
	young, old map[K]V
	weight     int // of the young one
	turned     time.Time
}

func newGenerations[K comparable, V any](size int, maxAge time.Duration, forget func(V)) *generations[K, V] {
	return &generations[K, V]{
		forget: forget,
		maxAge: maxAge,
		size:   size,
		young:  map[K]V{},
		turned: time.Now(),
	}
}

// get returns what is remembered.
func (g *generations[K, V]) get(key K) (V, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.find(key)
}

// put remembers what choose makes of what is remembered already, the zero value
// where nothing is, and returns it. choose must not block.
func (g *generations[K, V]) put(key K, choose func(known V, ok bool) V) V {
	g.mu.Lock()
	defer g.mu.Unlock()
	value := choose(g.find(key))
	g.keep(key, value)
	return value
}

func (g *generations[K, V]) find(key K) (V, bool) {
	if value, ok := g.young[key]; ok {
		return value, true
	}
	value, ok := g.old[key]
	if ok {
		delete(g.old, key)
		g.keep(key, value)
	}
	return value, ok
}

func (g *generations[K, V]) keep(key K, value V) {
	if _, there := g.young[key]; !there {
		added := 1
		if g.weigh != nil {
			added = g.weigh(key)
		}
		if g.weight+added > g.size {
			g.turn()
		}
		g.weight += added
	}
	g.young[key] = value
}

// age forgets what nobody has asked for in maxAge.
func (g *generations[K, V]) age(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.turned) >= g.maxAge {
		g.turn()
		g.turned = now
	}
}

// clear forgets everything.
func (g *generations[K, V]) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn()
	g.turn()
}

func (g *generations[K, V]) turn() {
	if g.forget != nil {
		for _, value := range g.old {
			g.forget(value)
		}
	}
	g.old = g.young
	g.young = map[K]V{}
	g.weight = 0
}
