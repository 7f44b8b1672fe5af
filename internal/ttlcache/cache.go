// Package ttlcache is a bounded cache that forgets what is not used for a time.
//
// It keeps two generations of entries. An entry that is used moves to the current one.
// When the current one is full, or old, it becomes the former one, and whatever is left
// in the former one is evicted. So an access costs one or two map operations, an entry
// costs no more than its place in a map, and no goroutine runs. docs/internals/by-hand.md
// compares it with libraries.
package ttlcache

import (
	"sync"
	"time"
)

// Config says what a Cache keeps.
type Config[K comparable, V any] struct {
	// Cost is what an entry counts toward Size, by its key. Default: 1.
	Cost func(K) int

	// OnEvict is called with each value that is evicted, while the cache is locked: it
	// must not block and must not use the cache. A value that Update replaces is not
	// evicted. Default: nothing is called.
	OnEvict func(V)

	// Size bounds the cost of the entries of a generation. The cache holds twice as much
	// at most, and the last Size that was used stays.
	Size int

	// TTL is how long an entry stays without use: at least TTL and at most twice as long,
	// if Expire is called often enough. 0: entries do not age.
	TTL time.Duration
}

// Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	cfg Config[K, V]

	mu              sync.Mutex
	current, former map[K]V
	cost            int // of current
	turned          time.Time
}

// New makes an empty cache, which is as old as now says.
func New[K comparable, V any](cfg Config[K, V], now time.Time) *Cache[K, V] {
	return &Cache[K, V]{
		cfg:     cfg,
		current: map[K]V{},
		turned:  now,
	}
}

// Get returns the value of a key, and counts as its use.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(key)
}

// Update stores the value that choose makes from the known one (the zero value if ok is
// false), and returns it. The cache is locked while choose runs: it must not block and
// must not use the cache.
func (c *Cache[K, V]) Update(key K, choose func(known V, ok bool) V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	value := choose(c.find(key))
	c.store(key, value)
	return value
}

// Expire evicts what was not used for TTL. Time passes as now says.
func (c *Cache[K, V]) Expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.TTL > 0 && now.Sub(c.turned) >= c.cfg.TTL {
		c.turn()
		c.turned = now
	}
}

// Clear evicts everything.
func (c *Cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	c.turn()
}

// Len is the number of entries.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.current) + len(c.former)
}

func (c *Cache[K, V]) find(key K) (V, bool) {
	if value, ok := c.current[key]; ok {
		return value, true
	}
	value, ok := c.former[key]
	if ok {
		delete(c.former, key)
		c.store(key, value)
	}
	return value, ok
}

func (c *Cache[K, V]) store(key K, value V) {
	if _, there := c.current[key]; !there {
		added := 1
		if c.cfg.Cost != nil {
			added = c.cfg.Cost(key)
		}
		if c.cost+added > c.cfg.Size {
			c.turn()
		}
		c.cost += added
	}
	c.current[key] = value
}

// turn evicts the former generation and begins another one.
func (c *Cache[K, V]) turn() {
	if c.cfg.OnEvict != nil {
		for _, value := range c.former {
			c.cfg.OnEvict(value)
		}
	}
	c.former = c.current
	c.current = map[K]V{}
	c.cost = 0
}
